"""What a recording sounds like: found after its proof, once, whoever dies on the way; and its waveform."""

from typing import Any

import numpy as np
import pytest
import requests

from aws import object_reader
from lib.blocks import OverreadError
from lib.problems import Problem
from operations.sweep import sweep
from recordings.analysis import audio
from recordings.models import Recording
from tests.client import Client, send
from tests.recordings.test_events import tell, upload
from tests.sound import encode, silence, tone
from tests.state import calls, check_books, failing, kept, make_due, meanwhile, put

RATE = 8000
SOUND = encode(np.concatenate((tone(1, RATE), silence(1, RATE), tone(1, RATE))), "wav, mu-law")
NO_SOUND = b"This is no sound. " * 30


@pytest.fixture
def sound(alice: Client) -> Recording:
    """A ready recording of sound that nobody has listened to."""
    found: Recording = kept(alice.user_id, alice.record(SOUND)["id"])
    return found


class Death(BaseException):
    """The end of the process that decodes: it answers nothing."""


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The decoder brings its process down. What was tried."""
    tried: list[str] = []

    def die(name: str) -> Any:
        def act(file: Any, *, seconds: float) -> None:
            tried.append(name)
            raise Death

        return act

    monkeypatch.setattr(audio, "read", die("read"))
    monkeypatch.setattr(audio, "read_header", die("read_header"))
    return tried


def test_the_event_brings_the_facts(alice: Client, sound: Recording) -> None:
    before = alice.get(f"recordings/{sound.id}/").json
    assert (before["playable"], before["duration"]) == (None, None)
    assert tell(sound.key) == {"ready": 1}
    heard = alice.get(f"recordings/{sound.id}/").json
    assert heard.pop("markers") == before.pop("markers") == []
    facts = {"playable": True, "duration": 3.0, "codec": "pcm_mulaw", "sample_rate": RATE, "channels": 1}
    facts["bit_rate"] = 64000
    changed = {"version": before["version"] + 1, "updated_at": heard["updated_at"]}
    assert heard == before | facts | changed
    assert alice.get("recordings/").json["results"] == [heard]
    assert alice.get("recordings/changes/").json["changes"] == [heard]
    assert kept(alice.user_id, sound.id).due_at is None
    check_books(alice.user_id)


@pytest.mark.parametrize("way", ["through the server", pytest.param("in parts", marks=pytest.mark.check)])
def test_every_way_in_is_heard(alice: Client, way: str) -> None:
    if way == "in parts":
        row = upload(alice, SOUND + bytes(17 * 2**20))
        alice.post(f"recordings/{row.id}/complete/")
    else:
        row = kept(alice.user_id, alice.upload(SOUND).json["id"])
    tell(row.key)
    assert kept(alice.user_id, row.id).playable


def test_the_waveform(alice: Client, sound: Recording) -> None:
    answer = alice.get(f"recordings/{sound.id}/waveform/")
    assert (answer.status, answer.code) == (404, "no_waveform")
    tell(sound.key)
    answer = alice.get(f"recordings/{sound.id}/waveform/")
    assert (answer.status, len(answer.json["peaks"]), answer.json["duration"]) == (200, 800, 3.0)
    assert [answer.json["peaks"][at] > 100 for at in (10, 250, 280, 400, 520, 550, 790)] == [
        *(True, True, False, False, False, True, True)
    ]
    assert answer.json["segments"] == [[0.0, pytest.approx(1.1, abs=0.03)], [pytest.approx(1.9, abs=0.03), 3.0]]
    again = alice.get(f"recordings/{sound.id}/waveform/", if_none_match=answer.headers["ETag"])
    assert (again.status, again.content) == (304, b"")
    alice.patch(f"recordings/{sound.id}/", {"name": "Renamed"})
    assert alice.get(f"recordings/{sound.id}/waveform/").headers["ETag"] == answer.headers["ETag"]


def test_what_is_no_sound_says_so_and_stays(alice: Client) -> None:
    row = kept(alice.user_id, alice.record(NO_SOUND)["id"])
    assert tell(row.key) == {"ready": 1}
    shown = alice.get(f"recordings/{row.id}/").json
    assert (shown["playable"], shown["duration"], shown["codec"]) == (False, None, None)
    assert shown["verified_at"]
    answer = alice.get(f"recordings/{row.id}/waveform/")
    assert (answer.status, answer.code) == (404, "no_waveform")
    url = alice.get(f"recordings/{row.id}/download/?redirect=false").json["url"]
    assert requests.get(url, timeout=20).content == NO_SOUND


def test_it_is_heard_once(alice: Client, sound: Recording) -> None:
    tell(sound.key)
    with calls() as sent:
        tell(sound.key)
    assert sent == ["GetItem"]


def test_one_of_two_events_listens(alice: Client, sound: Recording) -> None:
    with meanwhile("UpdateItem", lambda: tell(sound.key)), calls() as sent:
        tell(sound.key)
    assert sent.count("GetObject") == 1
    assert kept(alice.user_id, sound.id).version == sound.version + 1


def test_the_calls_that_it_takes(alice: Client, sound: Recording) -> None:
    with calls() as sent:
        tell(sound.key)
    assert sent == ["GetItem", "UpdateItem", "GetObject", "GetItem", "GetItem", "TransactWriteItems"]


def test_the_sweep_listens_where_no_event_came(alice: Client, sound: Recording) -> None:
    assert not sweep()
    make_due(alice.user_id, sound.id)
    assert sweep() == {"heard": 1}
    heard = kept(alice.user_id, sound.id)
    assert (heard.playable, heard.due_at, heard.tries) == (True, None, None)
    assert not sweep()


def test_a_file_that_kills_the_decoder_is_given_up(alice: Client, sound: Recording, broken: list[str]) -> None:
    assert tell(sound.key) == {"ready": 1}
    assert tell(sound.key) == {"ready": 1}  # S3 sends it again; the sweep's turn comes when it is due
    assert not sweep()
    for _ in range(2):
        make_due(alice.user_id, sound.id)
        assert sweep() == {"postponed": 1}
    make_due(alice.user_id, sound.id)
    assert sweep() == {"heard": 1}
    assert broken == ["read", "read", "read_header"]
    row = kept(alice.user_id, sound.id)
    assert (row.playable, row.verified_at, row.due_at) == (False, sound.verified_at, None)
    check_books(alice.user_id)


def test_a_file_that_takes_too_long_tells_what_its_header_tells(
    alice: Client, sound: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_long(file: Any, *, seconds: float) -> None:
        raise TimeoutError

    monkeypatch.setattr(audio, "read", too_long)
    assert tell(sound.key) == {"ready": 1}
    make_due(alice.user_id, sound.id)
    assert sweep() == {"postponed": 1}
    assert kept(alice.user_id, sound.id).tries == 2
    make_due(alice.user_id, sound.id)
    assert sweep() == {"heard": 1}
    row = kept(alice.user_id, sound.id)
    assert (row.playable, row.duration, row.waveform) == (True, 3.0, None)


def test_a_store_that_is_away_is_not_the_files_fault(alice: Client, sound: Recording) -> None:
    with failing("GetObject"), pytest.raises(Problem):
        tell(sound.key)
    assert not kept(alice.user_id, sound.id).tries
    assert tell(sound.key) == {"ready": 1}
    assert kept(alice.user_id, sound.id).playable


def test_a_surprise_from_the_decoder_harms_nobody(
    alice: Client, sound: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(file: Any, *, seconds: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(audio, "read", surprise)
    assert tell(sound.key) == {"ready": 1}
    assert kept(alice.user_id, sound.id).playable is None


def test_trashed_meanwhile_it_stays_due_for_the_trash(alice: Client, sound: Recording) -> None:
    with meanwhile("UpdateItem", lambda: alice.delete(f"recordings/{sound.id}/")):
        tell(sound.key)
    trashed = kept(alice.user_id, sound.id)
    assert (trashed.playable, trashed.tries) == (None, None)  # not as it was read: the restored one is heard
    due_at = trashed.due_at
    tell(sound.key)
    heard = kept(alice.user_id, sound.id)
    assert (heard.playable, heard.due_at, heard.shelf) == (True, due_at, f"{alice.user_id}#trash")


def test_purged_while_somebody_listens(alice: Client, sound: Recording) -> None:
    with meanwhile("GetObject", lambda: alice.delete(f"recordings/{sound.id}/?permanent=true")):
        assert tell(sound.key) == {"ready": 1}
    assert Recording.find(sound.id, sound.user_id) is None


def test_edited_while_somebody_listens(alice: Client, sound: Recording) -> None:
    with meanwhile("GetObject", lambda: alice.patch(f"recordings/{sound.id}/", {"name": "Edited"})):
        tell(sound.key)
    row = kept(alice.user_id, sound.id)
    assert (row.name, row.playable, row.version) == ("Edited", True, sound.version + 2)


@pytest.mark.check
def test_bytes_that_replace_a_mismatch_are_heard_anew(alice: Client) -> None:
    large = SOUND + bytes(17 * 2**20)
    pending = upload(alice, large)
    alice.post(f"recordings/{pending.id}/complete/")
    put(pending.key, NO_SOUND.ljust(len(large)))
    tell(pending.key)
    wrong = kept(alice.user_id, pending.id)
    assert (wrong.status, wrong.playable) == ("mismatch", False)
    again = upload(alice, large)
    alice.post(f"recordings/{again.id}/complete/")
    tell(again.key)
    right = kept(alice.user_id, pending.id)
    assert (right.status, right.playable, right.codec) == ("ready", True, "pcm_mulaw")


def test_the_reader_reads_as_a_file_does(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_reader.Reader, "BLOCK", 1000)
    content = bytes(range(256)) * 37
    created = alice.create(content).json
    send(created["upload"], content)
    row = kept(alice.user_id, created["recording"]["id"])
    file = object_reader.open_object(row.key)
    assert file is not None
    assert file.seek(-10, 2) == len(content) - 10
    assert file.read(100) == content[-10:]
    assert file.read(5) == b""
    file.seek(990)
    assert file.read(50) + file.read(50) == content[990:1050]
    file.seek(0)
    assert b"".join(iter(lambda: file.read(333), b"")) == content
    assert len(file.blocks) <= object_reader.Reader.KEPT
    assert object_reader.open_object("recordings/nothing") is None


def test_the_reader_gets_no_file_again_and_again(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may have FFmpeg jump back and forth between its ends: each jump is a block of the store's."""
    for name, value in (("BLOCK", 1000), ("KEPT", 1), ("MORE", 5)):
        monkeypatch.setattr(object_reader.Reader, name, value)
    content = bytes(5000)
    row = kept(alice.user_id, alice.record(content)["id"])
    file = object_reader.open_object(row.key)
    assert file is not None
    file.seek(0)
    assert b"".join(iter(lambda: file.read(333), b"")) == content
    with calls() as sent, pytest.raises(OverreadError):
        [file.block(number % 2 * 4) for number in range(99)]
    assert len(sent) == 25 - 5
