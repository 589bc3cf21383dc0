"""Excerpts: exactly the part that was asked for, in a file of its own, whatever the recording is made of."""

import io
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from aws import object_reader
from lib.problems import Problem
from operations.sweep import sweep
from recordings.analysis import cut as cutting
from recordings.models import Excerpt, Recording, Share
from tests.client import Client
from tests.recordings.test_events import tell
from tests.recordings.test_sharing import expire, listed, make, revoke, stored
from tests.sound import FORMS, encode, rate_of, silence, tone
from tests.state import LONG_AGO, calls, check_books, failing, kept, meanwhile, objects, put

CLIPS = Path(__file__).parent.parent / "audio"


def scale(seconds: int, rate: int) -> NDArray[np.float32]:
    """Each second another tone: 300 Hz, 400 Hz, …"""
    moments = np.arange(seconds * rate) / rate
    phase = 2 * np.pi * np.cumsum(300 + 100 * np.floor(moments)) / rate
    return (0.5 * np.sin(phase)).astype(np.float32)


class Heard:
    """What a player makes of a file."""

    def __init__(self, content: bytes) -> None:
        with av.open(io.BytesIO(content), "r") as container:
            (stream,) = container.streams.audio
            assert list(container.streams) == [stream]
            self.tags = {**container.metadata, **stream.metadata}
            self.codec, self.rate, self.layout = stream.codec_context.name, stream.rate, stream.layout.name
            assert stream.duration is not None
            assert stream.time_base is not None
            self.seconds = float(stream.duration * stream.time_base)
            frames: list[Any] = [frame.to_ndarray() for frame in container.decode(stream)]
            self.samples = np.concatenate(frames, axis=1)[:, : round(self.seconds * self.rate)]

    def between(self, start: float, end: float) -> NDArray[Any]:
        part: NDArray[Any] = self.samples[0, round(start * self.rate) : round(end * self.rate)]
        return part

    def pitch(self, start: float, end: float) -> float:
        """The loudest frequency, in Hz."""
        part = self.between(start, end)
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
        return float(np.fft.rfftfreq(len(part), 1 / self.rate)[spectrum.argmax()])

    def loudest(self, hertz: float) -> float:
        """How much of this tone there is in the 20 ms that have most of it."""
        width = self.rate // 50
        parts = self.samples[0, : self.samples.shape[1] // width * width].reshape(-1, width)
        spectrum = np.abs(np.fft.rfft(parts * np.hanning(width), axis=1)) / width
        return float(spectrum[:, round(hertz * width / self.rate)].max())


def cut_to(path: Path, content: bytes, start: float, end: float, *, seconds: float = 60) -> float:
    with path.open("w+b", buffering=0) as output:
        return cutting.cut(io.BytesIO(content), output, start, end, seconds=seconds)


def cut(content: bytes, start: float, end: float, folder: Path) -> Heard:
    path = folder / "cut.m4a"
    length = cut_to(path, content, start, end)
    heard = Heard(path.read_bytes())
    assert heard.seconds == pytest.approx(length, abs=0.001)
    return heard


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_sound_is_cut_where_it_was_said(form: str, tmp_path: Path) -> None:
    heard = cut(encode(scale(10, rate_of(form)), form), 3.25, 6.5, tmp_path)
    assert heard.seconds == pytest.approx(3.25, abs=0.05)
    edges = [0, 0.75, 1.75, 2.75, 3.25]
    for number, (start, end) in enumerate(pairwise(edges)):
        assert heard.pitch(start + 0.05, end - 0.05) == pytest.approx(600 + 100 * number, abs=5)
    assert (heard.codec, heard.layout) == ("aac", "mono")


@pytest.mark.parametrize("form", ["m4a", "mp3", "wav", "webm from MediaRecorder", "amr", "flac"])
def test_nothing_else_is_in_it(form: str, tmp_path: Path) -> None:
    """Neither before its first sample nor after its last, also where a player ignores the edit list."""
    rate = rate_of(form)
    low, high = tone(1, rate), np.sin(2 * np.pi * 3000 * np.arange(4 * rate) / rate).astype(np.float32) / 2
    heard = cut(encode(np.concatenate((high, low, high)), form), 4, 5, tmp_path)
    with av.open(str(tmp_path / "cut.m4a"), options={"ignore_editlist": "1"}) as container:
        frames: list[Any] = [frame.to_ndarray() for frame in container.decode(audio=0)]
    heard.samples = np.concatenate(frames, axis=1)
    assert heard.samples.shape[1] / heard.rate == pytest.approx(1, abs=0.1)
    assert heard.loudest(440) > 0.1
    assert heard.loudest(3000) < 0.02
    assert cut(encode(np.concatenate((high, low, high)), form), 3.9, 5, tmp_path).loudest(3000) > 0.05


@pytest.mark.parametrize("form", ["m4a", "mp3", "ogg", "webm", "wav"])
def test_the_clips(form: str, tmp_path: Path) -> None:
    """Real speech: the cut is what the whole has there, as loud as it is there."""
    whole = (CLIPS / f"speech.{form}").read_bytes()
    heard, all_of_it = cut(whole, 1, 2.5, tmp_path), cut(whole, 0, 60, tmp_path)
    assert heard.seconds == pytest.approx(1.5, abs=0.001)
    assert all_of_it.seconds == pytest.approx(3.543, abs=0.05)
    parts = [(heard, 0.0), (all_of_it, 1.0)]
    loudness = [np.abs(each.between(at, at + 1.45).reshape(145, -1)).max(axis=1) for each, at in parts]
    assert np.corrcoef(*loudness)[0, 1] > 0.98


def test_to_the_sample(tmp_path: Path) -> None:
    """A click stays where it was, within a fraction of a millisecond."""
    sound = silence(4, 48000)
    sound[round(2.2 * 48000)] = 0.9
    heard = cut(encode(sound, "wav"), 1.7, 3, tmp_path)
    assert np.abs(heard.samples[0]).argmax() / heard.rate == pytest.approx(0.5, abs=0.001)


def test_the_part_at_the_end_is_as_long_as_there_is_sound(tmp_path: Path) -> None:
    assert cut(encode(tone(3, 48000)), 2, 10, tmp_path).seconds == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize(
    "content", [b"", b"This is no sound.\n" * 300, b"RIFF", b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n"]
)
def test_what_is_no_sound_makes_no_file(content: bytes, tmp_path: Path) -> None:
    assert cut_to(tmp_path / "cut.m4a", content, 0, 1) == 0
    assert (tmp_path / "cut.m4a").read_bytes() == b""


def test_a_part_beyond_the_end_makes_no_file(tmp_path: Path) -> None:
    assert cut_to(tmp_path / "cut.m4a", encode(tone(1, 48000)), 2, 3) == 0
    assert (tmp_path / "cut.m4a").read_bytes() == b""


def test_a_pause_of_the_recorder_stays_a_pause(tmp_path: Path) -> None:
    """Timestamps that jump by 2 seconds, as MediaRecorder writes them after a pause."""
    file, rate = io.BytesIO(), 48000
    with av.open(file, "w", format="webm", options={"live": "1"}) as output:
        stream: Any = output.add_stream("libopus", rate=rate)
        stream.layout = "mono"
        for start, samples in ((0, tone(2, rate)), (4 * rate, tone(2, rate))):
            for at in range(0, len(samples), 960):
                frame = av.AudioFrame.from_ndarray(samples[None, at : at + 960], "flt", "mono")
                frame.rate, frame.pts = rate, start + at
                output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    heard = cut(file.getvalue(), 1, 5, tmp_path)
    assert heard.seconds == pytest.approx(4, abs=0.05)
    loud = [float(np.abs(heard.between(at, at + 0.1)).max()) > 0.1 for at in (0.5, 1.3, 2.0, 2.7, 3.3)]
    assert loud == [True, False, False, False, True]


def test_two_channels_stay_two_and_more_become_two(tmp_path: Path) -> None:
    assert cut(encode(tone(2, 48000), channels=2), 0, 1, tmp_path).layout == "stereo"
    file = io.BytesIO()
    with av.open(file, "w", format="wav") as output:
        stream: Any = output.add_stream("pcm_s16le", rate=48000)
        stream.layout = "5.1"
        samples = (np.repeat(tone(2, 48000)[:, None], 6, axis=1) * 32767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, "s16", "5.1")
        frame.rate = 48000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    heard = cut(file.getvalue(), 0.5, 1.5, tmp_path)
    assert (heard.layout, heard.seconds) == ("stereo", 1.0)
    assert heard.pitch(0.1, 0.9) == pytest.approx(440, abs=5)


def test_nothing_is_carried_over(tmp_path: Path) -> None:
    """Phones write where one was."""
    file = io.BytesIO()
    place = "+37.5665+126.9780/"
    with av.open(file, "w", format="mp4", options={"movflags": "+use_metadata_tags"}) as output:
        output.metadata.update({"location": place, "title": "Secret interview", "artist": "Alice", "comment": "hush"})
        stream: Any = output.add_stream("aac", rate=48000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(tone(2, 48000)[None], "fltp", "mono")
        frame.rate, frame.pts = 48000, 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert place.encode() in file.getvalue()
    heard = cut(file.getvalue(), 0, 1, tmp_path)
    content = (tmp_path / "cut.m4a").read_bytes()
    for secret in (place, "Secret interview", "Alice", "hush", "37.56"):
        assert secret.encode() not in content
    assert not {"title", "artist", "comment", "location", "creation_time", "encoder"} & set(heard.tags)


def test_it_can_be_played_before_all_of_it_is_there(tmp_path: Path) -> None:
    cut(encode(tone(2, 48000)), 0, 1, tmp_path)
    content = (tmp_path / "cut.m4a").read_bytes()
    assert 0 < content.find(b"moov") < content.find(b"mdat")


@pytest.mark.check
def test_memory_stays_the_same_however_long_it_is(tmp_path: Path) -> None:
    def most(seconds: int) -> int:
        content = encode(tone(seconds, 8000), "wav, mu-law")
        tracemalloc.start()
        length = cut_to(tmp_path / "cut.m4a", content, 0, seconds, seconds=600)  # traced, and on a busy machine
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert length == pytest.approx(seconds, abs=0.1)
        return peak

    assert most(600) < most(60) * 1.5 + 2**20


def test_it_ends_in_time(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        cut_to(tmp_path / "cut.m4a", encode(tone(1, 48000)), 0, 1, seconds=-1)


# From the share to the file, and from the file to nothing


SOUND = encode(scale(8, 8000), "wav, mu-law")


@pytest.fixture
def recording(alice: Client) -> Recording:
    answer = alice.upload(SOUND)
    row: Recording = kept(alice.user_id, answer.json["id"])
    tell(row.key)
    row = kept(alice.user_id, row.id)
    assert row.duration == 8.0
    return row


def status(alice: Client, row: Recording) -> str:
    (share,) = listed(alice, row.id)
    found: str = share["status"]
    return found


def work(share: dict[str, Any], row: Recording) -> Excerpt | None:
    return Excerpt.find(f"excerpt:{share['id']}", row.user_id)


def make_work_due(share: dict[str, Any], row: Recording) -> None:
    Excerpt(f"excerpt:{share['id']}", row.user_id).update([Excerpt.due_at.set(LONG_AGO)])


def test_the_event_of_its_order_has_it_cut(alice: Client, recording: Recording) -> None:
    made = make(alice, recording.id, start=2.5, end=4.5)
    order, key = recording.order_key(made["id"]), recording.excerpt_key(made["id"])
    assert objects()[order] == b""
    assert (made["status"], status(alice, recording)) == ("preparing", "preparing")
    assert tell(order) == {"ready": 1}
    assert status(alice, recording) == "ready"
    assert set(objects()) == {recording.key, key}
    heard = Heard(objects()[key])
    assert heard.seconds == pytest.approx(2, abs=0.05)
    assert heard.pitch(0.6, 1.4) == pytest.approx(600, abs=5)
    assert tell(key) == {"ready": 1}
    assert set(objects()) == {recording.key, key}
    assert kept(alice.user_id, recording.id).verified_at
    check_books(alice.user_id)


def test_the_calls_that_it_takes(alice: Client, recording: Recording) -> None:
    made = make(alice, recording.id, start=1, end=2)
    with calls() as sent:
        tell(recording.order_key(made["id"]))
    read = ["GetItem", "GetItem", "GetItem", "UpdateItem", "GetObject"]
    assert sent == [*read, "PutObject", "TransactWriteItems", "DeleteObject"]


def test_told_twice_it_is_cut_once(alice: Client, recording: Recording) -> None:
    made = make(alice, recording.id, start=1, end=2)
    order = recording.order_key(made["id"])
    with meanwhile("GetObject", lambda: tell(order)), calls() as sent:
        tell(order)
    assert sent.count("PutObject") == 1
    with calls() as sent:
        tell(order)
    assert "GetObject" not in sent
    assert status(alice, recording) == "ready"


def test_the_sweep_cuts_what_no_event_has_brought(alice: Client, recording: Recording) -> None:
    made = make(alice, recording.id, start=1, end=2)
    assert not sweep()
    make_work_due(made, recording)
    assert sweep() == {"cut": 1}
    assert status(alice, recording) == "ready"
    found = work(made, recording)
    assert found is not None
    assert found.due_at == made["expires_at"]
    assert not sweep()


def test_a_recording_that_is_no_sound(alice: Client) -> None:
    row = kept(alice.user_id, alice.upload(b"no sound at all" * 9).json["id"])
    made = make(alice, row.id, start=1, end=2)
    assert tell(row.order_key(made["id"])) == {"failed": 1}
    assert status(alice, row) == "failed"
    assert set(objects()) == {row.key}


def test_a_part_that_the_recording_turns_out_not_to_have(alice: Client) -> None:
    row = kept(alice.user_id, alice.upload(SOUND).json["id"])
    made = make(alice, row.id, start=100, end=200)
    assert tell(row.order_key(made["id"])) == {"failed": 1}


class Death(BaseException):
    """The process ends that decodes."""


def die(*_: Any, **__: Any) -> float:
    raise Death


def test_a_file_that_kills_the_decoder_is_given_up(
    alice: Client, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(alice, recording.id, start=1, end=2)
    monkeypatch.setattr(cutting, "cut", die)
    order = recording.order_key(made["id"])
    assert tell(order) == {"preparing": 1}
    assert tell(order) == {"changed": 1}  # S3 says it again; the sweep's turn comes when it is due
    make_work_due(made, recording)
    assert sweep() == {"postponed": 1}
    assert sweep() == {"undecodable": 1}
    assert status(alice, recording) == "failed"
    assert not sweep()


def test_a_store_that_is_away_is_not_the_files_fault(alice: Client, recording: Recording) -> None:
    made = make(alice, recording.id, start=1, end=2)
    for operation in ("GetObject", "PutObject"):
        with failing(operation), pytest.raises(Problem):
            tell(recording.order_key(made["id"]))
    assert tell(recording.order_key(made["id"])) == {"ready": 1}


def test_one_that_takes_too_long_is_tried_again(
    alice: Client, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: Any, **__: Any) -> float:
        raise TimeoutError

    made = make(alice, recording.id, start=1, end=2)
    monkeypatch.setattr(cutting, "cut", slow)
    assert tell(recording.order_key(made["id"])) == {"preparing": 1}
    make_work_due(made, recording)
    assert sweep() == {"postponed": 1}
    assert sweep() == {"undecodable": 1}


def test_a_surprise_from_the_decoder_is_a_failure_in_the_end(
    alice: Client, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(*_: Any, **__: Any) -> float:
        raise ZeroDivisionError

    made = make(alice, recording.id, start=1, end=2)
    monkeypatch.setattr(cutting, "cut", surprise)
    assert tell(recording.order_key(made["id"])) == {"preparing": 1}
    make_work_due(made, recording)
    assert [sweep(), sweep()] == [{"postponed": 1}, {"undecodable": 1}]


def test_revoked_while_it_is_cut(alice: Client, recording: Recording) -> None:
    made = make(alice, recording.id, start=1, end=2)
    with meanwhile("PutObject", lambda: revoke(alice, recording.id, made["id"])):
        assert tell(recording.order_key(made["id"])) == {"changed": 1}
    assert set(objects()) == {recording.key}
    assert work(made, recording) is None


@pytest.mark.parametrize("call", ["UpdateItem", "GetObject", "PutObject", "TransactWriteItems"])
def test_purged_while_it_is_cut(alice: Client, recording: Recording, call: str) -> None:
    """What comes to be afterwards goes with its own event."""
    made = make(alice, recording.id, start=1, end=2)
    with meanwhile(call, lambda: alice.delete(f"recordings/{recording.id}/?permanent=true")):
        tell(recording.order_key(made["id"]))
    for key in list(objects()):
        tell(key)
    assert objects() == {}
    check_books(alice.user_id)


def test_an_excerpt_that_nobody_shares_any_more(alice: Client, recording: Recording) -> None:
    made = make(alice, recording.id, start=1, end=2)
    tell(recording.order_key(made["id"]))
    keys = [recording.excerpt_key(made["id"]), recording.order_key(made["id"])]
    content = objects()[keys[0]]
    revoke(alice, recording.id, made["id"])
    for key in keys:
        put(key, content)
        assert tell(key) == {"orphan": 1}
    assert set(objects()) == {recording.key}


def test_trashed_it_is_cut_all_the_same(alice: Client, recording: Recording) -> None:
    made = make(alice, recording.id, start=1, end=2)
    alice.delete(f"recordings/{recording.id}/")
    assert tell(recording.order_key(made["id"])) == {"ready": 1}
    assert kept(alice.user_id, recording.id).due_at is not None  # for the trash


def test_the_sweep_deletes_it_when_its_time_is_over(alice: Client, recording: Recording) -> None:
    made, whole = make(alice, recording.id, start=1, end=2), make(alice, recording.id)
    tell(recording.order_key(made["id"]))
    expire(alice, recording.id, made["id"])
    make_work_due(made, recording)
    assert sweep() == {"cleared": 1}
    assert set(objects()) == {recording.key}
    assert [each["id"] for each in kept(alice.user_id, recording.id).shares] == [whole["id"]]
    assert (Share.of(made["id"]), work(made, recording)) == (None, None)
    check_books(alice.user_id)


def test_revoked_but_for_its_objects(alice: Client, recording: Recording) -> None:
    made = make(alice, recording.id, start=1, end=2)
    tell(recording.order_key(made["id"]))
    with failing("DeleteObject"):
        revoke(alice, recording.id, made["id"])
    assert recording.excerpt_key(made["id"]) in objects()
    assert sweep() == {"cleared": 1}
    assert set(objects()) == {recording.key}
    assert work(made, recording) is None


def test_what_a_sweep_would_do(alice: Client, recording: Recording) -> None:
    made = make(alice, recording.id, start=1, end=2)
    make_work_due(made, recording)
    assert sweep(dry_run=True) == {"would cut or clear": 1}
    assert status(alice, recording) == "preparing"


def test_a_sweep_that_is_about_to_end_begins_no_cut(alice: Client, recording: Recording) -> None:
    made = make(alice, recording.id, start=1, end=2)
    make_work_due(made, recording)
    assert sweep(seconds=30) == {"postponed": 1}
    assert stored(made["id"]).tries is None


def test_a_share_whose_row_is_lost_goes(alice: Client, recording: Recording) -> None:
    made = make(alice, recording.id, start=1, end=2)
    Share(f"share:{made['id']}", "share").delete()
    make_work_due(made, recording)
    assert sweep() == {"cleared": 1}
    assert kept(alice.user_id, recording.id).shares is None


def test_bytes_past_the_first_block_are_read_too(
    alice: Client, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_reader.Reader, "BLOCK", 1000)
    made = make(alice, recording.id, start=6.5, end=7.5)
    assert tell(recording.order_key(made["id"])) == {"ready": 1}
    assert Heard(objects()[recording.excerpt_key(made["id"])]).pitch(0.6, 1) == pytest.approx(1000, abs=5)
