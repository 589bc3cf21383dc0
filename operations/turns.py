"""Whose turn it is in a sweep. Nothing here knows AWS or the time, so a test can send a million rows through it.

Rows are listed page by page, all shards in turn, and wait in lanes: what takes long stands in other lanes than what is
quick. In each lane accounts take turns, and none has two rows under way at once, which would only meet in its ledger.
A pass through the shards takes so many rows of each account and leaves the rest to the next pass: memory is bounded,
and nobody's rows stand before everybody's.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from recordings.keys import RecordingId, UserId

QUICK = "quick"  # the lane that all rows without one of their own begin in
PER_ACCOUNT = 1000  # rows of one account that wait in a lane
WINDOW = 200_000  # rows that wait in a lane, some 40 MB

Key = tuple[RecordingId, UserId]


@dataclass(frozen=True)
class Page:
    """One to be read: of this shard, after the place where the page before has ended."""

    shard: str
    after: Any = None


class Row(NamedTuple):
    """One to be settled."""

    id: RecordingId  # or a Work row's, or an Excerpt's
    user_id: UserId
    lane: str


class Lane:
    """Rows that wait, by account, and the accounts in the order of their turns, but for those that are served now."""

    def __init__(self) -> None:
        self.rows: dict[UserId, deque[Key]] = {}
        self.turns: deque[UserId] = deque()
        self.busy: set[UserId] = set()
        self.size = 0

    def waiting(self, user_id: UserId) -> int:
        return len(self.rows.get(user_id, ()))

    def put(self, key: Key) -> None:
        user_id = key[1]
        if user_id not in self.rows:
            self.rows[user_id] = deque()
            if user_id not in self.busy:
                self.turns.append(user_id)
        self.rows[user_id].append(key)
        self.size += 1

    def take(self) -> Key | None:
        if not self.turns:
            return None
        user_id = self.turns.popleft()
        rows = self.rows[user_id]
        key = rows.popleft()
        if not rows:
            del self.rows[user_id]
        self.busy.add(user_id)
        self.size -= 1
        return key

    def free(self, user_id: UserId) -> None:
        self.busy.discard(user_id)
        if user_id in self.rows:
            self.turns.append(user_id)


class Turns:
    """What is due in these shards. `lane_of` says where a row begins, by its id."""

    def __init__(
        self,
        shards: Iterable[str],
        lanes: Sequence[str],
        lane_of: Callable[[str], str],
        *,
        per_account: float = PER_ACCOUNT,
        window: float = WINDOW,
    ) -> None:
        self.shards, self.lane_of = list(shards), lane_of
        self.per_account, self.window = per_account, window
        self.lanes = {name: Lane() for name in lanes}
        self.pages = deque(Page(shard) for shard in self.shards)
        self.reading = 0
        self.left_out = False  # whether this pass has left rows of the quick lane to the next
        self.seen: set[Key] = set()  # no row comes twice in a run, whatever became of it

    def take(self, lanes: Iterable[str]) -> Page | Row | None:
        """What a worker for these lanes does next; None where there is nothing at the moment."""
        for lane in lanes:
            if lane == QUICK and (page := self._page()):
                return page
            if key := self.lanes[lane].take():
                return Row(*key, lane)
        return None

    def _page(self) -> Page | None:
        quick = self.lanes[QUICK]
        if self.left_out and not (self.pages or self.reading or quick.size):
            self.left_out = False
            self.pages.extend(Page(shard) for shard in self.shards)
        if not self.pages or quick.size >= self.window:
            return None
        self.reading += 1
        return self.pages.popleft()

    def has_read(self, page: Page, keys: Iterable[Key], after: Any) -> None:
        """`after` is where the page ended, None at the end of its shard."""
        self.reading -= 1
        if after is not None:
            self.pages.append(Page(page.shard, after))
        for key in keys:
            if key not in self.seen:
                self._admit(key)

    def _admit(self, key: Key) -> None:
        name = self.lane_of(key[0])
        lane = self.lanes[name]
        if lane.waiting(key[1]) >= self.per_account:
            self.left_out = self.left_out or name == QUICK
        elif name == QUICK or lane.size < self.window:
            self.seen.add(key)
            lane.put(key)

    def is_done(self, row: Row, *, but_for: str = "") -> None:
        """A row has had its turn. It waits for another in the lane `but_for`, if there is more to do."""
        self.lanes[row.lane].free(row.user_id)
        if but_for and (but_for == row.lane or self.lanes[but_for].waiting(row.user_id) < self.per_account):
            self.lanes[but_for].put((row.id, row.user_id))

    @property
    def is_over(self) -> bool:
        """Whether nothing is left and nothing under way."""
        lanes = self.lanes.values()
        return not (self.pages or self.reading or self.left_out or any(lane.size or lane.busy for lane in lanes))
