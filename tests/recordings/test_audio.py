"""recordings.analysis.audio: what every form of sound says of itself, whole, cut off, damaged or not sound at all."""

import io
import random
import re
from pathlib import Path

import numpy as np
import pytest

from recordings.analysis import audio
from recordings.analysis.facts import Facts
from recordings.analysis.segments import pack, unpack
from recordings.analysis.waveform import Envelope, find_sound
from tests.sound import FORMS, encode, rate_of, silence, tone

CLIPS = Path(__file__).parent.parent / "audio"
CODECS = {"libmp3lame": "mp3", "libopus": "opus"}


def read(content: bytes) -> Facts:
    return audio.read(io.BytesIO(content), seconds=60)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_sound(form: str) -> None:
    _, encoder, rate, _ = FORMS[form]
    sound = np.concatenate((silence(1, rate), tone(2, rate), silence(1.5, rate), tone(0.75, rate)))
    facts = read(encode(sound, form))
    assert facts.playable
    assert facts.duration == pytest.approx(5.25, abs=0.05)
    assert facts.codec == CODECS.get(encoder, encoder)
    assert (facts.sample_rate, facts.channels) == (rate, 1)
    assert facts.bit_rate is not None
    assert facts.bit_rate > 1000
    assert_drawn(facts)
    assert unpack(facts.segments or b"") == pytest.approx(np.array([(0.9, 3.1), (4.4, 5.25)]), abs=0.1)


def assert_drawn(facts: Facts) -> None:
    """Silence, sound, silence, sound: where they belong, and as high as they are loud."""
    assert facts.waveform is not None
    assert len(facts.waveform) == 800
    loud = [peak > 64 for peak in facts.waveform]
    assert [loud[int(800 * second / 5.25)] for second in (0.5, 1.5, 2.8, 3.5, 4.2, 4.8)] == [False, True] * 1 + [
        *(True, False, False, True)
    ]
    assert max(facts.waveform) == pytest.approx(128, abs=22)  # codecs overshoot


@pytest.mark.parametrize(("name", "seconds"), [("m4a", 3.543), ("mp3", 3.543), ("ogg", 3.543), ("webm", 3.543)])
def test_the_clips(name: str, seconds: float) -> None:
    facts = read((CLIPS / f"speech.{name}").read_bytes())
    assert facts.duration == pytest.approx(seconds, abs=0.05)


def test_channels_do_not_cancel_out() -> None:
    rate = rate_of("wav, float")
    plain = encode(tone(1, rate), "wav, float", channels=2)
    header, samples = plain[:-8], np.frombuffer(plain[-8 * rate :], "<f4").copy().reshape(-1, 2)
    samples[:, 1] *= -1
    facts = read(plain[: -8 * rate] + samples.tobytes())
    assert header[:4] == b"RIFF"
    assert facts.channels == 2
    assert facts.waveform is not None
    assert min(facts.waveform) > 90


def test_silence_is_playable_and_has_no_sound() -> None:
    facts = read(encode(silence(3, 48000), "wav"))
    assert (facts.playable, facts.duration, facts.waveform, facts.segments) == (True, 3.0, bytes(800), b"")


def test_a_recording_shorter_than_its_waveform() -> None:
    facts = read(encode(tone(0.01, 8000), "wav, 8 bit"))
    assert (facts.playable, facts.duration, len(facts.waveform or b"")) == (True, 0.01, 800)


@pytest.mark.parametrize("form", ["wav", "mp3", "flac", "ogg", "webm from MediaRecorder", "amr", "adts", "caf"])
def test_what_is_cut_off_is_read_as_far_as_it_goes(form: str) -> None:
    whole = encode(tone(6, rate_of(form)), form)
    facts = read(whole[: len(whole) // 2])
    assert facts.playable
    assert facts.duration == pytest.approx(3, abs=0.8)


def test_an_mp4_without_its_index_can_not_be_read() -> None:
    """Nobody can play it, for what tells where the sound is comes last."""
    whole = encode(tone(6, 44100), "m4a")
    assert read(whole[: len(whole) // 2]) == Facts()


@pytest.mark.parametrize(
    "content", [b"x", b"", b"\0" * 5000, b"This is no sound.\n" * 300, b"RIFF", b"ID3" + b"\xff" * 4000]
)
def test_what_is_no_sound(content: bytes) -> None:
    assert not read(content).duration


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{clip}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{clip}'\n",
        "#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.wav\n",
    ],
)
def test_a_playlist_opens_no_other_file(playlist: str) -> None:
    assert read(playlist.format(clip=CLIPS / "speech.wav").encode()) == Facts()


@pytest.mark.parametrize("form", ["m4a", "mp3", "wav", "flac", "ogg", "webm", "amr", "3gp", "caf", "adts"])
def test_damaged_files_do_no_harm(form: str) -> None:
    """Flipped bytes, holes, a changed order, something else in the middle: 50 of each form."""
    whole = encode(np.concatenate((tone(1, rate_of(form)), silence(1, rate_of(form)))), form)
    dice = random.Random(form)
    for _ in range(50):
        facts = read(damage(whole, dice))
        assert facts.playable == (facts.duration is not None) == (len(facts.waveform or b"") == 800)


def damage(whole: bytes, dice: random.Random) -> bytes:
    content = bytearray(whole)
    for _ in range(dice.choice((1, 5, 50))):
        at = dice.randrange(len(content))
        if dice.random() < 0.4:
            at = dice.randrange(min(400, len(content)))  # headers are where it hurts
        length = dice.choice((1, 4, 300))
        kind = dice.randrange(4)
        if kind == 0:
            content[at : at + length] = dice.randbytes(length)
        elif kind == 1 and len(content) > length + 1:
            del content[at : at + length]
        elif kind == 2:
            content[at:at] = content[: length * 2]
        else:
            content[at : at + 4] = b"\xff\xff\xff\xff"
    return bytes(content)


def test_it_ends_in_time() -> None:
    with pytest.raises(TimeoutError):
        audio.read(io.BytesIO(encode(tone(1, 48000))), seconds=-1)


def test_what_the_file_raises_passes_through() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise KeyError("the store is away")

    with pytest.raises(KeyError):
        audio.read(Broken(), seconds=60)


def test_the_header_alone() -> None:
    content = encode(tone(3, 44100), "m4a", channels=2)
    facts = audio.read_header(io.BytesIO(content), seconds=60)
    assert facts.duration == pytest.approx(3, abs=0.05)
    assert (facts.playable, facts.codec, facts.sample_rate, facts.channels) == (True, "aac", 44100, 2)
    assert facts.waveform is None
    assert audio.read_header(io.BytesIO(b"no sound"), seconds=60) == Facts()


def test_memory_stays_the_same_however_long_it_is() -> None:
    """Ten thousand hours at 8 kHz: as much room as a minute takes, and the loud moment is still where it was."""
    envelope = Envelope(8000)
    room = envelope.peaks.nbytes
    hour = np.zeros(3600 * 80, np.float32)
    envelope.step, envelope.rate = 1, 80
    for number in range(200):
        envelope.add(hour + (0.5 if number == 100 else 0))
    peaks = envelope.finish()
    assert envelope.peaks.nbytes == room
    assert envelope.samples / envelope.rate == 200 * 3600
    at = np.flatnonzero(peaks) * envelope.step / envelope.rate / 3600
    assert (at.min(), at.max()) == pytest.approx((100, 101), abs=0.01)


def test_speech_over_noise() -> None:
    dice = np.random.default_rng(1)
    noise = np.abs(dice.normal(0, 0.003, 30 * 800))
    noise[10 * 800 : 14 * 800] = np.abs(dice.normal(0, 0.1, 4 * 800))
    found = find_sound((noise * 65535).astype(np.uint16), 1 / 800, 30.0)
    assert found == pytest.approx(np.array([(9.9, 14.1)]), abs=0.1)


def test_noise_alone_is_not_skipped() -> None:
    noise = np.abs(np.random.default_rng(1).normal(0, 0.01, 30 * 800))
    assert find_sound((noise * 65535).astype(np.uint16), 1 / 800, 30.0) == [(0.0, 30.0)]


def test_at_most_2000_stretches() -> None:
    """What is too much is joined, and of all silences the shortest are given up."""
    second = np.concatenate((np.full(400, 30000), np.zeros(800))).astype(np.uint16)
    longer = np.concatenate((second, np.zeros(400, np.uint16)))
    peaks = np.concatenate((np.tile(second, 3000), np.tile(longer, 1000)))
    found = find_sound(peaks, 1 / 800, len(peaks) / 800)
    assert len(found) <= 2000
    assert len([start for start, _ in found if start > 3000 * 1.5]) >= 999


def test_stretches_survive_packing() -> None:
    stretches = [(0.0, 0.5), (1.23, 1.24), (300.0, 36000.0), (36000.01, 400000.5)]
    assert unpack(pack(stretches)) == stretches
    assert unpack(pack([])) == []


def test_every_form_is_one_that_may_be_opened() -> None:
    assert not re.search(r"hls|concat|dash|rtsp|image|sdp", audio.FORMATS)


def test_silence_takes_no_room() -> None:
    """Gaps of ten minutes, at rates that no sound has: the sound between them stays where it was."""
    envelope, plain = Envelope(8000), Envelope(8000)
    for seconds in (0.3, 599.9, 0.0001, 77.7):
        envelope.add(tone(1, 8000))
        plain.add(tone(1, 8000))
        envelope.skip(round(seconds * 8000))
        plain.add(silence(seconds, 8000))
    assert (envelope.samples, envelope.step) == (plain.samples, plain.step)
    assert np.array_equal(envelope.finish(), plain.finish())
    long = Envelope(768_000)
    for _ in range(1000):
        long.add(np.ones(960, np.float32))
        long.skip(600 * 768_000)
    assert long.peaks.nbytes == plain.peaks.nbytes
    assert len(long.rest) < 2**24
    assert long.samples == 1000 * (600 * 768_000 + 960)
    assert np.count_nonzero(long.finish()) in range(999, 2001)
