"""Where a recording has sound, packed: a few bytes for each stretch, so that thousands of them fit into its row."""

from collections.abc import Iterable, Iterator

Stretch = tuple[float, float]  # start and end, in seconds from the beginning


def pack(stretches: Iterable[Stretch]) -> bytes:
    """Stretches in order that do not overlap, as the lengths of silence and sound in turn: centiseconds in LEB128."""
    packed, at = bytearray(), 0
    for moment in (round(edge * 100) for stretch in stretches for edge in stretch):
        length, at = max(0, moment - at), max(at, moment)
        while length > 0x7F:
            packed.append(length & 0x7F | 0x80)
            length >>= 7
        packed.append(length)
    return bytes(packed)


def unpack(packed: bytes) -> list[Stretch]:
    edges = list(_edges(packed))
    return list(zip(edges[::2], edges[1::2], strict=True))


def _edges(packed: bytes) -> Iterator[float]:
    at = length = shift = 0
    for byte in packed:
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            at += length
            yield at / 100
            length = shift = 0
