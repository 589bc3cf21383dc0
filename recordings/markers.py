"""A recording's markers as other programs read them: WebVTT chapters and Audacity's labels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recordings.models import Marker

LEAST = 0.001  # seconds; a WebVTT cue must end after it begins


def webvtt(markers: "Sequence[Marker]", duration: float | None) -> str:
    """Chapters, each up to the next marker, the last one up to the end. https://www.w3.org/TR/webvtt1/"""
    starts = [marker["at"] for marker in markers]
    ends = [*starts[1:], duration or 0.0]
    cues = [
        f"{_clock(start)} --> {_clock(max(end, start + LEAST))}\n{_escaped(marker['label'])}\n"
        for marker, start, end in zip(markers, starts, ends, strict=False)
    ]
    return "\n".join(["WEBVTT\n", *cues])


def audacity(markers: "Sequence[Marker]") -> str:
    """Point labels: begin, end and text, with tabs between.

    https://manual.audacityteam.org/man/importing_and_exporting_labels.html
    """
    return "".join(f"{marker['at']:.6f}\t{marker['at']:.6f}\t{marker['label']}\n" for marker in markers)


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"


def _escaped(label: str) -> str:
    return label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
