"""What the first directory of a TIFF file says, read before anything is decoded (TIFF 6.0)."""

import struct
from dataclasses import dataclass

from pleura.errors import InvalidHeaderError, TruncatedError

_WIDTH, _LENGTH, _BITS, _PHOTOMETRIC = 256, 257, 258, 262
_SAMPLES, _EXTRA, _FORMAT = 277, 338, 339
_SIZES = {1: 1, 3: 2, 4: 4, 16: 8}
_CODES = {1: "B", 3: "H", 4: "L", 16: "Q"}
MIN_IS_WHITE = 0
PALETTE = 3


@dataclass(frozen=True, slots=True)
class TiffInfo:
    """Tags of the first page.

    Attributes:
        bits: bits of each sample.
        photometric: 0 MinIsWhite, 1 MinIsBlack, 2 RGB, 3 palette, others.
        sample_format: 1 unsigned, 2 signed, 3 floating point.
        extra_samples: number of channels beyond the colour channels (alpha).
        pages: 1, or 2 for "more than one".
    """

    rows: int
    columns: int
    bits: int
    samples: int
    photometric: int
    sample_format: int
    extra_samples: int
    pages: int


def inspect_tiff(data: bytes) -> TiffInfo:
    """Read the first directory of a classic TIFF or a BigTIFF.

    Raises:
        TruncatedError: the directory lies beyond the end, or beyond what a file can hold.
        InvalidHeaderError: size or sample format is missing.
    """
    try:
        values, following = _directory(data)
    except (struct.error, OverflowError):
        raise TruncatedError("The TIFF file ends before its directory.") from None

    def first(tag: int, default: int) -> int:
        found = values.get(tag, ())
        return found[0] if found else default

    rows, columns = first(_LENGTH, 0), first(_WIDTH, 0)
    if not (rows and columns):
        raise InvalidHeaderError("The TIFF directory gives no image size.")
    return TiffInfo(
        rows=rows,
        columns=columns,
        bits=first(_BITS, 1),
        samples=first(_SAMPLES, 1),
        photometric=first(_PHOTOMETRIC, 1),
        sample_format=first(_FORMAT, 1),
        extra_samples=len(values.get(_EXTRA, ())),
        pages=2 if following else 1,
    )


def _directory(data: bytes) -> tuple[dict[int, tuple[int, ...]], int]:
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    count_code, offset_code, entry_size = ("Q", "Q", 20) if big else ("H", "L", 12)
    inline = 8 if big else 4
    (start,) = struct.unpack_from(order + offset_code, data, 8 if big else 4)
    (entries,) = struct.unpack_from(order + count_code, data, start)
    begin = start + struct.calcsize(order + count_code)
    values: dict[int, tuple[int, ...]] = {}
    for index in range(min(entries, 4096)):
        entry = begin + index * entry_size
        tag, kind, number = struct.unpack_from(f"{order}HH{offset_code}", data, entry)
        # Of several entries with one tag the decoder (libtiff) takes the first.
        if tag in values:
            continue
        # Only the few short lists that are asked for; strip tables may be long.
        if kind not in _SIZES or number > 16:
            values[tag] = ()
            continue
        place = entry + entry_size - inline
        if _SIZES[kind] * number > inline:
            (place,) = struct.unpack_from(order + offset_code, data, place)
        values[tag] = struct.unpack_from(f"{order}{number}{_CODES[kind]}", data, place)
    (following,) = struct.unpack_from(order + offset_code, data, begin + entries * entry_size)
    return values, following
