"""Keep a folder equal to the account's library: download what is new, rename and delete what changed.

The folder holds a state file: how far the account's changes were followed, and which file is which recording. It is
written after each page of changes. A run that was killed before that sees the page again, and finds its files there.
"""

import hashlib
import itertools
import json
import os
import re
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from examples.backup import TYPES
from examples.client import PASSING, ApiError, Recorder

STATE = ".recorder-mirror.json"
ASIDE = "not in the account"  # a folder in the folder
AT_ONCE = 4
BEGIN_AGAIN = (400, 410)  # a cursor of other keys or tables than the server has now, or one that is too old
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # on Windows
SUFFIXES = {content_type: suffix for suffix, content_type in reversed(TYPES.items())}


class MirrorError(Exception):
    """The folder could not be made equal; the text says why. Running it again goes on from there."""


@dataclass
class State:
    """`files`: by recording id, the name in the folder, the name it was made from, and the SHA-256.

    `unseen` (while a sync that began anew is under way): ids that the account may not have any more.
    """

    account: str
    cursor: str = ""
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    unseen: list[str] | None = None

    @classmethod
    def load(cls, folder: Path, account: str) -> "State":
        path = folder / STATE
        if not path.exists():
            return cls(account)
        state = cls(**json.loads(path.read_text()))
        if state.account != account:
            raise MirrorError(f"{folder} mirrors another account.")
        return state

    def save(self, folder: Path) -> None:
        write(folder / STATE, json.dumps(self.__dict__, ensure_ascii=False).encode())


def mirror(recorder: Recorder, folder: Path) -> dict[str, int]:
    """Follow the changes to their end. Returns how many files were downloaded, renamed, deleted and set aside."""
    folder.mkdir(parents=True, exist_ok=True)
    state = State.load(folder, recorder.user_id)
    counts = {"downloaded": 0, "renamed": 0, "deleted": 0, "set aside": 0}
    if any(not (folder / file["name"]).exists() for file in state.files.values()):
        begin_again(state)  # somebody took a file away: go through everything, keep what is there
    more = True
    while more:
        try:
            entries, cursor, more = recorder.changes(state.cursor)
        except ApiError as error:
            if error.status not in BEGIN_AGAIN or not state.cursor:
                raise
            begin_again(state)
            continue
        follow(recorder, folder, state, entries, counts)
        state.cursor = cursor
        if not more and state.unseen is not None:
            for id in state.unseen:
                set_aside(folder, state, id, counts)
            state.unseen = None
        state.save(folder)
    return counts


def begin_again(state: State) -> None:
    """Purged recordings are told only for so long: what a sync from the beginning does not name is not there. Whether
    anybody wanted that is another question: a server that was brought back from a backup knows nothing newer.
    """
    state.cursor, state.unseen = "", list(state.files)


def follow(
    recorder: Recorder, folder: Path, state: State, entries: list[dict[str, Any]], counts: dict[str, int]
) -> None:
    """Act on one page of changes: deletions and renames first, then downloads, several at once.

    What is not `ready` is left as it is: a file that is here already may be the last good copy of a `mismatch`.
    """
    wanted = []
    for entry in entries:
        if state.unseen and entry["id"] in state.unseen:
            state.unseen.remove(entry["id"])
        if entry.get("deleted") or entry["trashed_at"]:
            delete(folder, state, entry["id"], counts)
        elif entry["status"] == "ready" and not place(folder, state, entry, counts):
            wanted.append(entry)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        faults = [fault for fault in pool.map(lambda entry: fetch(recorder, folder, state, entry), wanted) if fault]
    counts["downloaded"] += len(wanted) - len(faults)
    if faults:
        raise MirrorError("; ".join(faults))


def delete(folder: Path, state: State, id: str, counts: dict[str, int]) -> None:
    (folder / f".{id}.part").unlink(missing_ok=True)
    if file := state.files.pop(id, None):
        (folder / file["name"]).unlink(missing_ok=True)
        counts["deleted"] += 1


def set_aside(folder: Path, state: State, id: str, counts: dict[str, int]) -> None:
    """Move a file that the account does not name out of the mirror: it may be the last copy. `backup` sends it."""
    (folder / f".{id}.part").unlink(missing_ok=True)
    if (file := state.files.pop(id, None)) and (folder / file["name"]).exists():
        (folder / ASIDE).mkdir(exist_ok=True)
        stem, suffix = os.path.splitext(file["name"])  # noqa: PTH122 - a name, not a path
        names = (f"{stem} ({number}){suffix}" if number > 1 else file["name"] for number in itertools.count(1))
        (folder / file["name"]).replace(next(path for name in names if not (path := folder / ASIDE / name).exists()))
        counts["set aside"] += 1


def place(folder: Path, state: State, entry: dict[str, Any], counts: dict[str, int]) -> bool:
    """Give the recording its name in the folder. Returns whether its bytes are there."""
    base, known = safe_name(entry["name"], entry["content_type"]), state.files.get(entry["id"])
    here = bool(known and (folder / known["name"]).exists())
    if here and known and known["base"] == base:
        return True
    name, same = free_name(folder, state, base, entry)
    if here and known:
        (folder / known["name"]).replace(folder / name)
        counts["renamed"] += 1
    state.files[entry["id"]] = {"name": name, "base": base, "sha256": entry["sha256"]}
    return here or same


def free_name(folder: Path, state: State, base: str, entry: dict[str, Any]) -> tuple[str, bool]:
    """`base`, or `base (2)` and so on where another file has that name; and whether the recording's bytes are there,
    as after a run that was killed or that lost its state file.
    """
    stem, suffix = os.path.splitext(base)  # noqa: PTH122 - a name, not a path
    for number in itertools.count(1):
        name = base if number == 1 else f"{stem} ({number}){suffix}"
        if owner(state, name) not in (None, entry["id"]):
            continue
        if not (folder / name).exists():
            return name, False
        if (folder / name).is_file() and sha256(folder / name) == entry["sha256"]:
            return name, True
    raise AssertionError


def owner(state: State, name: str) -> str | None:
    """The recording that has this name, as file systems compare names that do not tell capitals apart."""
    taken = (id for id, file in state.files.items() if file["name"].casefold() == name.casefold())
    return next(taken, None)


def safe_name(name: str, content_type: str) -> str:
    """A recording's name as a file name that every file system takes: no path, at most 240 bytes, nothing unseen
    in it, and a suffix of sound.
    """
    name = "".join(each for each in unicodedata.normalize("NFC", name) if unicodedata.category(each) != "Cf")
    name = re.sub(r'[/\\:*?"<>|\x00-\x1f\x7f]', "_", name)
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a name, not a path
    if suffix.lower() not in TYPES:
        stem, suffix = name, SUFFIXES.get(content_type, ".audio")
    room = 240 - len(suffix.encode())
    stem = stem.encode()[:room].decode(errors="ignore").strip(" .") or "recording"
    return f"_{stem}{suffix}" if RESERVED.match(stem) else f"{stem}{suffix}"


def fetch(recorder: Recorder, folder: Path, state: State, entry: dict[str, Any]) -> str:
    """Download one recording under a temporary name, prove it, and put it in place. Returns what went wrong."""
    id, part = entry["id"], folder / f".{entry['id']}.part"
    for last in (False, False, True):
        try:
            receive(recorder, id, part)
        except (ApiError, httpx.TransportError) as error:
            status = error.status if isinstance(error, ApiError) else 0
            if status == 404:  # trashed or purged since: the next changes say so
                state.files.pop(id, None)
                return ""
            if last or status not in (0, *PASSING):
                return f"{entry['name']}: {error}"
            time.sleep(1)
            continue
        if sha256(part) == entry["sha256"]:
            moment = datetime.fromisoformat(entry["recorded_at"]).timestamp()
            os.utime(part, (moment, moment))
            part.replace(folder / state.files[id]["name"])
            return ""
        part.unlink()
    return f"{entry['name']}: what arrived is not the recording"


def receive(recorder: Recorder, id: str, part: Path) -> None:
    """Bring `part` to its end, from where an earlier run left it."""
    start = part.stat().st_size if part.exists() else 0
    try:
        with recorder.download(id, start) as (ranged, blocks), part.open("ab" if ranged else "wb") as stream:
            for block in blocks:
                stream.write(block)
            stream.flush()
            os.fsync(stream.fileno())
    except ApiError as error:
        if error.status != 416:  # it was whole already
            raise


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write(path: Path, content: bytes) -> None:
    """Replace a file at once: a crash leaves the old one or the new one."""
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
