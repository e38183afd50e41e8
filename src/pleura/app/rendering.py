"""Films for the eye: small ones for the list, and whole ones for the viewer.

The viewer windows, zooms and colours in the browser, so it is sent grey values and not a picture:
8 bits where the film has no more, else 12, which is what a window of a tenth of the range needs to
be free of steps.
"""

import json
import struct

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from pleura.masks import Letterbox, RunLengthConvention, decode
from pleura.outputs import PredictionRecord

THUMBNAIL_SIDE = 112
HEAT_SIDE = 512
MAGIC = b"PLF1"
_EXACT = 1 / 4096
_TOP_8, _TOP_12 = 255, 4095


def thumbnail(pixels: NDArray[np.float32]) -> bytes:
    """A small JPEG of a film.

    Args:
        pixels: float32, (rows, columns), in [0, 1].
    """
    rows, columns = pixels.shape
    scale = THUMBNAIL_SIDE / max(rows, columns)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    grey = np.rint(np.clip(small, 0, 1) * _TOP_8).astype(np.uint8)
    done, encoded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not done:
        raise OSError("the small picture cannot be encoded")
    return encoded.tobytes()


def film(token: str, pixels: NDArray[np.float32], heat: NDArray[np.uint8] | None) -> bytes:
    """Everything of a film that stays the same while it is looked at, for the viewer.

    `PLF1`, the length of a JSON header (little-endian, 4 bytes), the header, the heat map row by
    row, and the grey values under zlib: differences from the left neighbour, folded (0, -1, 1, -2
    ... become 0, 1, 2, 3 ...), all high bytes, then all low bytes.

    Args:
        token: that the viewer finds it by.
        pixels: float32, (rows, columns), in [0, 1].
        heat: probability of air in steps of 1/255, on a grid of its own over the whole film.
    """
    rows, columns = pixels.shape
    values, bits = _quantised(pixels)
    packed = imagecodecs.deflate_encode(_differences(values), level=1)
    header = {
        "token": token,
        "rows": rows,
        "columns": columns,
        "bits": bits,
        "heat": None if heat is None else list(heat.shape),
    }
    text = json.dumps(header).encode()
    heat_bytes = b"" if heat is None else np.ascontiguousarray(heat).tobytes()
    return b"".join((MAGIC, struct.pack("<I", len(text)), text, heat_bytes, packed))


def heat_of(network_map: NDArray[np.float32], letterbox: Letterbox) -> NDArray[np.uint8]:
    """The segmentation network's map over the film, in steps of 1/255, no larger than needed."""
    scale = min(1.0, HEAT_SIDE / max(letterbox.rows, letterbox.columns))
    rows, columns = (max(1, round(n * scale)) for n in (letterbox.rows, letterbox.columns))
    whole = letterbox.invert(network_map)
    small = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.rint(np.clip(small, 0, 1) * _TOP_8).astype(np.uint8)


def mask_of(record: PredictionRecord) -> NDArray[np.bool_]:
    """The mask of a result, bool, (rows, columns) of the file."""
    mask = record.mask
    shape = mask.rows, mask.columns
    return decode(mask.rle, shape, RunLengthConvention(mask.rle_convention))


def contours_of(mask: NDArray[np.bool_]) -> list[list[int]]:
    """Outlines of a mask, holes included: x and y of each corner in turn, in whole pixels."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return [[int(value) for value in outline.ravel()] for outline in found]


def _quantised(pixels: NDArray[np.float32]) -> tuple[NDArray[np.uint16], int]:
    # A part of the film tells most of those apart that need more than 8 bits.
    top = _TOP_8 if _has_8_bits(pixels[::17]) and _has_8_bits(pixels) else _TOP_12
    values = np.rint(np.clip(pixels, 0, 1) * np.float32(top)).astype(np.uint16)
    return values, top.bit_length()


def _has_8_bits(pixels: NDArray[np.float32]) -> bool:
    steps = pixels * np.float32(_TOP_8)
    return float(np.abs(np.rint(steps) - steps).max()) < _EXACT * _TOP_8


def _differences(values: NDArray[np.uint16]) -> bytes:
    step = values.astype(np.int16)
    step[:, 1:] -= values[:, :-1].astype(np.int16)
    folded = ((step << 1) ^ (step >> 15)).view(np.uint16)
    high, low = (folded >> 8).astype(np.uint8), (folded & 255).astype(np.uint8)
    return high.tobytes() + low.tobytes()
