"""Damage inside compressed images: sizes, channels, segments (JPEG, JPEG-LS, JPEG 2000)."""

import struct
from random import Random

from byte_mutations import EXTREMES, Mutation, bits, filler, gap

JPEG_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), 0xF7)
NO_SEGMENT = (0x01, *range(0xD0, 0xDA), 0x4F, 0x93)
SIZES = ((10000, 10000), (65535, 1525), (1525, 65535), (300, 65535), (65535, 65535), (0, 0), (1, 1))


def segments(stream: bytes) -> list[tuple[int, int, int]]:
    """(marker, start, end) of each segment up to the entropy-coded data of the first scan."""
    found: list[tuple[int, int, int]] = []
    at = 2
    while at + 4 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        end = at + 2 + (0 if marker in NO_SEGMENT else int.from_bytes(stream[at + 2 : at + 4]))
        found.append((marker, at, end))
        at = end
        if marker in (0xDA, 0x93):
            break
    return found


def frame(stream: bytes) -> int | None:
    """Where the frame header of JPEG and JPEG-LS, or SIZ of JPEG 2000, starts."""
    known = (*JPEG_FRAMES, 0x51)
    return next((start for marker, start, _ in segments(stream) if marker in known), None)


def is_jpeg_2000(stream: bytes) -> bool:
    """Whether the stream begins as JPEG 2000 does."""
    return stream.startswith(b"\xff\x4f")


def resized(stream: bytes, rows: int, columns: int) -> bytes:
    """The stream with another size in its header; in JPEG 2000 as one tile."""
    at = frame(stream)
    if at is None:
        return stream
    if is_jpeg_2000(stream):
        image = struct.pack(">LL", columns, rows)
        return stream[: at + 6] + image + stream[at + 14 : at + 22] + image + stream[at + 30 :]
    return stream[: at + 5] + struct.pack(">HH", rows, columns) + stream[at + 9 :]


def size(rng: Random, stream: bytes) -> bytes:
    """Another size in the header; in JPEG 2000 also origin and tiles."""
    grown = resized(stream, *rng.choice(SIZES))
    at = frame(grown)
    if at is None or not is_jpeg_2000(grown) or rng.random() < 0.3:
        return grown
    place = at + 6 + 4 * rng.randrange(8)
    value = rng.choice((0, 1, 2, 64, 10000, 1 << 20, (1 << 31) - 1, (1 << 32) - 1))
    return grown[:place] + struct.pack(">L", value) + grown[place + 4 :]


def sample(rng: Random, stream: bytes) -> bytes:
    """Another precision, number of channels, or sampling factor."""
    at = frame(stream)
    if at is None:
        return stream
    first, last = (38, 43) if is_jpeg_2000(stream) else (4, 12)
    place = at + rng.choice((first, *range(first + 2, last)))
    return stream[:place] + bytes([rng.randrange(256)]) + stream[place + 1 :]


def segment(rng: Random, stream: bytes) -> bytes:
    """A segment is missing, stands twice, changes places, or has another length or content."""
    parts = segments(stream)
    if not parts:
        return stream
    _, start, end = rng.choice(parts)
    other = rng.choice(parts)[1]
    piece, rest = stream[start:end], stream[:start] + stream[end:]
    if end - start >= 4 and rng.random() < 0.4:
        length = struct.pack(">H", rng.choice(EXTREMES) & 0xFFFF)
        return stream[: start + 2] + length + stream[start + 4 :]
    return rng.choice(
        (rest, stream[:other] + piece + stream[other:], rest[:other] + piece + rest[other:])
        + ((stream[:start] + bits(rng, piece) + stream[end:],) if piece else ())
    )


def missing_end(rng: Random, stream: bytes) -> bytes:
    """Coded data is missing, but the end marker is there."""
    begin = max((end for _, _, end in segments(stream)), default=0)
    kept = rng.randrange(begin, max(begin + 1, len(stream) - 2))
    return stream[:kept] + b"\xff\xd9"


def coded(rng: Random, stream: bytes) -> bytes:
    """Damage of the coded data alone."""
    begin = max((end for _, _, end in segments(stream)), default=0)
    return stream[:begin] + rng.choice((bits, gap, filler))(rng, stream[begin:])


def scans(rng: Random, stream: bytes) -> bytes:
    """The last scan of a JPEG stream, many times over; in JPEG 2000 the last tile part."""
    marker = b"\xff\x90" if is_jpeg_2000(stream) else b"\xff\xda"
    at = stream.rfind(marker)
    if at < 0:
        return stream
    again = stream[at:-2] if len(stream) - at < 100_000 else stream[at : at + 50]
    return stream[:-2] + again * rng.choice((1, 9, 99, 2000)) + stream[-2:]


STREAMS: dict[str, Mutation] = {
    "stream size": size,
    "stream samples": sample,
    "stream segment": segment,
    "stream end": missing_end,
    "stream data": coded,
    "stream scans": scans,
}
"""By the name in the report."""
