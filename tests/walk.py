"""The walk: what Recorder is for, done over plain HTTP against a running `make run`, with a restart in the middle.

    python -m tests.walk

It starts the server as a person does, signs in as a guest, brings recordings in both ways, reads, changes, loses
and finds them, presses Ctrl-C, starts again, looks whether everything is still there, and closes the account.
One line for each step; at the first thing that is wrong it says what, stops the server and exits with 1.
"""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote

import httpx

from tests.processes import free_ports

ROOT = Path(__file__).resolve().parent.parent
AUDIO = ROOT / "tests" / "audio"
STARTS_WITHIN = 600  # seconds; the first `make run` of a fresh clone installs everything
STOPS_WITHIN = 60
HEARS_WITHIN = 120
HEARD = {"playable", "duration", "codec", "sample_rate", "channels", "bit_rate", "version", "updated_at"}
STRANGERS_CALLS: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("PATCH", "", {"name": "mine now"}),
    ("DELETE", "", None),
    ("DELETE", "?permanent=true", None),
    ("GET", "download/", None),
    ("GET", "waveform/", None),
    ("POST", "restore/", None),
    ("POST", "complete/", None),
    ("POST", "parts/", {"parts": [{"number": 1, "sha256": "0" * 64}]}),
]


@dataclass(frozen=True)
class Clip:
    """A file of tests/audio and the way it comes in: the bytes to the server, or straight to S3."""

    file: str
    name: str
    content_type: str
    way: Literal["server", "s3"]
    recorded_at: str

    @property
    def data(self) -> bytes:
        return (AUDIO / self.file).read_bytes()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def facts(self) -> dict[str, Any]:
        """What create is told, and what the recording must say ever after."""
        return {
            "name": self.name,
            "size": len(self.data),
            "sha256": self.sha256,
            "content_type": self.content_type,
            "recorded_at": self.recorded_at,
        }


# Oldest first; a list shows them the other way round.
CLIPS = [
    Clip("speech.m4a", "회의 녹음, 3월 2일.m4a", "audio/mp4", "s3", "2025-03-02T00:30:00.000Z"),
    Clip("speech.ogg", 'She said "hello" \\ twice.ogg', "audio/ogg", "server", "2025-03-02T09:00:00.123Z"),
    Clip("speech.wav", "🎤 idea 100% & more.wav", "audio/wav", "server", "2025-03-03T09:00:00.000Z"),
    Clip("speech.webm", "🐕 산책하면서.webm", "audio/webm", "s3", "2025-03-04T09:00:00.000Z"),
    Clip("speech.mp3", "lecture.mp3", "audio/mpeg", "s3", "2025-03-05T09:00:00.000Z"),
]


class WalkError(Exception):
    """Something is not as the contract says."""


def check(found: object, expected: object, what: str, more: str = "") -> None:
    if found != expected:
        raise WalkError(f"{what}\n  expected {expected!r}\n  found    {found!r}\n  {more}".rstrip())


def wait_for(seconds: float, what: str, true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        check(time.monotonic() < deadline, True, f"{what} within {seconds} seconds")
        time.sleep(0.2)


class Server:
    """`make run` in a process group of its own, as in a terminal of its own, with its data in a new directory."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="recorder-walk-"))
        self.log = self.home / "make-run.log"
        self.base = ""
        self.make: subprocess.Popen[bytes] | None = None
        self.family: set[int] = set()  # ids of the processes that `make run` started

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing running and nothing on disk, however the walk ended."""
        if self.make:
            self.family |= descendants(self.make.pid)
            self.interrupt()
            try:
                self.make.wait(STOPS_WITHIN)
            except subprocess.TimeoutExpired:
                self.make.kill()
                self.make.wait()
        for pid in living(self.family):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.home)

    def start(self) -> str:
        port, aws = free_ports(2)
        self.base = f"http://127.0.0.1:{port}"
        environ = os.environ | {
            "LOCAL_DIR": str(self.home / "local"),
            "EMBEDDED_AWS_PORT": str(aws),
            "PYTHONUNBUFFERED": "1",
        }
        with self.log.open("ab") as log:
            self.make = subprocess.Popen(
                ["make", "run", f"PORT={port}"],
                cwd=ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(STARTS_WITHIN, "/health/ answers 200", self.healthy)
        self.family = descendants(self.make.pid)
        return self.base

    def healthy(self) -> bool:
        check(self.make and self.make.poll(), None, "exit code of make run, which should go on running")
        try:
            return fetch(f"{self.base}/health/?deep=1").status_code == 200
        except httpx.TransportError:
            return False

    def interrupt(self) -> None:
        """Ctrl-C: the terminal sends SIGINT to every process of the group."""
        if self.make and self.make.poll() is None:
            os.killpg(self.make.pid, signal.SIGINT)

    def stop(self) -> None:
        """Ctrl-C, and look at what stays behind."""
        if not self.make:
            return
        self.family |= descendants(self.make.pid)
        self.interrupt()
        make, self.make = self.make, None
        try:
            code = make.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            raise WalkError(f"Ctrl-C: make run goes on after {STOPS_WITHIN} seconds") from None
        check(code in (0, 130, -signal.SIGINT), True, f"exit code 0, 130 or SIGINT after Ctrl-C: it is {code}")
        check(living(self.family), set(), "processes that make run left behind")
        self.check_log()

    def check_log(self) -> None:
        for bad in ("Traceback (most recent call last)", "Internal Server Error"):
            check(bad in self.log.read_text(errors="replace"), False, f"{bad!r} in what make run printed")

    def tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-40:])


def processes() -> dict[int, int]:
    """Every living process's id and its parent's."""
    rows = subprocess.check_output(["ps", "-A", "-o", "pid=,ppid=,stat="], text=True).splitlines()
    return {int(pid): int(parent) for pid, parent, state in map(str.split, rows) if not state.startswith("Z")}


def descendants(pid: int) -> set[int]:
    parents, found, size = processes(), {pid}, 0
    while size != len(found):
        size = len(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found


def living(pids: set[int]) -> set[int]:
    return pids & processes().keys()


class Api:
    """One guest at one server. `call` fails unless the answer has the status that was expected."""

    def __init__(self, base: str) -> None:
        self.http = httpx.Client(base_url=f"{base}/api/v1/", timeout=60, trust_env=False)
        self.session: dict[str, Any] = {}
        self.used = 0  # bytes that the account must say it uses

    def call(self, method: str, path: str, expected: int, **request: Any) -> httpx.Response:
        """`request` is what httpx.Client.request takes: json, content, headers, params."""
        response = self.http.request(method, path, **request)
        check(response.status_code, expected, f"{method} /api/v1/{path}", response.text[:1000])
        if expected >= 400:
            check(response.headers["content-type"], "application/problem+json", f"content type of {method} {path}")
            check(response.json()["status"], expected, f"status in the problem of {method} {path}")
        return response

    def json(self, method: str, path: str, expected: int = 200, **request: Any) -> Any:
        return self.call(method, path, expected, **request).json()

    def sign_in(self) -> None:
        login = {"provider": "guest", "device_name": "the walk"}
        self.session = self.json("POST", "accounts/login/", 201, json=login)
        check(self.session["is_new"], True, "is_new of a guest")
        self.http.headers["Authorization"] = f"Bearer {self.session['auth_key']}"
        self.check_used()

    def move(self, base: str) -> None:
        """Go on at another address, with the same key."""
        self.http.base_url = f"{base}/api/v1/"

    def shelf(self, name: str = "library", **params: str) -> list[dict[str, Any]]:
        """The shelf, newest first, read in pages of two so that cursors are followed as well."""
        query = {"shelf": name, "limit": "2", **params}
        page = self.json("GET", "recordings/", params=query)
        results: list[dict[str, Any]] = page["results"]
        while page["next_cursor"]:
            page = self.json("GET", "recordings/", params={**query, "cursor": page["next_cursor"]})
            results += page["results"]
        return results

    def changes(self) -> list[dict[str, Any]]:
        """Everything that happened, as an app reads it that knows nothing yet."""
        page = self.json("GET", "recordings/changes/")
        changes: list[dict[str, Any]] = page["changes"]
        while page["has_more"]:
            page = self.json("GET", "recordings/changes/", params={"cursor": page["cursor"]})
            changes += page["changes"]
        return changes

    def check_used(self, more: int = 0) -> None:
        self.used += more
        check(self.json("GET", "accounts/me/")["used_bytes"], self.used, "used_bytes of accounts/me/")


def steady(*recordings: dict[str, Any]) -> list[dict[str, Any]]:
    """Recordings without what changes by itself, once somebody has listened to the sound."""
    return [{name: value for name, value in row.items() if name not in HEARD} for row in recordings]


def heard(recording: dict[str, Any]) -> bool:
    """Whether all of HEARD is there, which comes by itself a moment after the bytes."""
    return recording["playable"] is not None


def done(what: str) -> None:
    print(f"✓ {what}", flush=True)


def main() -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore Ctrl-C,
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and so would the server started here
    began = time.monotonic()
    with Server() as server:
        try:
            walk(server)
        except (WalkError, httpx.HTTPError) as wrong:
            print(f"✗ {type(wrong).__name__}: {wrong}\n\nThe server's last words:\n{server.tail()}", file=sys.stderr)
            return 1
    print(f"The walk is done, in {time.monotonic() - began:.0f} seconds.")
    return 0


def walk(server: Server) -> None:
    done(f"make run answers at {server.start()}")
    alice, bob = Api(server.base), Api(server.base)
    alice.sign_in()
    bob.sign_in()
    done("two guests signed in")

    recordings = [bring_in(alice, clip) for clip in CLIPS]
    for clip, recording in zip(CLIPS, recordings, strict=True):
        take_out(alice, clip, recording)
    retry(alice, recordings)
    edit(alice, recordings[0])
    trash_and_restore(alice, recordings[1])
    purge(alice, CLIPS[4], recordings[4])
    stay_a_stranger(bob, recordings)
    leave_halfway(bob, CLIPS[4])
    restart(server, alice, bob)
    finish_halfway(bob, CLIPS[4])
    close(alice, bob)
    server.stop()
    done("Ctrl-C: it stopped cleanly again")


def bring_in(api: Api, clip: Clip) -> dict[str, Any]:
    """Upload, and see the recording proven and on top of the list."""
    recording = put_to_server(api, clip) if clip.way == "server" else put_to_s3(api, clip)
    check_recording(recording, clip)
    again = api.json("GET", f"recordings/{recording['id']}/")
    check(again.pop("markers"), [], "its markers")
    check(steady(again, api.shelf()[0]), steady(recording, recording), "it, read again and on top of the list")
    done(f"{clip.name}: {len(clip.data):,} bytes, {'PUT to the server' if clip.way == 'server' else 'straight to S3'}")
    return recording


def put_to_server(api: Api, clip: Clip) -> dict[str, Any]:
    path = f"recordings/upload/{quote(clip.name, safe='')}/"
    request: dict[str, Any] = {
        "content": clip.data,
        "headers": {"Content-Type": clip.content_type},
        "params": {"recorded_at": clip.recorded_at, "sha256": clip.sha256},
    }
    recording: dict[str, Any] = api.json("PUT", path, 201, **request)
    api.check_used(len(clip.data))
    check(api.json("PUT", path, 200, **request)["id"], recording["id"], "id after the same PUT again")
    api.check_used()
    return recording


def put_to_s3(api: Api, clip: Clip) -> dict[str, Any]:
    created = api.json("POST", "recordings/", 201, json=clip.facts)
    id = created["recording"]["id"]
    check(created["recording"]["status"], "uploading", "status after create")
    api.check_used(len(clip.data))
    check(clip.sha256 in [row["sha256"] for row in api.shelf()], False, "in the library before it is uploaded")
    check([row["id"] for row in api.shelf("uploading")], [id], "ids of the uploading shelf")
    check(problem_code(api, f"recordings/{id}/complete/"), "upload_incomplete", "code of complete before the bytes")

    upload = api.json("POST", "recordings/", 200, json=clip.facts)["upload"]  # the retry's URL is as good
    send(upload, clip.data)
    completed: dict[str, Any] = api.json("POST", f"recordings/{id}/complete/")
    check(steady(api.json("POST", f"recordings/{id}/complete/")), steady(completed), "complete, called again")
    api.check_used()
    check(api.shelf("uploading"), [], "the uploading shelf after complete")
    return completed


def problem_code(api: Api, path: str) -> str:
    return str(api.json("POST", path, 409)["code"])


def send(upload: dict[str, Any], data: bytes) -> None:
    """PUT the bytes as `upload` says; a second write must bounce."""
    check((upload["kind"], upload["method"]), ("single", "PUT"), "the kind of upload")
    check([h for h in upload["headers"] if h.lower() in ("content-length", "authorization")], [], "headers to send")
    for expected in (200, 412):
        response = httpx.put(upload["url"], content=data, headers=upload["headers"], timeout=60, trust_env=False)
        check(response.status_code, expected, "the presigned PUT", response.text[:1000])


def check_recording(recording: dict[str, Any], clip: Clip) -> None:
    for fact, value in clip.facts.items():
        check(recording[fact], value, f"{fact} of {clip.file}")
    check(recording["status"], "ready", f"status of {clip.file}")
    check(recording["trashed_at"], None, f"trashed_at of {clip.file}")
    for moment in ("created_at", "updated_at", "verified_at"):
        check(bool(datetime.fromisoformat(recording[moment] or "-").tzinfo), True, f"zone of {moment}")
    duration = recording["duration"]  # null until somebody has listened to the file
    check(duration is None or 3.4 < duration < 3.7, True, f"duration of {clip.file} near 3.5: it is {duration}")


def take_out(api: Api, clip: Clip, recording: dict[str, Any]) -> None:
    """Download: the same bytes, any range of them, under the recording's name."""
    url = download_url(api, recording["id"])
    whole, part = fetch(url), fetch(url, Range="bytes=10-19")
    check((whole.status_code, whole.content == clip.data), (200, True), f"download of {clip.file}, bytes equal")
    check((part.status_code, part.content), (206, clip.data[10:20]), f"bytes 10-19 of {clip.file}")
    check(part.headers["content-range"], f"bytes 10-19/{len(clip.data)}", "Content-Range")
    check(whole.headers["content-type"], clip.content_type, "content type of the download")
    name = recording["name"].replace("\\", "_")  # no file's name leads to a folder
    check(file_name(whole.headers["content-disposition"]), name, "file name of the download")
    done(f"{recording['name']}: downloaded, byte for byte")


def download_url(api: Api, id: str) -> str:
    """Where the redirect leads. It is followed by hand: S3 refuses a presigned URL with Authorization beside it."""
    answer = api.call("GET", f"recordings/{id}/download/", 302)
    check("no-store" in answer.headers.get("cache-control", ""), True, "Cache-Control: no-store on the redirect")
    return str(answer.headers["location"])


def fetch(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, timeout=60, trust_env=False)


def file_name(disposition: str) -> str:
    """The name in a Content-Disposition of type attachment, as RFC 6266 section 4.3 has a browser choose it."""
    check(disposition.isascii() and disposition.startswith("attachment;"), True, f"Content-Disposition {disposition}")
    if extended := re.search(r"(?i)filename\*=utf-8''([^;\s]*)", disposition):
        return unquote(extended[1], errors="strict")
    plain = re.search(r'filename="((?:[^"\\]|\\.)*)"', disposition)
    return re.sub(r"\\(.)", r"\1", plain[1]) if plain else ""


def retry(api: Api, recordings: list[dict[str, Any]]) -> None:
    """Whatever comes again, and whichever way, is the recording that is there."""
    for clip, recording in zip(CLIPS, recordings, strict=True):
        again = api.json("POST", "recordings/", 200, json=clip.facts)
        check((again["recording"]["id"], again["upload"]), (recording["id"], None), f"create of {clip.file} again")
    hashes = [clip.sha256 for clip in CLIPS] + ["f" * 64]
    known = api.json("POST", "recordings/check/", json={"sha256": hashes})["results"]
    check([row["id"] for row in known[:-1]], [row["id"] for row in recordings], "ids of check/")
    check([row["status"] for row in known], ["ready"] * len(CLIPS) + ["missing"], "status of check/")
    check(steady(*api.shelf()), steady(*recordings[::-1]), "the library, newest first")
    api.check_used()
    done("everything sent again: the same ids, no second row, no second byte")


def edit(api: Api, recording: dict[str, Any]) -> None:
    changes = {"name": '새 이름 "최종".m4a', "tags": ["일", "work"], "favorite": True, "notes": "두 줄\n🎧"}
    edited = api.json("PATCH", f"recordings/{recording['id']}/", json=changes)
    check(steady(edited), steady(recording | changes), "the recording after PATCH")
    check(edited["version"] > recording["version"], True, "a newer version after PATCH")
    check([row["id"] for row in api.shelf(tag="일")], [recording["id"]], "ids with the tag")
    check([row["id"] for row in api.shelf(search="최종")], [recording["id"]], "ids that the search finds")
    api.check_used()
    recording.update(edited)
    take_out(api, CLIPS[0], recording)
    done("renamed, tagged, marked and annotated")


def trash_and_restore(api: Api, recording: dict[str, Any]) -> None:
    path, library = f"recordings/{recording['id']}/", [row["id"] for row in api.shelf()]
    api.call("DELETE", path, 204)
    rest = [id for id in library if id != recording["id"]]
    check([row["id"] for row in api.shelf()], rest, "the library without the trashed one")
    check([(row["id"], bool(row["trashed_at"])) for row in api.shelf("trash")], [(recording["id"], True)], "the trash")
    api.check_used()
    done("trashed: off the library, in the trash")

    recording.update(api.json("POST", f"{path}restore/"))
    check(recording["trashed_at"], None, "trashed_at after restore")
    check([row["id"] for row in api.shelf()], library, "the library after restore")
    check(api.shelf("trash"), [], "the trash after restore")
    take_out(api, CLIPS[1], recording)
    api.check_used()
    done("restored")


def purge(api: Api, clip: Clip, recording: dict[str, Any]) -> None:
    path, url = f"recordings/{recording['id']}/", download_url(api, recording["id"])
    api.call("DELETE", path, 204)
    api.call("DELETE", path, 204, params={"permanent": "true"})
    api.check_used(-len(clip.data))
    for gone in (path, f"{path}download/", f"{path}waveform/"):
        api.call("GET", gone, 404)
    check(fetch(url).status_code, 404, "a download URL handed out before")
    shelves = [row["id"] for shelf in ("library", "trash", "uploading") for row in api.shelf(shelf)]
    check(recording["id"] in shelves, False, "on a shelf after the purge")
    check({"id": recording["id"], "deleted": True} in api.changes(), True, "told as deleted by changes/")
    done("purged: gone everywhere, and its bytes are free again")


def stay_a_stranger(api: Api, recordings: list[dict[str, Any]]) -> None:
    for recording in recordings:
        for method, path, body in STRANGERS_CALLS:
            api.call(method, f"recordings/{recording['id']}/{path}", 404, json=body)
    known = api.json("POST", "recordings/check/", json={"sha256": [row["sha256"] for row in recordings]})["results"]
    check({row["status"] for row in known}, {"missing"}, "status of check/ for a stranger")
    check((api.shelf(), api.changes()), ([], []), "the list and the changes of a stranger")
    done(f"the other guest gets 404 on everything: {len(recordings) * len(STRANGERS_CALLS)} requests")


def leave_halfway(api: Api, clip: Clip) -> None:
    """An app that dies between its last byte and complete."""
    created = api.json("POST", "recordings/", 201, json=clip.facts)
    send(created["upload"], clip.data)
    api.check_used(len(clip.data))
    done("the other guest has sent the bytes, and not yet said so")


def finish_halfway(api: Api, clip: Clip) -> None:
    created = api.json("POST", "recordings/", 200, json=clip.facts)
    recording = api.json("POST", f"recordings/{created['recording']['id']}/complete/")
    check_recording(recording, clip)
    take_out(api, clip, recording)
    api.check_used()
    done("the upload that the restart cut in two is complete")


def restart(server: Server, alice: Api, bob: Api) -> None:
    """What was there before Ctrl-C is there after it: keys, accounts, every shelf, every change, every byte."""
    wait_for(HEARS_WITHIN, "all recordings are listened to", lambda: all(heard(row) for row in alice.shelf()))
    before = everything(alice)
    server.stop()
    done("Ctrl-C: it stopped cleanly and left no process behind")
    server.start()
    done("started again")
    for guest in (alice, bob):
        guest.move(server.base)
        guest.check_used()
    check(everything(alice), before, "what a guest has after the restart")
    done("keys, accounts, lists and every byte are as they were")


def everything(api: Api) -> dict[str, Any]:
    """All that a guest can read, with the hash of each recording's bytes."""
    shelves = {shelf: api.shelf(shelf) for shelf in ("library", "trash", "uploading")}
    return {
        "account": api.json("GET", "accounts/me/"),
        "changes": api.changes(),
        "bytes": {row["id"]: stored_sha256(api, row) for row in shelves["library"]},
        **shelves,
    }


def stored_sha256(api: Api, recording: dict[str, Any]) -> str:
    found = hashlib.sha256(fetch(download_url(api, recording["id"])).content).hexdigest()
    check(found, recording["sha256"], f"SHA-256 of the stored bytes of {recording['name']}")
    return found


def close(leaving: Api, staying: Api) -> None:
    urls = [download_url(leaving, row["id"]) for row in leaving.shelf()]
    leaving.call("DELETE", "accounts/me/", 202)
    for path in ("accounts/me/", "recordings/"):
        refused = leaving.call("GET", path, 401)
        check("www-authenticate" in refused.headers, True, "WWW-Authenticate beside 401")
    wait_for(10, "download URLs of a closed account answer 404", lambda: {fetch(u).status_code for u in urls} == {404})
    staying.check_used()
    done("account closed: its key answers 401, its files are gone, and the other guest's account is as it was")


if __name__ == "__main__":
    sys.exit(main())
