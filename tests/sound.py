"""Sound to test with, in the forms that phones, browsers and recorders write. PyAV encodes it: no files are kept."""

import io

import av
import numpy as np
from numpy.typing import NDArray

# name: (container, encoder, sample rate, options of the container)
FORMS: dict[str, tuple[str, str, int, dict[str, str]]] = {
    "m4a": ("ipod", "aac", 44100, {}),  # the moov box at the end, as phones write it
    "m4a from a phone call": ("ipod", "aac", 8000, {}),
    "m4a, lossless": ("ipod", "alac", 48000, {}),
    "adts": ("adts", "aac", 44100, {}),
    "mp3": ("mp3", "libmp3lame", 44100, {}),
    "wav": ("wav", "pcm_s16le", 48000, {}),
    "wav, 24 bit": ("wav", "pcm_s24le", 96000, {}),
    "wav, float": ("wav", "pcm_f32le", 48000, {}),
    "wav, 8 bit": ("wav", "pcm_u8", 8000, {}),
    "wav, mu-law": ("wav", "pcm_mulaw", 8000, {}),
    "flac": ("flac", "flac", 48000, {}),
    "ogg": ("ogg", "libopus", 48000, {}),
    "webm": ("webm", "libopus", 48000, {}),
    "webm from MediaRecorder": ("webm", "libopus", 48000, {"live": "1"}),  # states no duration
    "amr": ("amr", "amr_nb", 8000, {}),
    "3gp": ("3gp", "amr_nb", 8000, {}),
    "caf": ("caf", "pcm_s16be", 44100, {}),
}


def tone(seconds: float, rate: int, *, level: float = 0.5) -> NDArray[np.float32]:
    """One channel of 440 Hz; `level` is its peak, 1.0 full scale."""
    moments = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * 440 * moments)).astype(np.float32)


def silence(seconds: float, rate: int) -> NDArray[np.float32]:
    return np.zeros(round(seconds * rate), np.float32)


def encode(samples: NDArray[np.float32], form: str = "wav", *, channels: int = 1) -> bytes:
    """A file of `samples` (one channel, repeated for `channels`), in one of FORMS at its rate."""
    container, encoder, rate, options = FORMS[form]
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as output:
        stream = output.add_stream(encoder, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono" if channels == 1 else "stereo"
        step = rate
        for start in range(0, len(samples), step):
            block = np.repeat(samples[None, start : start + step], channels, axis=0)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", stream.layout.name)
            frame.rate, frame.pts = rate, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def rate_of(form: str) -> int:
    return FORMS[form][2]
