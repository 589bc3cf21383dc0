"""What is found out about a recording's sound, and how it is told between processes.

Whoever tells it has read a stranger's file, and may be in the stranger's hands: `loaded` takes nothing but values that
a recording can have.
"""

import base64
import math
import re
from dataclasses import asdict, dataclass, fields
from typing import Any

from recordings.analysis.segments import unpack

PEAKS = 800
MOST_RATE, MOST_CHANNELS, MOST_SECONDS, MOST_BIT_RATE = 768_000, 64, 10**9, 10**10
MOST_STRETCHES = 2000
MOST_PACKED = MOST_STRETCHES * 2 * 5  # bytes: two lengths for each stretch, below 2^35 centiseconds
CODEC = re.compile(r"[a-z0-9_]{1,32}", re.ASCII)


@dataclass(frozen=True)
class Facts:
    """What was found, named as the recording's attributes. All None where there is no sound to be had."""

    playable: bool = False
    duration: float | None = None
    codec: str | None = None
    sample_rate: int | None = None
    channels: int | None = None
    bit_rate: int | None = None
    waveform: bytes | None = None  # 800 peaks, each 0 to 255
    segments: bytes | None = None  # see segments.py


def dumped(facts: Facts) -> dict[str, object]:
    """The same as JSON has it."""
    values = asdict(facts)
    for name in ("waveform", "segments"):
        values[name] = None if values[name] is None else base64.b64encode(values[name]).decode()
    return values


def loaded(told: Any) -> Facts:
    """What `dumped` made, in whosever hands it was. Raises ValueError for all that no recording can have."""
    if not isinstance(told, dict) or told.keys() != {field.name for field in fields(Facts)}:
        raise ValueError("These are no facts.")
    if told["playable"] is not True:
        if told["playable"] is not False or any(value is not None for value in told.values() if value is not False):
            raise ValueError("What can't be played has no facts.")
        return Facts()
    codec, waveform, segments = told["codec"], packed(told["waveform"]), packed(told["segments"])
    if not isinstance(codec, str) or not CODEC.fullmatch(codec):
        raise ValueError("This is no codec.")
    if (waveform is None) != (segments is None) or (waveform is not None and len(waveform) != PEAKS):
        raise ValueError("This is no waveform.")
    duration = seconds(told["duration"])
    if segments and (duration is None or not within(segments, duration)):
        raise ValueError("These are no stretches of this recording.")
    rate, channels = whole(told["sample_rate"], MOST_RATE), whole(told["channels"], MOST_CHANNELS)
    return Facts(True, duration, codec, rate, channels, whole(told["bit_rate"], MOST_BIT_RATE), waveform, segments)


def packed(value: Any) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MOST_PACKED * 2:
        raise ValueError("This is no text of bytes.")
    return base64.b64decode(value, validate=True)


def whole(value: Any, most: int) -> int | None:
    if value is not None and (type(value) is not int or not 0 < value <= most):
        raise ValueError("This is no number of this kind.")
    return value


def seconds(value: Any) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= MOST_SECONDS:
        raise ValueError("This is no duration.")
    return round(float(value), 3)


def within(segments: bytes, duration: float) -> bool:
    """Whether these are as many stretches as there may be, none of them after the end. They are in order anyway."""
    if len(segments) > MOST_PACKED or segments[-1] & 0x80:
        return False
    try:
        stretches = unpack(segments)
    except (ValueError, OverflowError):
        return False
    return len(stretches) <= MOST_STRETCHES and stretches[-1][1] <= duration + 1
