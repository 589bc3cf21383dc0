"""examples mirror: the folder ends equal to the account, whatever happened, and holds no file that is not proven."""

import json
from pathlib import Path

import httpx
import pytest
from pytest_django import Settings

from examples.backup import backup
from examples.client import ApiError, Recorder
from examples.mirror import ASIDE, STATE, MirrorError, mirror, safe_name
from recordings.changes import sync
from recordings.models import Change, Recording
from tests.client import Client
from tests.examples.conftest import Wire, response
from tests.state import kept


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != STATE}


def test_follows_the_account(alice: Client, recorder: Recorder, wire: Wire, tmp_path: Path) -> None:
    one, two = alice.record(b"one", name="One.wav"), alice.record(b"two", name="Two.wav")
    alice.create(b"under way")
    assert mirror(recorder, tmp_path) == {"downloaded": 2, "renamed": 0, "deleted": 0, "set aside": 0}
    assert content(tmp_path) == {"One.wav": b"one", "Two.wav": b"two"}
    assert mirror(recorder, tmp_path) == {"downloaded": 0, "renamed": 0, "deleted": 0, "set aside": 0}
    alice.patch(f"recordings/{one['id']}/", {"name": "Uno.wav"})
    alice.delete(f"recordings/{two['id']}/")
    alice.record(b"three", name="강의 3.wav")
    assert mirror(recorder, tmp_path) == {"downloaded": 1, "renamed": 1, "deleted": 1, "set aside": 0}
    assert content(tmp_path) == {"Uno.wav": b"one", "강의 3.wav": b"three"}
    alice.post(f"recordings/{two['id']}/restore/")
    alice.delete(f"recordings/{one['id']}/?permanent=true")
    mirror(recorder, tmp_path)
    assert content(tmp_path) == {"Two.wav": b"two", "강의 3.wav": b"three"}
    assert wire.calls("/download/") == 4


def test_a_file_has_its_recordings_time(alice: Client, recorder: Recorder, tmp_path: Path) -> None:
    alice.record(b"one", name="One.wav", recorded_at="2020-02-03T04:05:06.000Z")
    mirror(recorder, tmp_path)
    assert (tmp_path / "One.wav").stat().st_mtime == 1580702706


def test_names_stay_apart(alice: Client, recorder: Recorder, tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_bytes(b"somebody else's file")
    for number, name in enumerate(["Talk.wav", "talk.wav", "a/b.wav", "a:b.wav"]):
        alice.record(b"%d" % number, name=name)
    mirror(recorder, tmp_path)
    names = content(tmp_path)
    assert names.pop("talk.wav") == b"somebody else's file"
    assert sorted(names.values()) == [b"0", b"1", b"2", b"3"]
    assert {name.casefold() for name in names} == {"talk.wav", "talk (2).wav", "a_b.wav", "a_b (2).wav"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("강의 1.wav", "강의 1.wav"),
        ("../../etc/passwd", "_.._etc_passwd.wav"),
        ("a\\b:c*d?.wav", "a_b_c_d_.wav"),
        ("con", "_con.wav"),
        ("LPT1.wav", "_LPT1.wav"),
        (" . ", "recording.wav"),
        (".hidden", "hidden.wav"),
        ("tab\there.wav", "tab_here.wav"),
        ("v1.2 of it", "v1.2 of it.wav"),
    ],
)
def test_names_are_safe(name: str, expected: str) -> None:
    assert safe_name(name, "audio/wav") == expected


@pytest.mark.parametrize("name", ["evil.application", "evil.exe\u00ad", "evil.\u200bwav.exe", "evil"])
def test_names_end_as_sound_does(name: str) -> None:
    assert safe_name(name, "audio/wav").endswith(".wav")
    assert safe_name(name, "audio/x-own").endswith(".audio")
    assert safe_name(name, "audio/x-own").isascii()


def test_long_names_are_cut_between_characters() -> None:
    name = safe_name("가" * 255, "audio/wav")
    assert name.endswith("가.wav")
    assert len(name.encode()) <= 240


def test_goes_on_with_half_a_file(alice: Client, recorder: Recorder, wire: Wire, tmp_path: Path) -> None:
    row = alice.record(b"0123456789", name="Talk.wav")
    (tmp_path / f".{row['id']}.part").write_bytes(b"01234")
    mirror(recorder, tmp_path)
    assert content(tmp_path) == {"Talk.wav": b"0123456789"}
    assert wire.sent[-1].headers["range"] == "bytes=5-"


@pytest.mark.parametrize("rest", [b"xxxxx", b"0123456789", b"01234567890123"])
def test_wrong_bytes_never_get_the_name(alice: Client, recorder: Recorder, tmp_path: Path, rest: bytes) -> None:
    row = alice.record(b"0123456789", name="Talk.wav")
    (tmp_path / f".{row['id']}.part").write_bytes(rest)
    mirror(recorder, tmp_path)
    assert content(tmp_path) == {"Talk.wav": b"0123456789"}


def test_what_always_arrives_wrong_stays_out(alice: Client, recorder: Recorder, wire: Wire, tmp_path: Path) -> None:
    alice.record(b"one", name="One.wav")
    alice.record(b"two", name="Two.wav")
    wire.hook = lambda request: response(200, {}, b"???") if "amazonaws" in request.url.host else None
    with pytest.raises(MirrorError, match="is not the recording"):
        mirror(recorder, tmp_path)
    assert content(tmp_path) == {}
    wire.hook = lambda request: None
    mirror(recorder, tmp_path)
    assert content(tmp_path) == {"One.wav": b"one", "Two.wav": b"two"}


def test_killed_it_goes_on_and_downloads_nothing_twice(
    alice: Client, recorder: Recorder, wire: Wire, tmp_path: Path
) -> None:
    for number in range(8):
        alice.record(b"%d" % number, name="Talk.wav")

    def die(request: httpx.Request) -> httpx.Response | None:
        if wire.calls("/download/") > 5:
            raise KeyboardInterrupt
        return None

    wire.hook = die
    with pytest.raises(KeyboardInterrupt):
        mirror(recorder, tmp_path)
    here = len([name for name in content(tmp_path) if not name.startswith(".")])
    assert 0 < here < 8
    assert not (tmp_path / STATE).exists()
    wire.hook = lambda request: None
    wire.sent.clear()
    mirror(recorder, tmp_path)
    assert sorted(content(tmp_path).values()) == [b"%d" % number for number in range(8)]
    assert wire.calls("/download/") <= 8 - here + 1


def test_a_cursor_that_is_too_old_is_a_new_start(
    alice: Client, recorder: Recorder, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = alice.record(b"one", name="One.wav")
    alice.record(b"two", name="Two.wav")
    mirror(recorder, tmp_path)
    alice.delete(f"recordings/{one['id']}/?permanent=true")
    alice.record(b"three", name="Three.wav")
    for change in Change.all_of(alice.user_id, one["id"]):
        change.delete()  # its tombstone has expired
    monkeypatch.setattr(sync, "CURSOR_DAYS", -1)

    def recover(request: httpx.Request) -> None:
        if wire.calls("/changes/") > 2:
            monkeypatch.undo()

    wire.hook = recover
    mirror(recorder, tmp_path)
    assert content(tmp_path) == {"Two.wav": b"two", "Three.wav": b"three"}
    assert content(tmp_path / ASIDE) == {"One.wav": b"one"}
    assert wire.calls("/download/") == 3


def test_a_cursor_of_other_keys_is_a_new_start(
    alice: Client, recorder: Recorder, wire: Wire, tmp_path: Path, settings: Settings
) -> None:
    alice.record(b"one", name="One.wav")
    mirror(recorder, tmp_path)
    alice.record(b"two", name="Two.wav")
    settings.SECRET_KEY = "another-key-" + "1" * 32
    wire.sent.clear()
    assert mirror(recorder, tmp_path) == {"downloaded": 1, "renamed": 0, "deleted": 0, "set aside": 0}
    assert content(tmp_path) == {"One.wav": b"one", "Two.wav": b"two"}
    assert wire.calls("/download/") == 1


@pytest.mark.parametrize("refusal", [(400, "invalid"), (410, "cursor_expired")])
def test_what_a_restored_server_does_not_know_is_not_lost(
    alice: Client, recorder: Recorder, wire: Wire, tmp_path: Path, refusal: tuple[int, str]
) -> None:
    """Its tables are those of yesterday, so recordings of today are in the mirror alone."""
    old, new = alice.record(b"old", name="Old.wav"), alice.record(b"new", name="New.wav")
    mirror(recorder, tmp_path)
    kept(alice.user_id, new["id"]).delete()
    for change in Change.all_of(alice.user_id, new["id"]):
        change.delete()
    (tmp_path / ASIDE).mkdir()
    (tmp_path / ASIDE / "New.wav").write_bytes(b"of an earlier time")

    def refuse(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/changes/") and request.url.params.get("cursor"):
            said = json.dumps({"code": refusal[1], "detail": "No."}).encode()
            return response(refusal[0], {"Content-Type": "application/problem+json"}, said)
        return None

    wire.hook = refuse
    assert mirror(recorder, tmp_path) == {"downloaded": 0, "renamed": 0, "deleted": 0, "set aside": 1}
    assert content(tmp_path) == {"Old.wav": b"old"}
    assert content(tmp_path / ASIDE) == {"New.wav": b"of an earlier time", "New (2).wav": b"new"}
    wire.hook = lambda request: None
    found = {file.name: file.recording.get("id") for file in backup(recorder, tmp_path)}
    assert found["Old.wav"] == old["id"]
    assert found[f"{ASIDE}/New (2).wav"] == new["id"]
    assert alice.get(f"recordings/{new['id']}/").json["status"] == "ready"


@pytest.mark.parametrize("refusal", [(400, "invalid"), (410, "cursor_expired")])
def test_a_server_that_refuses_the_beginning_is_not_asked_forever(
    alice: Client, recorder: Recorder, wire: Wire, tmp_path: Path, refusal: tuple[int, str]
) -> None:
    alice.record(b"one", name="One.wav")
    mirror(recorder, tmp_path)
    said = json.dumps({"code": refusal[1], "detail": "No."}).encode()
    wire.hook = lambda request: response(refusal[0], {"Content-Type": "application/problem+json"}, said)
    wire.sent.clear()
    with pytest.raises(ApiError):
        mirror(recorder, tmp_path)
    assert len(wire.sent) == 2
    assert content(tmp_path) == {"One.wav": b"one"}


def test_a_file_that_was_taken_away_comes_back(alice: Client, recorder: Recorder, wire: Wire, tmp_path: Path) -> None:
    alice.record(b"one", name="One.wav")
    alice.record(b"two", name="Two.wav")
    mirror(recorder, tmp_path)
    (tmp_path / "One.wav").unlink()
    assert mirror(recorder, tmp_path) == {"downloaded": 1, "renamed": 0, "deleted": 0, "set aside": 0}
    assert content(tmp_path) == {"One.wav": b"one", "Two.wav": b"two"}


def test_a_folder_belongs_to_one_account(alice: Client, charlie: Client, recorder: Recorder, tmp_path: Path) -> None:
    alice.record(b"one", name="One.wav")
    mirror(recorder, tmp_path)
    assert json.loads((tmp_path / STATE).read_text())["account"] == alice.user_id
    recorder.auth_key = charlie.auth_key
    with pytest.raises(MirrorError, match="another account"):
        mirror(recorder, tmp_path)
    assert content(tmp_path) == {"One.wav": b"one"}


def test_a_recording_purged_before_its_download_is_no_fault(
    alice: Client, recorder: Recorder, wire: Wire, tmp_path: Path
) -> None:
    row = alice.record(b"one", name="One.wav")

    def purge(request: httpx.Request) -> None:
        if request.url.path.endswith("/download/"):
            alice.delete(f"recordings/{row['id']}/?permanent=true")

    wire.hook = purge
    mirror(recorder, tmp_path)
    mirror(recorder, tmp_path)
    assert content(tmp_path) == {}


def test_a_good_copy_outlives_a_mismatch_on_the_server(alice: Client, recorder: Recorder, tmp_path: Path) -> None:
    row = kept(alice.user_id, alice.record(b"one", name="One.wav")["id"])
    mirror(recorder, tmp_path)
    row.update([Recording.status.set("mismatch")])
    alice.patch(f"recordings/{row.id}/", {"name": "Uno.wav"})
    assert alice.get(f"recordings/{row.id}/").json["status"] == "mismatch"
    assert mirror(recorder, tmp_path) == {"downloaded": 0, "renamed": 0, "deleted": 0, "set aside": 0}
    assert content(tmp_path) == {"One.wav": b"one"}
