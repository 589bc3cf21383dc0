"""What a recording sounds like: its facts, a waveform and where there is sound, in one pass over the file.

Only decoder.py loads this, in a process of its own: FFmpeg's libraries come with it. Files come from strangers, so
FFmpeg may open nothing but the file it is given (a playlist could name others), as one of the formats below, and
decodes sound alone. Memory stays the same however long a recording is.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import Any, Protocol

import av
import numpy as np
from av import AudioFifo, AudioFrame, Packet
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from numpy.typing import NDArray

from recordings.analysis.facts import MOST_RATE, Facts
from recordings.analysis.segments import pack
from recordings.analysis.waveform import Envelope, draw, find_sound

FORMATS = "aac,ac3,aiff,amr,amrnb,amrwb,asf,au,avi,caf,eac3,flac,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,ogg,w64,wav"
CODECS = (
    "aac,aac_latm,ac3,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,alac,amrnb,amrwb,eac3,flac,gsm,gsm_ms,mp1float,mp2,mp2float,"
    "mp3,mp3float,opus,pcm_alaw,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_mulaw,pcm_s16be,pcm_s16le,pcm_s24be,"
    "pcm_s24le,pcm_s32be,pcm_s32le,pcm_s8,pcm_u8,vorbis,wmav1,wmav2"
)
OPTIONS = {"format_whitelist": FORMATS, "codec_whitelist": CODECS, "protocol_whitelist": "none"}
SHORTEST_GAP, LONGEST_GAP = 0.1, 600.0  # seconds; a timestamp that jumps further is damage and not a pause
LONGEST_PADDING = 0.25  # seconds that encoders add at the end, which the container knows of


class File(Protocol):
    """What FFmpeg needs of a file."""

    def read(self, size: int, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


def read(file: File, *, seconds: float) -> Facts:
    """The facts of an audio file, decoded from beginning to end.

    What is damaged is read as far as it goes; `playable` is False where no sound comes of it. Raises TimeoutError
    after `seconds`; whatever `file` raises passes through.
    """
    with sound_of(file, seconds=seconds) as sound:
        return _facts(sound) if sound else Facts()


@contextmanager
def sound_of(file: File, *, seconds: float) -> "Iterator[Sound | None]":
    """The sound in an audio file, None where there is none. Decoding it raises TimeoutError after `seconds`."""
    bounded = _Bounded(file, time.monotonic() + seconds)
    with _open(bounded) as container:
        stream = _audible(container)
        yield Sound(container, stream, bounded) if container and stream else None


def read_header(file: File, *, seconds: float) -> Facts:
    """What the container says of itself, for a file that can't be decoded in time. Nothing is decoded to the end."""
    with _open(_Bounded(file, time.monotonic() + seconds)) as container:
        stream = _audible(container)
        if container is None or stream is None:
            return Facts()
        context = stream.codec_context
        return Facts(
            playable=True,
            duration=_rounded(_stated(stream) or (container.duration or 0) / av.time_base) or None,
            codec=context.codec.canonical_name,
            sample_rate=context.sample_rate or None,
            channels=context.channels or None,
            bit_rate=stream.bit_rate or container.bit_rate or None,
        )


class _Bounded:
    """A file that can be read only until a moment. FFmpeg reads on and on in some damaged files."""

    def __init__(self, file: File, until: float) -> None:
        self.file, self.until = file, until
        self.seek, self.tell = file.seek, file.tell

    def check(self) -> None:
        if time.monotonic() > self.until:
            raise TimeoutError("Reading this file takes too long.")

    def read(self, size: int) -> bytes:
        self.check()
        return self.file.read(size)


@contextmanager
def _open(file: _Bounded) -> Iterator[InputContainer | None]:
    """The container in `file`, or None where FFmpeg finds none."""
    try:
        container = av.open(file, "r", options=OPTIONS, metadata_errors="replace", buffer_size=2**16)
    except FFmpegError:
        yield None
        return
    with container:
        yield container


def _audible(container: InputContainer | None) -> AudioStream | None:
    """The first stream of sound that there is a decoder for."""
    streams = container.streams.audio if container else ()
    return next((stream for stream in streams if stream.codec_context), None)


def _facts(sound: "Sound") -> Facts:
    stream, envelope = sound.stream, sound.envelope()
    if envelope is None:
        return Facts()
    duration = envelope.samples / envelope.rate
    stated = _stated(stream)
    if stated and 0 < duration - stated < LONGEST_PADDING:
        duration = stated
    peaks = envelope.finish()
    return Facts(
        playable=True,
        duration=_rounded(duration),
        codec=stream.codec_context.codec.canonical_name,
        sample_rate=envelope.rate,
        channels=sound.channels,
        bit_rate=round(sound.bytes * 8 / duration) or None,
        waveform=draw(peaks),
        segments=pack(find_sound(peaks, envelope.step / envelope.rate, duration)),
    )


class Sound:
    """The decoded sound of one stream, as far as it can be decoded."""

    BLOCK = 2**16  # samples that are looked at together: FFmpeg's queue is faster than Python's

    def __init__(self, container: InputContainer, stream: AudioStream, file: _Bounded) -> None:
        self.container, self.stream, self.file = container, stream, file
        self.bytes = self.channels = 0
        stream.codec_context.thread_count = 1

    def envelope(self) -> Envelope | None:
        """All of it; None where nothing could be decoded."""
        envelope: Envelope | None = None
        for gap, block in self.timed_blocks():
            if envelope is None:
                envelope, self.channels = Envelope(block.rate), len(block.layout.channels)
            envelope.skip(round(gap * envelope.rate))
            envelope.add(_at_rate(_loudness(block), block.rate, envelope.rate))
        return envelope

    def timed_blocks(self) -> Iterator[tuple[float, AudioFrame]]:
        """The blocks, each with the seconds of silence that the timestamps leave before it."""
        start, position = None, 0.0
        for block in self.blocks():
            if start is None:
                start = block.time or 0.0
            gap = 0.0 if block.time is None else block.time - start - position
            gap = gap if SHORTEST_GAP < gap < LONGEST_GAP else 0.0
            position += gap + block.samples / block.rate
            yield gap, block

    def blocks(self) -> Iterator[AudioFrame]:
        """The frames, many joined into one where they follow each other and are alike."""
        queue, kind, begun, end = AudioFifo(), None, None, None
        for frame in self.frames():
            moment = frame.time
            gap = moment is not None and end is not None and moment - end > SHORTEST_GAP
            alike = (frame.format.name, frame.rate, len(frame.layout.channels))
            if queue.samples and (gap or alike != kind or queue.samples >= self.BLOCK):
                yield self.taken(queue, begun)
            if alike != kind:
                queue, kind = AudioFifo(), alike
            if not queue.samples:
                begun = moment
            frame.pts = None  # the queue would insist on steps without a flaw
            queue.write(frame)
            end = None if moment is None else moment + frame.samples / frame.rate
        if queue.samples:
            yield self.taken(queue, begun)

    def taken(self, queue: AudioFifo, begun: float | None) -> AudioFrame:
        frame = queue.read()
        assert frame is not None  # noqa: S101 - for mypy; the queue is not empty
        frame.time_base = Fraction(1, frame.rate)
        frame.pts = None if begun is None else round(begun * frame.rate)
        return frame

    def frames(self) -> Iterator[AudioFrame]:
        for packet in self.packets():
            self.file.check()
            self.bytes += packet.size
            try:
                frames = packet.decode()
            except FFmpegError:
                continue  # the next one may be whole
            for frame in frames:
                if isinstance(frame, AudioFrame) and frame.samples and 0 < frame.rate <= MOST_RATE:
                    yield frame

    def packets(self) -> "Iterator[Packet[AudioStream]]":
        """Up to the first one that the container can't find."""
        with suppress(FFmpegError):
            yield from self.container.demux(self.stream)


def _stated(stream: AudioStream) -> float | None:
    """How many seconds long the container says that it is."""
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None


def _rounded(seconds: float) -> float:
    return round(seconds, 3)


def _loudness(frame: AudioFrame) -> NDArray[np.float32]:
    """For each sample the loudest of the channels, 1.0 at full scale. Summed up, channels could cancel out."""
    samples: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, len(frame.layout.channels)).T
    if samples.dtype.kind == "f":
        loudness = np.nan_to_num(np.abs(samples).max(axis=0), nan=0.0, posinf=1.0)
    elif samples.dtype.kind == "u":
        loudness = np.abs(samples.astype(np.float32) - 128).max(axis=0) / 128
    else:
        loudness = np.abs(samples.astype(np.float32)).max(axis=0) / -float(np.iinfo(samples.dtype).min)
    narrow: NDArray[np.float32] = loudness.astype(np.float32, copy=False)
    return narrow


def _at_rate(loudness: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """The same, where the sample rate changes in the middle of a stream."""
    if rate == wanted:
        return loudness
    count = max(1, round(len(loudness) * wanted / rate))
    return loudness[np.arange(count) * len(loudness) // count]
