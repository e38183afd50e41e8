"""Whether a compressed stream holds the whole image that its header promises.

libjpeg fills pixels whose code is missing and OpenJPEG leaves out missing tiles, both without a
word. A fragment that was lost on the way would become a grey or a smooth part of the lung.
"""

import re

import numpy as np
from numpy.typing import NDArray

from pleura.errors import TruncatedError, UnsupportedSyntaxError
from pleura.io.codestream import (
    Coding,
    StreamInfo,
    start_of_jpeg_2000,
    start_of_scans,
)

MAX_SCANS = 100
"""Most scans of a JPEG stream: encoders write up to 14, and each is worked through in full."""
MAX_PIXELS_A_BYTE = 1024
"""A radiograph of a byte for each 32 x 32 pixels shows nothing; a stream cut short says it is one.

JPEG 2000 and JPEG-LS code what is flat in almost no bytes, so that the code itself has no bound.
"""

_SCAN = b"\xff\xda"
_LOSSLESS = frozenset({0xC3, 0xC7})
_ARITHMETIC = 0xC9
_BLOCK = 8
_FINISH = re.compile(rb"\xff[\xd0-\xd7\xd9]")
_MORE_CODE = bytes(range(1, 255))
_TILE_PART = 0xFF90


def check_amount(stream: bytes, info: StreamInfo) -> None:
    """Refuse what is short by its size or its tiles alone, before it is decoded.

    Raises:
        TruncatedError: more than `MAX_PIXELS_A_BYTE`; fewer bits than the image has blocks, or
            samples where JPEG is lossless (each has a code of at least one bit, ISO/IEC 10918-1
            F.1.2 and H.1.2); fewer tiles of JPEG 2000 than its size asks for (ISO/IEC 15444-1
            A.4.2 and B.3).
        UnsupportedSyntaxError: more scans than `MAX_SCANS`.
    """
    pixels = info.rows * info.columns
    if pixels > MAX_PIXELS_A_BYTE * len(stream):
        raise TruncatedError(f"The {info.coding} stream is too short for an image of its size.")
    if info.coding is Coding.JPEG_2000 and not _has_all_tiles(stream):
        raise TruncatedError("The JPEG 2000 stream does not hold all its tiles.")
    if info.coding is not Coding.JPEG:
        return
    if stream.count(_SCAN, start_of_scans(stream)) > MAX_SCANS:
        raise UnsupportedSyntaxError(f"JPEG with more than {MAX_SCANS} scans is not read.")
    side = 1 if info.process in _LOSSLESS else _BLOCK
    codes = (info.rows // side) * (info.columns // side)
    if info.process < _ARITHMETIC and 8 * len(stream) < codes:
        raise TruncatedError("The JPEG stream holds fewer codes than the image has blocks.")


def may_be_filled(array: NDArray[np.generic], info: StreamInfo) -> bool:
    """Whether decoded JPEG looks as if libjpeg had filled a part of it.

    Missing blocks become mid-grey. In lossless JPEG missing differences become zero, so that the
    last row is what its predictor says. Either may be true of a whole image as well.
    """
    first: NDArray[np.generic] = array if array.ndim == 2 else array[..., 0]
    if info.process in _LOSSLESS:
        return _is_predicted(first[-2:].astype(np.int64))
    middle = 1 << (info.precision - 1)
    # Blocks go over the edges.
    beyond = tuple((0, -side % _BLOCK) for side in first.shape)
    whole = np.pad(first, beyond, constant_values=middle) if np.any(beyond) else first
    rows, columns = whole.shape
    blocks = whole.reshape(rows // _BLOCK, _BLOCK, columns // _BLOCK, _BLOCK)
    flat = blocks[:, 0, :, 0] == middle
    if flat.any():
        across, down = np.nonzero(flat)
        flat = (blocks[across, :, down, :] == middle).all(axis=(1, 2))
    return bool(flat.any())


def with_more_code(stream: bytes) -> bytes:
    """The stream with stray code in front of each restart and end marker.

    A decoder passes over it where the image is whole, and takes pixels from it where code is
    missing: then the two decode to different images.
    """
    begin = start_of_scans(stream)
    return stream[:begin] + _FINISH.sub(lambda found: _MORE_CODE + found[0], stream[begin:])


def _is_predicted(rows: NDArray[np.int64]) -> bool:
    """Whether the right half of the last row follows from its neighbours by a predictor of H.1."""
    if len(rows) < 2:
        return False
    begin = max(1, rows.shape[1] // 2)
    here, left = rows[1, begin:], rows[1, begin - 1 : -1]
    above, corner = rows[0, begin:], rows[0, begin - 1 : -1]
    predictions = (
        left,
        above,
        corner,
        left + above - corner,
        left + ((above - corner) >> 1),
        above + ((left - corner) >> 1),
        (left + above) >> 1,
    )
    return any(bool((here == prediction).all()) for prediction in predictions)


def _has_all_tiles(stream: bytes) -> bool:
    """Whether each tile has a tile part, by their headers; damage elsewhere is the decoder's."""
    begin = start_of_jpeg_2000(stream)

    def number(at: int, width: int = 4) -> int:
        return int.from_bytes(stream[at : at + width], "big")

    right, bottom, _, _, width, height, left, top = (
        number(begin + offset) for offset in range(8, 40, 4)
    )
    if not (width and height and right > left and bottom > top):
        return False
    promised = -(-(right - left) // width) * -(-(bottom - top) // height)
    position = begin + 2
    while number(position, 2) not in (_TILE_PART, 0):
        position += 2 + number(position + 2, 2)
    found: set[int] = set()
    while number(position, 2) == _TILE_PART and len(found) < promised:
        found.add(number(position + 4, 2))
        # The length may be left open in the last tile part.
        position += number(position + 6) or len(stream)
    return len(found) >= promised
