"""Small files that lie: every container that Recorder opens, with sizes, counts, rates, gaps, nesting and lengths that
no such file can have. Made by code, the same at each run, none larger than 64 KiB.

What FFmpeg did with two of them before there were bounds: `m4a, 40 million samples` took 1.5 GB to open, and the index
of a Matroska file with gaps of 599 s took 1.1 GB to draw.
"""

import io
import random
import struct
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise

import av
import numpy as np

from tests.sound import FORMS, encode, rate_of, tone

HUGE = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 40_000_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
MOST_BYTES = 2**16

# container of FFmpeg: (muxer, encoder, rate); those of sound.FORMS are there too
MORE_FORMS = {
    "aiff": ("aiff", "pcm_s16be", 44100),
    "au": ("au", "pcm_s16be", 8000),
    "avi": ("avi", "pcm_s16le", 8000),
    "ac3": ("ac3", "ac3", 48000),
    "eac3": ("eac3", "eac3", 48000),
    "asf": ("asf", "pcm_s16le", 8000),
    "matroska": ("matroska", "pcm_s16le", 8000),
    "mov": ("mov", "pcm_s16le", 8000),
    "mp4, in fragments": ("mp4", "aac", 44100),
    "mj2": ("ismv", "aac", 44100),
    "3g2": ("3g2", "aac", 8000),
    "amr, wide": ("amr", "amr_wb", 16000),
    "w64": ("w64", "pcm_s16le", 8000),
    "ogg, vorbis": ("ogg", "libvorbis", 44100),
    "ogg, flac": ("ogg", "flac", 44100),
}


@cache
def honest() -> dict[str, bytes]:
    """A fifth of a second in each form."""
    whole = {name: encode(tone(0.2, rate_of(name)), name) for name in FORMS}
    for name, (container, encoder, rate) in MORE_FORMS.items():
        options = {"movflags": "frag_keyframe+empty_moov"} if "fragments" in name else {}
        whole[name] = muxed(container, encoder, rate, options)
    return {name: content for name, content in whole.items() if len(content) <= MOST_BYTES}


def muxed(container: str, encoder: str, rate: int, options: dict[str, str]) -> bytes:
    file = io.BytesIO()
    try:
        with av.open(file, "w", format=container, options=options) as output:
            stream = output.add_stream(encoder, rate=rate)
            assert isinstance(stream, av.AudioStream)
            stream.layout = "mono"
            frame = av.AudioFrame.from_ndarray(tone(0.2, rate)[None], "fltp", "mono")
            frame.rate, frame.pts = rate, 0
            output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    except (ValueError, av.error.FFmpegError):  # this FFmpeg can't write it
        return b"\0" * (MOST_BYTES + 1)
    return file.getvalue()


def files() -> Iterator[tuple[str, bytes]]:
    """Name and content of each."""
    makers: list[Callable[[], Iterator[tuple[str, bytes]]]] = [
        *(mp4s, matroskas, waves, oggs, chunks, frames, headers, lengths, noise),
    ]
    for make in makers:
        yield from make()


# Boxes of ISO/IEC 14496-12


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full(kind: bytes, *parts: bytes) -> bytes:
    return box(kind, bytes(4), *parts)


def u32(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *(value & 0xFFFFFFFF for value in values))


def mp4(
    *,
    samples: int = 3,
    size: int = 4,
    delta: int = 1024,
    chunks: int = 1,
    a_chunk: int | None = None,
    rate: int = 44100,
    channels: int = 1,
    scale: int = 44100,
    edits: tuple[int, ...] = (),
    codec: bytes = b"mp4a",
) -> bytes:
    """An MP4 of AAC whose tables say what they are told to."""
    config = (
        b"\x03\x80\x80\x80\x25\0\1\0\x04\x80\x80\x80\x17\x40\x15"
        + bytes(11)
        + b"\x05\x80\x80\x80\x05\x12\x08\x56\xe5\0"
    )
    entry = bytes(6) + struct.pack(">H", 1) + bytes(8) + struct.pack(">HHI", channels & 0xFFFF, 16, 0)
    entry += u32((rate & 0xFFFF) << 16)
    offsets = [44] * min(chunks, 64)
    tables = box(
        b"stbl",
        full(b"stsd", u32(1), box(codec, entry, full(b"esds", config + b"\x06\x80\x80\x80\1\2"))),
        full(b"stts", u32(1, samples, delta)),
        full(b"stsc", u32(1, 1, samples if a_chunk is None else a_chunk, 1)),
        full(b"stsz", u32(size, samples)),
        full(b"stco", u32(chunks, *offsets)),
    )
    handler = full(b"hdlr", u32(0) + b"soun" + bytes(13))
    media = box(b"mdia", full(b"mdhd", u32(0, 0, scale, delta * samples, 0)), handler, box(b"minf", tables))
    list_of_edits = [box(b"edts", full(b"elst", u32(len(edits) // 3, *edits)))] if edits else []
    track = box(b"trak", full(b"tkhd", u32(0, 0, 1, 0, samples), bytes(60)), *list_of_edits, media)
    head = box(b"ftyp", b"M4A \0\0\2\0M4A isomiso2") + box(b"free") + box(b"mdat", b"\x01\x18\x20\x07" * 9)
    return head + box(b"moov", full(b"mvhd", u32(0, 0, 1000, 70), bytes(80)), track)


def mp4s() -> Iterator[tuple[str, bytes]]:
    yield "m4a, 40 million samples", mp4(samples=40_000_000, size=4)
    for value in HUGE:
        yield f"m4a, {value} samples", mp4(samples=value)
        yield f"m4a, samples of {value} bytes", mp4(size=value)
        yield f"m4a, steps of {value}", mp4(delta=value)
        yield f"m4a, {value} chunks", mp4(chunks=value)
        yield f"m4a, {value} samples in a chunk", mp4(a_chunk=value)
        yield f"m4a, {value} a second", mp4(scale=value, rate=value)
        yield f"m4a, edited {value}", mp4(edits=(value, 0, 1 << 16, value, value, 1 << 16))
    for codec in (b"sowt", b"twos", b"alac", b"samr", b"ulaw", b"Opus", b"fLaC", b"in32", b"ms\0\x11"):
        for channels in (0, 255, 0xFFFF):
            yield (
                f"mov, {codec!r} of {channels} channels",
                mp4(codec=codec, channels=channels, samples=100_000, size=1),
            )
    yield "m4a, edited 4000 times", mp4(edits=(0xFFFFFF, 0, 1 << 16) * 4000)
    for kind in (b"moov", b"trak", b"udta", b"meta"):
        nested = b""
        for _ in range(2000):
            nested = box(kind, nested)
        yield f"m4a, 2000 {kind.decode()} in each other", box(b"ftyp", b"M4A \0\0\2\0") + nested
    yield "m4a, 500 tracks", box(b"ftyp", b"M4A \0\0\2\0") + box(b"moov", box(b"trak") * 500)


# Elements of Matroska, RFC 9559


def element(id: int, *parts: bytes, length: int | None = None) -> bytes:
    content = b"".join(parts)
    name = id.to_bytes((id.bit_length() + 7) // 8, "big")
    said = len(content) if length is None else length
    return name + (said | 1 << 56).to_bytes(8, "big") + content


def number(id: int, value: int) -> bytes:
    return element(id, (value & 2**64 - 1).to_bytes(8, "big"))


def decimal(id: int, value: float) -> bytes:
    return element(id, struct.pack(">d", value))


def matroska(
    *,
    rate: float = 8000.0,
    channels: int = 1,
    bits: int = 16,
    scale: int = 1_000_000,
    moments: tuple[int, ...] = (0,),
    codec: bytes = b"A_PCM/INT/LIT",
    length: int | None = None,
    sound: bytes = b"\1\0",
    private: bytes = b"",
    delay: int = 0,
) -> bytes:
    """A Matroska file whose clusters begin at these moments, in units of `scale` nanoseconds."""
    head = element(0x1A45DFA3, number(0x4286, 1), element(0x4282, b"matroska"), number(0x4287, 4), number(0x4285, 2))
    details = element(0xE1, number(0x9F, channels), decimal(0xB5, rate), number(0x6264, bits))
    coding = element(0x86, codec) + (element(0x63A2, private) if private else b"") + number(0x56AA, delay)
    track = element(0xAE, number(0xD7, 1), number(0x73C5, 1), coding, number(0x83, 2), details)
    info = element(0x1549A966, number(0x2AD7B1, scale))
    clusters = [element(0x1F43B675, number(0xE7, at), element(0xA3, b"\x81\0\0\x80" + sound)) for at in moments]
    return head + element(0x18538067, info, element(0x1654AE6B, track), *clusters, length=length)


def matroskas() -> Iterator[tuple[str, bytes]]:
    for count in (3, 300):
        for rate in (450_000.0, 768_000.0, 2e9, 1e300):
            moments = tuple(range(0, 599_000 * count, 599_000))
            yield f"mka, {count} clusters, each 599 s later, at {rate:g} Hz", matroska(rate=rate, moments=moments)
    for rate in (0.0, -1.0, 1e-300, float("nan"), float("inf"), 2**31 - 1.0, 2**31 + 1.0):
        yield f"mka at {rate:g} Hz", matroska(rate=rate)
    for value in (0, 9, 255, 65_535, 2**31 - 1, 2**63, 2**64 - 1):
        yield f"mka of {value} channels", matroska(channels=value)
        yield f"mka of {value} bits", matroska(bits=value)
        yield f"mka in steps of {value} ns", matroska(scale=value, moments=(0, 100, 200))
        yield f"mka that says {value % 2**56} bytes", matroska(length=value % 2**56)
        yield f"mka that begins at {value}", matroska(moments=(value, 0, value))
        yield f"mka delayed by {value} ns", matroska(delay=value)
    codecs = (b"A_OPUS", b"A_VORBIS", b"A_FLAC", b"A_AAC", b"A_AC3", b"A_MPEG/L3", b"A_PCM/FLOAT/IEEE", b"A_ALAC")
    for codec in codecs:
        for private in (b"", b"\2\x1e\xff" + b"\xff" * 200, bytes(60)):
            yield (
                f"mka, {codec.decode()} with {len(private)} bytes of setup",
                matroska(codec=codec, private=private, sound=b"\xff" * 600, moments=tuple(range(0, 2000, 20))),
            )
    nested = b""
    for _ in range(3000):
        nested = element(0x1549A966, nested)
    yield (
        "mka, 3000 elements in each other",
        element(0x1A45DFA3, element(0x4282, b"webm")) + element(0x18538067, nested),
    )


# RIFF and what is like it


def wave(
    *, kind: int = 1, channels: int = 1, rate: int = 8000, align: int = 2, bits: int = 16, said: int = 8
) -> bytes:
    values = (
        kind & 0xFFFF,
        channels & 0xFFFF,
        rate & 0xFFFFFFFF,
        rate * 2 & 0xFFFFFFFF,
        align & 0xFFFF,
        bits & 0xFFFF,
    )
    layout = struct.pack("<HHIIHH", *values)
    chunk = b"fmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", said & 0xFFFFFFFF)
    return b"RIFF" + struct.pack("<I", said & 0xFFFFFFFF) + b"WAVE" + chunk + b"\1\2" * 400


def waves() -> Iterator[tuple[str, bytes]]:
    for value in HUGE:
        yield f"wav at {value} Hz", wave(rate=value)
        yield f"wav of {value} channels", wave(channels=value)
        yield f"wav in blocks of {value}", wave(align=value)
        yield f"wav of {value} bits", wave(bits=value)
        yield f"wav that says {value} bytes", wave(said=value)
    for kind in (2, 3, 6, 7, 0x11, 0x31, 0x50, 0x55, 0x160, 0x161, 0xFF, 0x1610, 0xFFFE):
        for channels in (1, 2, 64, 0xFFFF):
            yield f"wav of kind {kind:#x} and {channels} channels", wave(kind=kind, channels=channels, align=1)


def chunks() -> Iterator[tuple[str, bytes]]:
    """AIFF, AU, CAF, W64, AVI, ASF, AMR: a field of the header, in the way of each, says too much."""
    for value in HUGE:
        wide = value & 0xFFFF
        extended = struct.pack(">HQ", 0x400E + min(wide, 0x3F00), 1 << 63)
        common = struct.pack(">hIh", wide & 0x7FFF, value, 16) + extended
        form = b"AIFFCOMM" + u32(len(common)) + common + b"SSND" + u32(value, 0, 0) + b"\1\2" * 400
        yield f"aiff, {value}", b"FORM" + u32(value) + form
        yield f"au, {value}", b".snd" + u32(24, value, 3, value, wide or 1) + b"\1\2" * 400
        described = struct.pack(">d4sIIIII", float(value), b"lpcm", 0, wide, 1, wide, 16)
        caf = b"caff\0\1\0\0desc" + struct.pack(">Q", 32) + described
        yield f"caf, {value}", caf + b"data" + struct.pack(">Q", value) + bytes(4) + b"\1\2" * 400
        table = struct.pack(">QQII", value, value << 10, 0, 0)
        yield f"caf, {value} packets", caf + b"pakt" + struct.pack(">Q", 24 + wide) + table + b"\x81" * 999
        yield f"amr, {value}", b"#!AMR\n" + bytes([value & 0xFF]) * 600


def oggs() -> Iterator[tuple[str, bytes]]:
    """Pages whose positions leap, by RFC 3533; the checksums are wrong on purpose where `sealed` is not set."""
    for value in HUGE:
        for sealed in (True, False):
            head = b"OpusHead\1" + bytes([value & 0xFF]) + struct.pack("<HIhB", value & 0xFFFF, value, -1, 0)
            pages = [(head, 2, 0), (b"OpusTags" + struct.pack("<II", value & 0xFFFF, value) + bytes(99), 0, 0)]
            pages += [(b"\xfc\xff\xfe", 0, value * at << 20) for at in range(1, 40)]
            content = b"".join(page(*each, number, sealed=sealed) for number, each in enumerate(pages))
            yield f"ogg, {value}, {'sealed' if sealed else 'not sealed'}", content


def page(content: bytes, flags: int, position: int, number: int, *, sealed: bool) -> bytes:
    lengths = bytes([255] * (len(content) // 255) + [len(content) % 255])
    head = (
        struct.pack("<4sBBQIII", b"OggS", 0, flags, position % 2**64, 7, number, 0) + bytes([len(lengths)]) + lengths
    )
    whole = head + content
    return whole[:22] + struct.pack("<I", checksum(whole)) + whole[26:] if sealed else whole


def checksum(content: bytes) -> int:
    """CRC-32 of Ogg: polynomial 0x04c11db7, nothing reflected."""
    value = 0
    for byte in content:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1) ^ 0x04C11DB7 if value & 0x80000000 else value << 1
        value &= 0xFFFFFFFF
    return value


def frames() -> Iterator[tuple[str, bytes]]:
    """Streams without a container: a header that repeats, then anything."""
    heads = {
        "mp3": b"\xff\xfb\x10\xc4",
        "mp3, 8 kbit/s": b"\xff\xe3\x18\xc4",
        "mp2": b"\xff\xfd\x14\xc4",
        "adts": b"\xff\xf1\x50\x40\x02\x1f\xfc",
        "ac3": b"\x0b\x77\0\0\x14\x40\x2f",
        "eac3": b"\x0b\x77\0\x1f\x34\x86\xff",
        "flac": b"fLaC\x80\0\0\x22\xff\xff\xff\xff\0\0\0\xff\xff\xff\x0b\xb8\x01\xf0\xff\xff\xff\xff" + bytes(16),
        "flac, silence": b"fLaC\x80\0\0\x22\xff\xff\xff\xff"
        + bytes(6)
        + b"\x0a\xc4\x40\xf0"
        + bytes(20)
        + b"\xff\xf8\x79\x08\0",
    }
    for name, head in heads.items():
        dice = random.Random(name)
        for length in (10, 100, 417):
            yield f"{name}, frames of {length}", (head + dice.randbytes(length)) * (30_000 // (length + len(head)))
        yield f"{name}, empty frames", head * 3000
        yield f"{name} behind a tag of 256 MB", b"ID3\4\0\0\x7f\x7f\x7f\x7f" + head * 500
        yield f"{name} behind many tags", (b"ID3\4\0\0\0\0\0\x0a" + bytes(10)) * 1000 + head * 500


def headers() -> Iterator[tuple[str, bytes]]:
    """Honest files, each 4 bytes of whose beginning say much, one after another; three of each form."""
    for name, whole in honest().items():
        dice = random.Random(name)
        for round in range(3):
            content = bytearray(whole)
            for _ in range(3):
                at = dice.randrange(4, min(len(content) - 4, 600))
                content[at : at + 4] = dice.choice(
                    (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x02\x62\x5a\0", bytes(4))
                )
            yield f"{name}, header {round}", bytes(content)


def lengths() -> Iterator[tuple[str, bytes]]:
    """Honest files that end early, go on with themselves, or lack their middle."""
    for name, whole in honest().items():
        yield f"{name}, a third", whole[: len(whole) // 3]
        yield f"{name}, again and again", (whole * 40)[:MOST_BYTES]
        middle = len(whole) // 2
        yield f"{name}, its beginning in its middle", whole[:middle] + whole[:200] + whole[middle:]


def noise() -> Iterator[tuple[str, bytes]]:
    """Noise behind each beginning that a container is known by."""
    starts = [whole[:64] for whole in honest().values()]
    for number, (start, other) in enumerate(pairwise([*starts, starts[0]])):
        content = np.random.default_rng(number).bytes(20_000)
        yield f"noise {number}", start + content
        yield f"noise {number} and another beginning", start + other + content
