"""What verify_storage reports, and how it goes on whatever it meets."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from aws.dynamo import Conflict
from lib.problems import Problem
from operations.fsck.repair import Remedy
from recordings.keys import UserId

log = logging.getLogger(__name__)
T = TypeVar("T")

BATCH = 100  # BatchGetItem's most


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it should be. `remedy` is what would mend it, or why nothing can."""

    kind: str
    account: str
    recording: str
    key: str
    detail: str
    mended: bool = False
    remedy: str = ""
    mend: Callable[[], Remedy] = field(default=lambda: Remedy("", None), repr=False, compare=False)
    size: int = field(default=0, repr=False, compare=False)  # bytes of a row that no change row leads to


Tick = Callable[[str, int], None]


EVERYBODY = UserId("")


@dataclass(frozen=True)
class Scope:
    """What one run looks at: an account, or one of so many segments of everything. Segments can run side by side."""

    account: UserId = EVERYBODY
    segment: int = 0
    segments: int = 1

    def parts(self, number: int) -> list["Scope"]:
        """The same in so many parts."""
        parts = self.segments * number
        return [Scope(self.account, self.segment * number + each, parts) for each in range(number)]

    @property
    def whole(self) -> bool:
        return not self.account and self.segments == 1

    @property
    def prefix(self) -> str:
        return f"recordings/{self.account}/" if self.account else "recordings/"

    @property
    def keys(self) -> dict[str, str]:
        """Between which keys of the bucket its objects are: accounts' ids are spread evenly."""
        if self.segments == 1:
            return {}
        first, next_one = (65536 * each // self.segments for each in (self.segment, self.segment + 1))
        after = f"{self.prefix}{first:04x}" if self.segment else ""
        return {"after": after, "until": f"{self.prefix}{next_one:04x}" if next_one < 65536 else ""}


def mend(found: Difference, *, dry_run: bool) -> Difference:
    try:
        remedy = found.mend()
    except Exception as error:
        log.exception("%s of account %s, recording %s has no remedy", found.kind, found.account, found.recording)
        return replace(found, remedy=f"none: {error!r}")
    if not remedy.act or dry_run:
        return replace(found, remedy=remedy.text)
    try:
        remedy.act()
    except (Conflict, Problem) as error:
        return replace(found, remedy=f"{remedy.text}: not now, {error or 'it is changing'}")
    except Exception as error:
        log.exception("%s of account %s, recording %s could not be mended", found.kind, found.account, found.recording)
        return replace(found, remedy=f"{remedy.text}: failed, {error!r}")
    return replace(found, remedy=remedy.text, mended=remedy.mends)


def guarded(account: str, recording: str, look: Callable[[], Iterator[Difference]]) -> Iterator[Difference]:
    """What the look finds; where it fails, that, so that the next can be looked at."""
    try:
        yield from look()
    except Exception as error:
        log.exception("Account %s, recording %s could not be looked at", account, recording)
        nothing = Remedy("none: it could not be looked at", None)
        yield Difference("unreadable", account, recording, "", repr(error), mend=lambda: nothing)


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch
