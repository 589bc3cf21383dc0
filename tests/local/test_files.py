"""Files of objects and parts: on disk when `write` returns, and nothing of one that could not be written."""

import errno
import os
from pathlib import Path

import pytest

from local import files as module
from local.files import Files


def test_bytes_and_then_their_name_are_on_disk_before_anybody_hears_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    monkeypatch.setattr(module, "sync", lambda descriptor: done.append(os.fstat(descriptor).st_size))
    monkeypatch.setattr(module, "sync_directory", lambda directory: done.append([*directory.iterdir()]))
    name = Files(tmp_path).write(b"12345")
    assert done == [5, [tmp_path / name]]


@pytest.mark.parametrize("step", ["sync", "sync_directory"])
def test_what_could_not_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    files = Files(tmp_path)
    monkeypatch.setattr(module, step, fail)
    with pytest.raises(OSError, match="No space"):
        files.write(b"12345")
    assert list(files.objects.iterdir()) == []


def test_what_a_crash_left_unfinished_goes_at_the_next_start(tmp_path: Path) -> None:
    name = Files(tmp_path).write(b"12345")
    (tmp_path / "objects" / "half.tmp").touch()
    assert Files(tmp_path).body({"body": None, "file": name}) == b"12345"
    assert len(list((tmp_path / "objects").iterdir())) == 1
