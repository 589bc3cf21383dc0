"""Files that were made to take all there is: they take what one file may, and each comes to an end for good.

A process as those are that handle events has each listened to by the real decoder, with a GiB of address space for
itself: a bound on memory that needs no control group.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recordings.analysis.analyse import TRIES
from recordings.analysis.decoding import MEMORY, cpu_seconds
from tests import hostile

ROOT = Path(__file__).parents[2]
PARENT = 150 * 2**20  # bytes that whoever handles events may take
BASE = 128 * 2**20  # bytes that Python, numpy and FFmpeg take before a file is opened, at most
KNOWN = {"m4a, 40 million samples", "mka, 3 clusters, each 599 s later, at 450000 Hz"}


def listened_to(files: list[tuple[str, bytes]], folder: Path) -> list[dict[str, Any]]:
    """What came of each, in the folder's order; last, what it took of memory."""
    for number, (_, content) in enumerate(files):
        (folder / f"{number:04}").write_bytes(content)
    command = [sys.executable, "-m", "tests.recordings.listener", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]


def check(files: list[tuple[str, bytes]], folder: Path) -> None:
    *found, memory = listened_to(files, folder)
    assert len(found) == len(files)
    for (name, content), said in zip(files, found, strict=True):
        assert said["playable"] in (True, False), name
        assert said["cpu"] <= TRIES * (cpu_seconds(len(content)) + 1), name
    assert memory["parent"] < PARENT
    assert memory["child"] < MEMORY + BASE
    slowest = max(found, key=lambda said: said["cpu"])
    playable = sum(said["playable"] for said in found)
    print(
        f"\n{len(files)} files, {playable} playable; at most {slowest['cpu']} s, by {files[int(slowest['name'])][0]};"
    )
    print(f"parent {memory['parent'] >> 20} MiB, child {memory['child'] >> 20} MiB")


def test_what_took_a_gigabyte_takes_no_more_than_it_may(tmp_path: Path) -> None:
    files = [(name, content) for name, content in hostile.files() if name in KNOWN]
    assert len(files) == len(KNOWN)
    assert max(len(content) for _, content in files) < 1000
    check(files, tmp_path)


@pytest.mark.check
def test_one_file_in_sixteen(tmp_path: Path) -> None:
    check(list(hostile.files())[::16], tmp_path)


@pytest.mark.soak
def test_every_file(tmp_path: Path) -> None:
    files = list(hostile.files())
    assert len({content for _, content in files}) > 600
    check(files, tmp_path)


def test_every_form_is_among_them() -> None:
    """Whatever FFmpeg may open, some file here is such a one, and an honest one is too."""
    assert len(hostile.honest()) > 25
    starts = {content[:4] for content in hostile.honest().values()} | {
        content[4:8] for content in hostile.honest().values()
    }
    assert {b"RIFF", b"fLaC", b"OggS", b"\x1a\x45\xdf\xa3", b"ftyp", b"caff", b"FORM", b".snd", b"#!AM"} <= starts
