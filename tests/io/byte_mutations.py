"""Damage that any file can take, whatever its format: each function is (random, bytes) -> bytes."""

import struct
from collections.abc import Callable
from random import Random
from typing import TypeAlias

Mutation: TypeAlias = Callable[[Random, bytes], bytes]

EXTREMES = (0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 1 << 20, 1 << 24)
WIDE_EXTREMES = (*EXTREMES, (1 << 31) - 1, 1 << 31, (1 << 32) - 9, (1 << 32) - 2, (1 << 32) - 1)
HEAD = 700
"""Most formats say what they are in so many bytes: half of the damage goes there."""


def place(rng: Random, data: bytes) -> int:
    """A place in the bytes, as often in the head as anywhere."""
    reach = min(HEAD, len(data)) if rng.random() < 0.5 else len(data)
    return rng.randrange(max(1, reach))


def truncation(rng: Random, data: bytes) -> bytes:
    """The first bytes only."""
    return data[: place(rng, data)]


def bits(rng: Random, data: bytes) -> bytes:
    """A few bits are flipped."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16, 64)) if changed else 0):
        changed[place(rng, data)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def number(rng: Random, data: bytes) -> bytes:
    """Two, four or eight bytes become an extreme number in either byte order."""
    order, code = rng.choice("<>"), rng.choice("HLQ")
    value = rng.choice(WIDE_EXTREMES) if rng.random() < 0.8 else rng.getrandbits(64)
    size = struct.calcsize(f"{order}{code}")
    at = place(rng, data)
    return data[:at] + struct.pack(f"{order}{code}", value % (1 << 8 * size)) + data[at + size :]


def gap(rng: Random, data: bytes) -> bytes:
    """A stretch is missing."""
    at = place(rng, data)
    return data[:at] + data[at + _stretch(rng, data) :]


def filler(rng: Random, data: bytes) -> bytes:
    """A stretch is overwritten, or strange bytes stand between the others."""
    at, size = place(rng, data), _stretch(rng, data)
    strange = rng.choice((b"\0" * size, b"\xff" * size, rng.randbytes(size)))
    return data[:at] + strange + data[at + rng.choice((0, size)) :]


def repetition(rng: Random, data: bytes) -> bytes:
    """A stretch stands twice."""
    at = place(rng, data)
    again = data[at : at + _stretch(rng, data)]
    return data[:at] + again + data[at:]


def splice(rng: Random, data: bytes, other: bytes) -> bytes:
    """The beginning of one file and the end of another."""
    return data[: place(rng, data)] + other[place(rng, other) :]


def _stretch(rng: Random, data: bytes) -> int:
    return rng.choice((1, 2, 4, 8, 64, 512, max(1, len(data) // 4)))


BYTES: dict[str, Mutation] = {
    "truncation": truncation,
    "bits": bits,
    "number": number,
    "gap": gap,
    "filler": filler,
    "repetition": repetition,
}
"""By the name in the report."""
