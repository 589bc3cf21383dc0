"""Everything that is stored about an account's recordings, for its owner to take along."""

from collections.abc import Iterable

from recordings.changes.follow import page_once
from recordings.keys import UserId
from recordings.library import own_url
from recordings.models import Recording, Share
from recordings.response_size import ESCAPED, MOST_BYTES, weight
from recordings.serializers import Detail, detail
from recordings.shares.serializers import Shown, share

PAGE = 200
URL = 4000  # bytes of a presigned one, without the name in it
SHARE = 400  # bytes of one


class ExportedRecording(Detail):
    download_url: str | None
    shares: list[Shown]


def export_page(user_id: UserId, after: int) -> tuple[list[ExportedRecording], int | None]:
    """Recordings with URLs for their bytes, the trash included, and where the next page begins (None: nowhere).

    In the order of their versions, as `following.page_once` has them: one that changes meanwhile comes again, none is
    left out.
    """
    told, more = page_once(user_id, after, limit=PAGE)
    shares = _shares(what for _, what in told if isinstance(what, Recording))
    found: list[ExportedRecording] = []
    room = MOST_BYTES
    for version, each in told:
        if isinstance(each, Recording):
            room -= _weight(each)
            if room < 0 and found:
                return found, after
            shared = [shares[id] for id in _share_ids(each) if id in shares]
            found.append({**detail(each), "download_url": _url(each), "shares": shared})
        after = version
    return found, after if more else None


def _weight(row: Recording) -> int:
    """The bytes that a recording may take here at most, its markers and its name in a URL included."""
    labels = ESCAPED * sum(len(marker["label"]) for marker in row.markers)
    entries = 50 * len(row.markers) + SHARE * len(row.shares or [])
    return weight(row) + labels + entries + 24 * len(row.name) + URL


def _share_ids(row: Recording) -> list[str]:
    return [entry["id"] for entry in row.shares or []]


def _shares(rows: Iterable[Recording]) -> dict[str, Shown]:
    """What these recordings share, by its id, expired ones that are still there too. The links nobody knows."""
    ids = [id for row in rows for id in _share_ids(row)]
    return {id: share(row) for id, row in Share.batch(ids).items()}


def _url(row: Recording) -> str | None:
    if row.status == "uploading":
        return None
    return own_url(row, inline=False)
