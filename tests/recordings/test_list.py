"""GET recordings/ and GET recordings/{id}/."""

from typing import Any
from urllib.parse import quote

import pytest

from recordings import library
from recordings.models import Recording
from tests.client import Client
from tests.state import calls, kept


def record(alice: Client, count: int, **fields: Any) -> list[str]:
    """Ids of recordings, each a minute younger than the one before."""
    made = [
        alice.create(f"{number}".encode(), recorded_at=f"2026-03-01T00:{number:02}:00Z", **fields)
        for number in range(count)
    ]
    return [answer.json["recording"]["id"] for answer in made]


def copy(alice: Client, id: str, count: int) -> None:
    """Fill the shelf that `id` stands on with `count` more, all named x, the short way."""
    row = kept(alice.user_id, id).attribute_values | {"name": "x", "recorded_at": "2026-01-01T00:00:00.000Z"}
    with Recording.batch_write() as batch:
        for number in range(count):
            batch.save(Recording(**row | {"id": f"{number:032}"}))


def names(alice: Client, query: str) -> list[str]:
    return sorted(row["name"] for row in alice.get(f"recordings/?{query}").json["results"])


def pages(alice: Client, query: str) -> list[list[str]]:
    """The ids on each page of a list, to its end."""
    found: list[list[str]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = alice.get(f"recordings/?{query}&cursor={quote(cursor)}").json
        found.append([row["id"] for row in page["results"]])
        cursor = page["next_cursor"]
    return found


def test_an_empty_account_has_empty_shelves(alice: Client) -> None:
    for shelf in ("library", "trash", "uploading"):
        answer = alice.get(f"recordings/?shelf={shelf}")
        assert (answer.status, answer.json) == (200, {"results": [], "next_cursor": None})


def test_shows_each_recording_as_it_is_alone(alice: Client) -> None:
    recording = alice.record(b"one", name="강의", tags=["a"], notes="n")
    assert alice.get("recordings/").json == {"results": [recording], "next_cursor": None}
    assert alice.get(f"recordings/{recording['id']}/").json == recording | {"markers": []}


def test_each_recording_stands_on_one_shelf(alice: Client) -> None:
    ready, trashed = alice.record(b"one")["id"], alice.record(b"two")["id"]
    uploading = alice.create(b"three").json["recording"]["id"]
    alice.delete(f"recordings/{trashed}/")
    assert alice.shelf() == [ready]
    assert alice.shelf("trash") == [trashed]
    assert alice.shelf("uploading") == [uploading]


def test_newest_recorded_first(alice: Client) -> None:
    old = alice.record(b"one", recorded_at="2020-01-01T00:00:00Z")["id"]
    new = alice.record(b"two", recorded_at="2026-01-01T00:00:00.001+00:00")["id"]
    middle = alice.record(b"three", recorded_at="2026-01-01T05:00:00+09:00")["id"]
    assert alice.shelf() == [new, middle, old]


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (6, [5]), (200, [5])])
def test_pages_hold_every_recording_once(alice: Client, limit: int, sizes: list[int]) -> None:
    ids = record(alice, 5)
    found = pages(alice, f"shelf=uploading&limit={limit}")
    assert [len(page) for page in found] == sizes
    assert [id for page in found for id in page] == ids[::-1]


def test_equal_times_do_not_lose_anything_between_pages(alice: Client) -> None:
    for number in range(5):
        alice.create(f"{number}".encode(), recorded_at="2026-03-01T00:00:00Z")
    found = pages(alice, "shelf=uploading&limit=2")
    assert [len(page) for page in found] == [2, 2, 1]
    assert len({id for page in found for id in page}) == 5


def test_a_recording_that_came_meanwhile_moves_no_other(alice: Client) -> None:
    ids = record(alice, 4)
    page = alice.get("recordings/?shelf=uploading&limit=2").json
    alice.create(b"younger", recorded_at="2026-03-02T00:00:00Z")
    alice.delete(f"recordings/{ids[2]}/")
    rest = alice.get(f"recordings/?shelf=uploading&limit=2&cursor={page['next_cursor']}").json
    assert [row["id"] for row in rest["results"]] == ids[1::-1]


def test_fifty_a_page_unless_asked(alice: Client) -> None:
    copy(alice, record(alice, 1)[0], 51)
    page = alice.get("recordings/?shelf=uploading").json
    assert len(page["results"]) == 50
    assert page["next_cursor"]


def test_by_tag(alice: Client) -> None:
    alice.upload(b"0")
    alice.record(b"one", name="one", tags=["일", "b"])
    alice.record(b"two", name="two", tags=["b"])
    assert names(alice, "tag=b") == ["one", "two"]
    assert names(alice, f"tag={quote('일')}") == ["one"]
    assert names(alice, "tag=B") == []


def test_by_search_in_name_and_notes_whatever_the_case(alice: Client) -> None:
    alice.record(b"one", name="Straße in SEOUL", notes="")
    alice.record(b"two", name="x", notes="line\nüber Seoul")
    alice.record(b"three", name="서울")
    assert names(alice, "search=seoul") == ["Straße in SEOUL", "x"]
    assert names(alice, f"search={quote('STRASSE')}") == ["Straße in SEOUL"]
    assert names(alice, f"search={quote('서')}") == ["서울"]
    assert names(alice, "search=seoul&tag=none") == []


def test_from_is_included_and_to_is_not(alice: Client) -> None:
    for day in (1, 2, 3):
        alice.record(str(day).encode(), name=str(day), recorded_at=f"2026-03-0{day}T00:00:00Z")
    assert names(alice, "from=2026-03-02T00:00:00Z") == ["2", "3"]
    assert names(alice, "to=2026-03-02T00:00:00Z") == ["1"]
    assert names(alice, "from=2026-03-01T00:00:00Z&to=2026-03-03T00:00:00Z") == ["1", "2"]
    assert names(alice, "from=2026-03-02T09:00:00%2B09:00&to=2026-03-02T00:00:00.001Z") == ["2"]
    assert names(alice, "from=2026-03-02T00:00:00Z&to=2026-03-02T00:00:00Z") == []


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_filters_hold_across_pages(alice: Client, limit: int) -> None:
    ids = record(alice, 6)
    for id in ids[::2]:
        alice.patch(f"recordings/{id}/", {"tags": ["even"]})
    found = pages(alice, f"shelf=uploading&tag=even&limit={limit}&to=2026-03-01T00:04:00Z")
    assert [id for page in found for id in page] == [ids[2], ids[0]]
    assert all(len(page) <= limit for page in found)


def test_a_search_reads_so_much_a_request_and_its_cursor_goes_on(
    alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = alice.create(b"oldest", name="rare", recorded_at="2020-01-01T00:00:00Z").json["recording"]["id"]
    copy(alice, id, 400)
    monkeypatch.setattr(library, "SEARCH_READS", 400)
    with calls() as sent:
        page = alice.get("recordings/?shelf=uploading&search=rare").json
    assert sent == ["GetItem", "Query", "Query"]
    assert page["results"] == []
    rest = alice.get(f"recordings/?shelf=uploading&search=rare&cursor={page['next_cursor']}").json
    assert [row["id"] for row in rest["results"]] == [id]
    assert rest["next_cursor"] is None


def test_a_list_makes_one_query_and_ends_where_that_is_full(alice: Client) -> None:
    """DynamoDB gives at most 1 MB at once."""
    id = alice.create(b"long", notes="긴 메모 " * 800).json["recording"]["id"]
    copy(alice, id, 120)
    with calls() as sent:
        page = alice.get("recordings/?shelf=uploading&limit=200").json
    assert sent == ["GetItem", "Query"]
    assert 0 < len(page["results"]) < 121
    assert page["next_cursor"]
    assert len(set(alice.shelf("uploading"))) == 121


def test_a_purging_recording_is_nowhere(alice: Client) -> None:
    recording = alice.record(b"one")
    alice.delete(f"recordings/{recording['id']}/?permanent=true")
    assert alice.shelf() == alice.shelf("trash") == alice.shelf("uploading") == []
    assert alice.get(f"recordings/{recording['id']}/").status == 404


def test_nobody_elses(alice: Client, charlie: Client) -> None:
    alice.record(b"hers")
    assert charlie.shelf() == []


def test_a_row_from_before_a_field_existed_shows_its_default(alice: Client) -> None:
    recording = alice.record(b"old")
    row = kept(alice.user_id, recording["id"])
    fields = (Recording.tags, Recording.notes, Recording.favorite, Recording.markers)
    row.update([field.remove() for field in fields])
    for shown in (alice.get("recordings/").json["results"][0], alice.get(f"recordings/{recording['id']}/").json):
        assert (shown["tags"], shown["notes"], shown["favorite"]) == ([], "", False)
    assert shown["markers"] == []
