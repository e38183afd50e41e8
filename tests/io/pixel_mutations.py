"""Damage to encapsulated pixel data, and small files that promise to be large ones."""

import struct
from random import Random

from byte_mutations import EXTREMES, Mutation
from dicom_anatomy import (
    ITEM,
    PIXEL_DATA,
    SEQUENCE_END,
    UNDEFINED,
    Anatomy,
    anatomy,
    deflated,
    encoded,
)
from stream_mutations import SIZES, STREAMS, resized, scans


def stream_of(parts: Anatomy) -> bytes | None:
    """All fragments behind the offset table, or None where the pixel data is not encapsulated."""
    pixel = parts.find(PIXEL_DATA)
    if pixel is None:
        return None
    items = [s for s in parts.elements if s.start >= pixel.begin and s.tag == ITEM]
    return b"".join(parts.data[s.begin : s.end] for s in items[1:]) if items else None


def with_fragments(parts: Anatomy, table: bytes, fragments: list[bytes], end: bytes) -> bytes:
    """The file with other fragments."""
    pixel = parts.find(PIXEL_DATA)
    assert pixel is not None
    items = b"".join(encoded(ITEM, b"", piece, True, True) for piece in (table, *fragments))
    head = parts.encoded(PIXEL_DATA, b"OB", b"", UNDEFINED)
    return parts.data[: pixel.start] + head + items + end


def _wrapped(parts: Anatomy, stream: bytes) -> bytes:
    stream += b"\0" * (len(stream) % 2)
    return with_fragments(parts, b"", [stream], encoded(SEQUENCE_END, b"", b"", True, True))


def stream(rng: Random, data: bytes) -> bytes:
    """The compressed stream is damaged inside whole fragments."""
    parts = anatomy(data)
    old = stream_of(parts)
    if not old:
        return data
    new = STREAMS[rng.choice(tuple(STREAMS))](rng, old)
    return _wrapped(parts, new)


def fragments(rng: Random, data: bytes) -> bytes:
    """Fragments in strange numbers, sizes and order; offset tables that lead nowhere."""
    parts = anatomy(data)
    old = stream_of(parts)
    if old is None:
        return data
    size = rng.choice((2, 64, 1000, max(2, len(old) // 3)))
    pieces = [old[at : at + size] for at in range(0, len(old), size)]
    change = rng.choice(("none", "empty", "many", "lost", "shuffled", "nested"))
    if change == "empty":
        pieces = [b""] * rng.choice((1, 1000))
    elif change == "many":
        pieces += [b""] * 50_000
    elif change == "lost" and pieces:
        del pieces[rng.randrange(len(pieces))]
    elif change == "shuffled":
        rng.shuffle(pieces)
    elif change == "nested":
        pieces = [encoded(ITEM, b"", old, True, True)]
    table = struct.pack("<L", rng.choice(EXTREMES)) * rng.choice((0, 0, 1, 2, 1000))
    close = encoded(SEQUENCE_END, b"", b"", True, True)
    end = rng.choice((close, close, b"", close[:5], rng.randbytes(8), close + rng.randbytes(100)))
    return with_fragments(parts, table, pieces, end)


def bomb(rng: Random, data: bytes) -> bytes:
    """A compressed image that says it is huge, in the stream and in the header alike."""
    parts = anatomy(data)
    old = stream_of(parts)
    if old is None:
        return data
    rows, columns = rng.choice(SIZES)
    if old[:2] in (b"\xff\xd8", b"\xff\x4f"):
        new = resized(old, rows, columns)
        new = scans(rng, new) if rng.random() < 0.3 else new
    else:
        runs = rng.choice((10, 1000, 100_000))
        segments = int.from_bytes(old[:4], "little")
        offsets = [64 + rng.randrange(2 * runs) for _ in range(15)]
        head = struct.pack("<16L", rng.choice((segments, segments, 15, 0)), *offsets)
        new = head + rng.choice((b"\x81\x07", b"\x80\x80", b"\x00\x07")) * runs
    wrapped = _wrapped(parts, new)
    sized = anatomy(wrapped).with_element(0x00280010, b"US", parts.shorts(rows))
    return anatomy(sized).with_element(0x00280011, b"US", parts.shorts(columns))


def inflation(rng: Random, data: bytes) -> bytes:
    """A deflated file whose data set inflates to a multiple: pixels, private values, or a tail."""
    size = rng.choice((1 << 20, 1 << 24, 1 << 26, 1 << 26, 600 << 20))
    where = rng.choice(("pixels", "value", "tail"))
    if where == "pixels":
        width = rng.choice((1, 2, 4))
        rows, columns = rng.choice(((size // width // 200, 200), (200, size // width // 200)))
        for tag, value in ((0x00280010, rows), (0x00280011, columns)):
            data = anatomy(data).with_element(tag, b"UL", struct.pack("<L", value))
        for tag, value in ((0x00280100, 8 * width), (0x00280101, 8 * width)):
            data = anatomy(data).with_element(tag, b"US", struct.pack("<H", value))
    parts = anatomy(data)
    pixel = parts.find(PIXEL_DATA)
    if where == "tail" or pixel is None:
        return deflated(data, tail=size)
    tag, vr = (PIXEL_DATA, b"OW") if where == "pixels" else (0x00291012, b"OB")
    return deflated(data[: pixel.start] + parts.encoded(tag, vr, b"", size), tail=size)


PIXELS: dict[str, Mutation] = {"stream": stream, "fragments": fragments, "bomb": bomb}
"""By the name in the report; for encapsulated pixel data."""
