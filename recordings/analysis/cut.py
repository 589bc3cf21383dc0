"""Cutting a part out of a recording, into an m4a file of its own that holds nothing else of it.

Only decoder.py loads this, as audio.py. Sound is decoded from the beginning, as audio.py decodes
it, so that a moment here is the moment that the waveform shows; what does not belong to the part never reaches the
encoder. No metadata is carried over: phones write names and places there. Memory stays the same however long it is.
"""

import os
from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO

import av
import numpy as np
from av import AudioFrame, AudioResampler
from av.audio.stream import AudioStream

from recordings.analysis.audio import File, Sound, sound_of

# A player that ignores the container's edit list plays AAC's first 1,024 samples as a delay: that stays below 50 ms.
RATES = (24000, 32000, 44100, 48000)
BIT_RATES = {"mono": 96_000, "stereo": 128_000}
OPTIONS = {"movflags": "+faststart", "fflags": "+bitexact"}  # plays before all of it is there; says nothing of us
SILENCE = 2**16  # samples at a time


class Again:
    """What has been written, from its beginning: the encoder reads it once more to put the index first."""

    def __init__(self, output: BinaryIO) -> None:
        self.descriptor, self.at = output.fileno(), 0

    def read(self, size: int) -> bytes:
        content = os.pread(self.descriptor, size, self.at)
        self.at += len(content)
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        size = os.fstat(self.descriptor).st_size
        self.at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: size}[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def close(self) -> None:
        pass  # it is another's


def cut(file: File, output: BinaryIO, start: float, end: float, *, seconds: float) -> float:
    """Write what is between `start` and `end` (seconds) to `output`, an empty file on the disk, as AAC. Returns how
    many seconds that is: fewer where the recording ends before, 0 where nothing of it can be decoded, and then nothing
    is written.

    Raises TimeoutError after `seconds`; whatever `file` raises passes through.
    """
    with sound_of(file, seconds=seconds) as sound:
        return _write(output, part(sound, start, end)) if sound else 0.0


def part(sound: Sound, start: float, end: float) -> Iterator[AudioFrame]:
    """The blocks from `start` to `end`, cut to the sample; where the timestamps leave a gap, silence."""
    position = 0.0
    for gap, block in sound.timed_blocks():
        silent = min(position + gap, end) - max(position, start)
        position += gap
        if silent > 0:
            yield from _silence(block, round(silent * block.rate))
        first = max(0, round((start - position) * block.rate))
        last = min(block.samples, round((end - position) * block.rate))
        if first < last:
            yield _slice(block, first, last)
        position += block.samples / block.rate
        if position >= end:
            return


def _silence(like: AudioFrame, samples: int) -> Iterator[AudioFrame]:
    for begun in range(0, samples, SILENCE):
        values = np.zeros((len(like.layout.channels), min(SILENCE, samples - begun)), np.float32)
        frame = AudioFrame.from_ndarray(values, "fltp", like.layout.name)
        frame.rate = like.rate
        yield frame


def _slice(block: AudioFrame, first: int, last: int) -> AudioFrame:
    values: Any = block.to_ndarray()
    width = 1 if block.format.is_planar else len(block.layout.channels)
    cut: Any = np.ascontiguousarray(values[:, first * width : last * width])
    frame = AudioFrame.from_ndarray(cut, block.format.name, block.layout.name)
    frame.rate = block.rate
    return frame


def _write(file: BinaryIO, frames: Iterator[AudioFrame]) -> float:
    first = next(frames, None)
    if first is None:
        return 0.0
    rate = next((rate for rate in RATES if rate >= first.rate), RATES[-1])
    layout = "mono" if len(first.layout.channels) == 1 else "stereo"
    samples = 0
    with av.open(file, "w", format="ipod", options=OPTIONS, io_open=lambda *_: Again(file)) as output:
        stream = output.add_stream("aac", rate=rate)
        assert isinstance(stream, AudioStream)  # noqa: S101 - for mypy
        stream.layout, stream.bit_rate = layout, BIT_RATES[layout]
        for frame in _alike(first, frames, layout, rate):
            frame.pts = samples
            samples += frame.samples
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return samples / rate


def _alike(first: AudioFrame, rest: Iterator[AudioFrame], layout: str, rate: int) -> Iterator[AudioFrame]:
    """All frames at one rate and with the same channels: a stream may change them in its middle."""
    resampler, kind = AudioResampler("fltp", layout, rate), kind_of(first)
    for frame in chain([first], rest):
        if kind_of(frame) != kind:
            yield from resampler.resample(None)
            resampler, kind = AudioResampler("fltp", layout, rate), kind_of(frame)
        frame.pts = None
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def kind_of(frame: AudioFrame) -> tuple[str, int, str]:
    return frame.format.name, frame.rate, frame.layout.name
