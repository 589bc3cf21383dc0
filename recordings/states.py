"""The states of a recording, and every way from one to another.

A row is in the state whose columns it fits; trash and the ways below add nothing to that. What the row waits for, if
anything, is what `due_at` is about.

| state     | status    | kept | multipart | verified | trash  | waits for                                  |
|-----------|-----------|------|-----------|----------|--------|--------------------------------------------|
| uploading | uploading | no   | yes or no | no       | no     | the client's bytes                         |
| unproven  | ready     | no   | no        | no       | either | proof that the bytes are the declared ones |
| verified  | ready     | no   | no        | yes      | either | analysis, once                             |
| mismatch  | mismatch  | no   | no        | no       | either | analysis, once; create begins a new attempt |
| replacing | mismatch  | yes  | yes or no | no       | either | the new attempt's bytes, then their proof  |
| purging   | purging   | any  | any       | any      | any    | its objects to be deleted                  |

`attempt` names the object that the upload under way goes to. With `kept`, downloads give the object of that earlier
attempt until the new one is verified. Without a row, a recording is `absent`.
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from recordings.models import Recording

EITHER = (False, True)
ABSENT = "absent"


class State(NamedTuple):
    """The values that `kept`, `upload_id`, `verified_at` and `trashed_at` have in it: whether they are set."""

    status: str
    kept: tuple[bool, ...] = (False,)
    multipart: tuple[bool, ...] = (False,)
    verified: tuple[bool, ...] = (False,)
    trashed: tuple[bool, ...] = EITHER

    def fits(self, row: "Recording") -> bool:
        columns = (self.kept, self.multipart, self.verified, self.trashed)
        values = (row.kept, row.upload_id, row.verified_at, row.trashed_at)
        return row.status == self.status and all(
            bool(value) in column for value, column in zip(values, columns, strict=True)
        )


STATES = {
    "uploading": State("uploading", multipart=EITHER, trashed=(False,)),
    "unproven": State("ready"),
    "verified": State("ready", verified=(True,)),
    "mismatch": State("mismatch"),
    "replacing": State("mismatch", kept=(True,), multipart=EITHER),
    "purging": State("purging", kept=EITHER, multipart=EITHER, verified=EITHER),
}

HERE = ("unproven", "verified", "mismatch", "replacing")  # what lists show, and the trash can hold


class Transition(NamedTuple):
    """`by` is the one function that writes it, `to` None where the state stays."""

    by: str
    origin: tuple[str, ...]
    to: str | None


TRANSITIONS = (
    Transition("uploads.begin", (ABSENT,), "uploading"),
    Transition("uploads.restart", ("uploading", "replacing"), None),  # a new attempt
    Transition("uploads.restart", ("mismatch",), "replacing"),
    Transition("uploads.prolong", ("uploading", "replacing"), None),  # new time for the client
    Transition("completion.assembled", ("replacing",), None),  # its parts are put together
    Transition("completion.make_ready", ("uploading",), "unproven"),
    Transition("completion.make_ready", ("uploading", "unproven", "replacing"), "verified"),
    Transition("completion.keep_mismatch", ("unproven", "replacing"), "mismatch"),
    Transition("library.edit", ("uploading", *HERE), None),
    Transition("trash.trash", HERE, None),
    Transition("trash.untrash", HERE, None),
    Transition("trash.begin_purge", ("uploading", *HERE), "purging"),
    Transition("trash.remove_purged", ("purging",), ABSENT),
    Transition("shares.links.create", HERE, None),
    Transition("shares.links.let_go", HERE, None),
    Transition("analysis.analyse.keep", ("verified", "mismatch"), None),
)


def state_of(row: "Recording | None") -> str:
    """The state's name. Raises ValueError for a row that is in none: torn, or of a later version."""
    if row is None:
        return ABSENT
    for name, state in STATES.items():
        if state.fits(row):
            return name
    raise ValueError(f"Recording {row.id} is in no known state.")
