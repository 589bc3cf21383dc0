"""How loud a recording is from beginning to end, what is drawn of that, and where there is sound."""

import numpy as np
from numpy.typing import NDArray

from recordings.analysis.facts import MOST_STRETCHES, PEAKS
from recordings.analysis.segments import Stretch

# What counts as sound. Levels are decibels, 0 at full scale; lengths seconds.
FRAME = 0.02
FLOOR, ABOVE_NOISE, BELOW_LOUD = -60.0, 10.0, 25.0
SHORTEST_SILENCE, SHORTEST_SOUND, MARGIN = 0.5, 0.06, 0.1


class Envelope:
    """The loudest sample of each short stretch of time: at first of 1.25 ms, twice as long whenever the room is full.

    Four million stretches are 87 minutes at first, 12 hours at 10 ms, and always 8 MB.
    """

    ROOM = 2**22

    def __init__(self, rate: int) -> None:
        self.peaks: NDArray[np.uint16] = np.zeros(self.ROOM, np.uint16)
        self.used = 0
        self.step = max(1, rate // 800)  # samples
        self.rate = rate
        self.rest: NDArray[np.float32] = np.zeros(0, np.float32)
        self.samples = 0

    def add(self, loudness: NDArray[np.float32]) -> None:
        """Take in samples of one channel, none of them below 0."""
        self.samples += len(loudness)
        joined = np.concatenate((self.rest, loudness)) if len(self.rest) else loudness
        whole = len(joined) // self.step
        while self.used + whole > self.ROOM:
            self._halve()
            whole = len(joined) // self.step
        self._append(joined[: whole * self.step].reshape(whole, self.step).max(axis=1, initial=0))
        self.rest = joined[whole * self.step :].copy()

    def skip(self, samples: int) -> None:
        """Take in so many samples of silence, in no more room than one stretch."""
        while samples > 0:
            whole = 0 if len(self.rest) else samples // self.step
            if not whole:
                some = min(samples, self.step - len(self.rest))
                self.add(np.zeros(some, np.float32))
            elif self.used + whole > self.ROOM:
                self._halve()
                continue
            else:
                some = whole * self.step
                self.used, self.samples = self.used + whole, self.samples + some
            samples -= some

    def finish(self) -> NDArray[np.uint16]:
        if len(self.rest) and self.used < self.ROOM:
            self._append(self.rest.max(keepdims=True))
            self.rest = self.rest[:0]
        return self.peaks[: self.used]

    def _append(self, peaks: NDArray[np.float32]) -> None:
        self.peaks[self.used : self.used + len(peaks)] = np.rint(np.minimum(peaks, 1.0) * 65535)
        self.used += len(peaks)

    def _halve(self) -> None:
        half = self.ROOM // 2
        self.peaks[:half] = self.peaks.reshape(half, 2).max(axis=1)
        self.used, self.step = (self.used + 1) // 2, self.step * 2
        self.peaks[self.used :] = 0


def draw(peaks: NDArray[np.uint16]) -> bytes:
    """800 peaks of equal length, each 0 to 255 and rounded up: what is heard is seen."""
    edges = np.arange(PEAKS) * len(peaks) // PEAKS
    loudest = np.maximum.reduceat(peaks, edges)  # where there are fewer than 800, some stand twice
    return bytes(((loudest.astype(np.uint32) * 255 + 65534) // 65535).astype(np.uint8))


def find_sound(peaks: NDArray[np.uint16], step: float, duration: float) -> list[Stretch]:
    """The stretches that are not silence, from `peaks` of `step` seconds each: at most 2,000, in order.

    Silence is what lies near the recording's own noise and well below its loud parts, for half a second at least. In
    doubt it is sound: a player that skips silence must never skip a word.
    """
    size = max(1, round(FRAME / step))
    frame = size * step
    whole = len(peaks) // size * size
    levels = 20 * np.log10(np.maximum(peaks[:whole].reshape(-1, size).max(axis=1, initial=0), 1) / np.float32(65535))
    if not len(levels):
        levels = 20 * np.log10(np.maximum(peaks.max(keepdims=True), 1) / 65535)
    noise, loud = np.percentile(levels, (10, 99.9))
    threshold = max(FLOOR, min(noise + ABOVE_NOISE, loud - BELOW_LOUD))
    edges = np.flatnonzero(np.diff(np.concatenate(([False], levels > threshold, [False])).astype(np.int8)))
    stretches = _merge(edges.reshape(-1, 2).astype(np.float64) * frame, SHORTEST_SILENCE)
    stretches = stretches[stretches[:, 1] - stretches[:, 0] > SHORTEST_SOUND]
    stretches = _merge(np.clip(stretches + np.array((-MARGIN, MARGIN)), 0, duration), 0.0)
    if len(stretches) > MOST_STRETCHES:
        gaps = stretches[1:, 0] - stretches[:-1, 1]
        stretches = _merge(stretches, float(np.sort(gaps)[-MOST_STRETCHES]))
    return [(float(start), float(end)) for start, end in stretches]


def _merge(stretches: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """Make one of those that are no more than `gap` seconds apart."""
    if not len(stretches):
        return stretches
    apart = stretches[1:, 0] - stretches[:-1, 1] > gap
    starts = stretches[np.concatenate(([True], apart)), 0]
    ends = stretches[np.concatenate((apart, [True])), 1]
    return np.stack((starts, ends), axis=1)
