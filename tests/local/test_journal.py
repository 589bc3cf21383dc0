"""The journal: what `write` has returned from is there again, whatever happens to process, disk or file."""

import errno
import itertools
import os
import resource
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from local import journal as module
from local.journal import DamagedError, Journal, Reader, State, compact, encode, path_of

VALUES: list[Any] = [{"S": "가 \ud800"}, [1, None, 1.5, True], "text\nwith \u2028 lines", 0, "", {}]


def opened(directory: Path, **options: Any) -> tuple[Journal, State]:
    journal = Journal(directory, **options)
    return journal, journal.open().state


def read(directory: Path) -> State:
    return Reader(directory).read()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is not waited for, but where a test looks at that."""
    monkeypatch.setattr(module, "sync", lambda descriptor: None)
    monkeypatch.setattr(module, "sync_directory", lambda directory: None)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Three lines, in a journal that nobody writes to."""
    journal, state = opened(tmp_path / "journal")
    assert state == {}
    journal.write({("a",): 1, ("b",): 1})
    journal.write({("a",): 2, ("c", "d"): VALUES})
    journal.write({("b",): None})
    journal.close()
    return tmp_path / "journal"


def the_file(directory: Path) -> Path:
    return path_of(directory, "journal", 1)


WHOLE = {("a",): 2, ("c", "d"): VALUES}


def test_what_was_written_is_read_again(written: Path) -> None:
    journal, state = opened(written)
    assert state == WHOLE
    journal.write({("e",): 5})
    journal.close()
    assert read(written) == {**WHOLE, ("e",): 5}


def test_every_cut_leaves_the_lines_before_it_and_can_be_written_after(written: Path) -> None:
    file = the_file(written)
    content = file.read_bytes()
    lines = content.splitlines(keepends=True)
    ends = list(itertools.accumulate(map(len, lines)))
    states: list[State] = [{}, {("a",): 1, ("b",): 1}, {**WHOLE, ("b",): 1}, WHOLE]
    for cut in range(len(content) + 1):
        shutil.rmtree(written)
        written.mkdir()
        file.write_bytes(content[:cut])
        whole = sum(end <= cut for end in ends)
        journal, state = opened(written)
        assert state == states[whole]
        journal.write({("z",): cut})
        journal.close()
        assert read(written) == {**states[whole], ("z",): cut}
        torn = content[([0, *ends])[whole] : cut]
        assert (file.with_suffix(".torn").read_bytes() if torn else b"") == torn


@pytest.mark.parametrize("tail", [b"\0" * 4096, b"\0" * 4095 + b"\n", b"junk\n", b"junk\njunk\n", b"00000000 []\n"])
def test_a_tail_of_rubbish_is_put_aside(written: Path, tail: bytes) -> None:
    with the_file(written).open("ab") as file:
        file.write(tail)
    journal, state = opened(written)
    journal.close()
    assert state == WHOLE == read(written)
    assert the_file(written).with_suffix(".torn").read_bytes() == tail


def test_damage_before_the_end_is_named_and_nothing_is_touched(written: Path) -> None:
    file = the_file(written)
    content = file.read_bytes()
    last = content.rindex(b"\n", 0, -1)
    for place in range(last):
        damaged = bytearray(content)
        damaged[place] ^= 1
        file.write_bytes(damaged)
        with pytest.raises(DamagedError, match=r"journal-000001 is damaged in line [12]"):
            opened(written)
        assert [path.name for path in written.iterdir()] == ["journal-000001"]
        assert file.read_bytes() == damaged


def test_a_line_that_is_gone_is_damage_of_a_snapshot(written: Path) -> None:
    compact(written, 1, lambda state: ())
    snapshot = path_of(written, "snapshot", 1)
    content = snapshot.read_bytes()
    assert read(written) == WHOLE
    for end in [*range(len(content) - 1)]:
        snapshot.write_bytes(content[:end])
        with pytest.raises(DamagedError, match="snapshot-000001"):
            opened(written)
        assert snapshot.read_bytes() == content[:end]


def test_a_journal_that_is_missing_is_named(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path, compact_at=1)
    for number in range(3):
        journal.compact_at = 1
        journal.write({("n",): number})
        assert journal.compaction
        journal.compaction.join()
    journal.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal-000004", "snapshot-000003"]
    path_of(tmp_path, "journal", 4).rename(path_of(tmp_path, "journal", 5))
    with pytest.raises(DamagedError, match="journal-000004 is missing"):
        opened(tmp_path)


# A disk that fails.


class Disk:
    """Counts what is done to the disk, and fails from a given moment on, as long as `broken`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broken: set[str] = set()
        self.done: list[str] = []
        self.room = 10**9  # bytes that can be written yet
        self.write, self.truncate = os.write, os.ftruncate
        monkeypatch.setattr(os, "write", self.writing)
        monkeypatch.setattr(os, "ftruncate", self.truncating)
        monkeypatch.setattr(module, "sync", self.syncing)

    def writing(self, descriptor: int, data: memoryview) -> int:
        self.check("write")
        taken = min(len(data), self.room, 7)  # short writes, as POSIX allows
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= taken
        return self.write(descriptor, data[:taken])

    def truncating(self, descriptor: int, size: int) -> None:
        self.check("truncate")
        self.truncate(descriptor, size)

    def syncing(self, descriptor: int) -> None:
        self.check("sync")

    def check(self, what: str) -> None:
        self.done.append(what)
        if what in self.broken:
            raise OSError(errno.EIO, what)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_nothing_is_acknowledged_before_it_is_synced(tmp_path: Path, disk: Disk) -> None:
    journal, _ = opened(tmp_path)
    disk.done.clear()
    journal.write({("a",): 1})
    assert disk.done[-1] == "sync"
    assert disk.done.count("sync") == 1
    journal.close()


def test_a_full_disk_refuses_keeps_what_is_there_and_goes_on_when_there_is_room(tmp_path: Path, disk: Disk) -> None:
    journal, _ = opened(tmp_path)
    line = len(encode([(("b",), 2)]))
    journal.write({("a",): 1})
    for room in range(line):
        disk.room = room
        with pytest.raises(OSError, match="No space"):
            journal.write({("b",): 2})
        assert read(tmp_path) == {("a",): 1}
    disk.room = 10**9
    journal.write({("c",): 3})
    journal.close()
    assert read(tmp_path) == {("a",): 1, ("c",): 3}
    assert not list(tmp_path.glob("*.torn"))


@pytest.mark.parametrize("also", ["", "truncate"])
def test_what_could_not_be_synced_is_taken_out_again(tmp_path: Path, disk: Disk, also: str) -> None:
    journal, _ = opened(tmp_path)
    journal.write({("a",): 1})
    disk.broken = {"sync", also}
    for _ in range(2):
        with pytest.raises(OSError, match=r"sync|truncate"):
            journal.write({("a",): 2})
    disk.broken = set()
    journal.write({("c",): 3})
    journal.close()
    assert read(tmp_path) == {("a",): 1, ("c",): 3}


def test_a_real_limit_of_the_system(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    kept: State = {}
    try:
        with suppress(OSError):
            for number in range(1000):
                journal.write({(str(number),): "x" * 20})
                kept[(str(number),)] = "x" * 20
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert 0 < len(kept) < 1000
    assert read(tmp_path) == kept
    journal.write({("more",): 1})
    journal.close()
    assert read(tmp_path) == {**kept, ("more",): 1}


# Compaction.


def test_journals_come_into_a_snapshot_while_more_is_written(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path, compact_at=2000)
    for number in range(500):
        journal.write({(str(number % 50),): number, ("gone", str(number)): None})
    journal.close()
    expected = {(str(number % 50),): number for number in range(500)}
    assert read(tmp_path) == expected
    (snapshot,) = module.numbers(tmp_path, "snapshot")
    assert min(module.numbers(tmp_path, "journal")) == snapshot + 1  # what it made useless is gone


def test_what_need_not_be_kept_is_left_out(written: Path) -> None:
    compact(written, 1, lambda state: [key for key in state if key == ("a",)])
    assert read(written) == {("c", "d"): VALUES}


class KilledError(BaseException):
    pass


def dying(monkeypatch: pytest.MonkeyPatch, step: int) -> Callable[[], None]:
    """Let the process end before the `step`-th thing that is done to the disk."""
    steps = itertools.count()

    def before(real: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **options: Any) -> Any:
            if next(steps) == step:
                raise KilledError
            return real(*arguments, **options)

        return act

    for owner, name in (
        *((module, name) for name in ("encode", "sync", "sync_directory")),
        *((Path, name) for name in ("open", "replace", "unlink")),
    ):
        monkeypatch.setattr(owner, name, before(getattr(owner, name)))
    return monkeypatch.undo


@pytest.mark.parametrize("step", range(20))
def test_a_compaction_may_end_anywhere(written: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Two journals before it, so that every file of an earlier one is there as well, then another compaction."""
    compact(written, 1, lambda state: ())
    for number in (2, 3):
        path_of(written, "journal", number).write_bytes(encode([(("n",), number)]))
    expected = {**WHOLE, ("n",): 3}
    assert read(written) == expected
    alive = dying(monkeypatch, step)
    died = False
    try:
        compact(written, 2, lambda state: ())
    except KilledError:
        died = True
    alive()
    assert died or step > 10
    assert read(written) == expected
    journal, state = opened(written)
    assert state == expected
    journal.write({("m",): 1})
    journal.close()
    assert read(written) == {**expected, ("m",): 1}
    assert not list(written.glob("*.tmp"))


def test_a_full_disk_holds_up_no_journal_for_a_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(directory: Path, number: int, state: State) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "write_snapshot", full)
    journal, _ = opened(tmp_path, compact_at=1)
    for number in range(3):
        journal.write({("n", str(number)): number})
    journal.close()
    assert len(read(tmp_path)) == 3
    assert not list(tmp_path.glob("snapshot-*"))


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize(
    "order", list(itertools.permutations(["journal-000001", "journal-000002", "snapshot-000001"]))
)
def test_a_copy_around_a_compaction_is_whole_or_refused(tmp_path: Path, order: list[str], before: int) -> None:
    """The files copied one by one, with a compaction at any moment, and more written after it."""
    copy = tmp_path / "copy"
    copy.mkdir()
    journal, _ = opened(tmp_path / "journal")
    journal.write({("n",): 1})
    for place, name in enumerate([*order, ""]):
        if place == before:
            journal.compact_at = 1
            journal.write({("n",): 2})
            assert journal.compaction
            journal.compaction.join()
            journal.compact_at = 10**6
            journal.write({("n",): 3})
        if name and (journal.directory / name).exists():
            shutil.copy(journal.directory / name, copy)
    journal.close()
    with suppress(DamagedError):
        assert read(copy) in [{("n",): each} for each in (1, 2, 3)] or not list(copy.iterdir())
