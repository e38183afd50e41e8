"""PNG, JPEG and TIFF -> grey pixels in [0, 1].

These formats do not say which end of the scale is air: bright is taken as bone. Values are scaled
by the full range of their type, so that the same file always gives the same grey.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pleura.errors import (
    ColourImageError,
    MultiFrameError,
    NotAnImageError,
    TruncatedError,
    UnsupportedSyntaxError,
)
from pleura.io.codecs import decode_stream
from pleura.io.codestream import inspect
from pleura.io.grey import grey_of_channels
from pleura.io.limits import Limits
from pleura.io.lookup import look_up
from pleura.io.source import Format, check_decoded_size, too_many_pixels
from pleura.io.tiff import MIN_IS_WHITE, PALETTE, inspect_tiff
from pleura.radiograph import Notice

DARK_FRACTION = 1 / 8
"""A 16-bit image that uses less of the scale than this holds fewer bits than its type has."""


# Channels by the colour type of the header (PNG 11.2.2), without and with a transparency chunk.
_PNG_CHANNELS = {0: (1, 2), 2: (3, 4), 3: (3, 4), 4: (2,), 6: (4,)}


@dataclass(frozen=True, slots=True)
class _Raster:
    """Decoded samples, the value that is white, and whether small values are white."""

    samples: NDArray[np.generic]
    top: int
    inverted: bool = False


def decode_raster(
    data: bytes, kind: Format, limits: Limits
) -> tuple[NDArray[np.float32], tuple[Notice, ...]]:
    """Decode a raster file.

    Returns:
        float32 (rows, columns) in [0, 1], and notices.

    Raises:
        TruncatedError: the file breaks off or is damaged.
        UnsupportedSyntaxError: a kind of sample that is not read.
        TooLargeError: more pixels than `limits.max_pixels`.
        MultiFrameError: a TIFF of several pages.
        ColourImageError: channels that differ.
    """
    reader = {Format.PNG: _png, Format.JPEG: _jpeg, Format.TIFF: _tiff}.get(kind)
    if reader is None:
        raise NotAnImageError("The bytes are no raster image.")
    raster = reader(data, limits)
    samples, notices = _without_alpha(raster)
    grey, said = grey_of_channels(samples, "RGB")
    notices.extend(said)
    if raster.top > 255 and grey.max() < raster.top * DARK_FRACTION:
        notices.append(
            Notice("dark_scale", "The image uses less than an eighth of its scale and is dark.")
        )
    table = np.arange(np.iinfo(grey.dtype).max + 1, dtype=np.float32) / np.float32(raster.top)
    np.clip(table, 0.0, 1.0, out=table)
    return look_up(1.0 - table if raster.inverted else table, grey), tuple(notices)


def _without_alpha(raster: _Raster) -> tuple[NDArray[np.generic], list[Notice]]:
    """Colour channels; an alpha channel is dropped, since radiographs have no transparency."""
    samples = raster.samples
    if samples.ndim != 3 or samples.shape[2] not in (2, 4):
        return samples, []
    said = "The transparency of the image was ignored."
    opaque = bool(samples[..., -1].min() == raster.top)
    colours = samples[..., 0] if samples.shape[2] == 2 else samples[..., :3]
    return colours, [] if opaque else [Notice("alpha_ignored", said)]


def _check_size(rows: int, columns: int, bits: int, limits: Limits) -> None:
    """Refuse what is too large before it is decoded; `bits` are those of all channels."""
    if rows * columns > limits.max_pixels:
        raise too_many_pixels(rows, columns, limits)
    check_decoded_size(rows * columns * bits // 8, limits)


def _png(data: bytes, limits: Limits) -> _Raster:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise TruncatedError("The PNG file ends before its header.")
    columns = int.from_bytes(data[16:20], "big")
    rows = int.from_bytes(data[20:24], "big")
    channels = max(_PNG_CHANNELS.get(data[25], (1,)))
    _check_size(rows, columns, channels * max(8, data[24]), limits)
    if b"IEND" not in data[-1024:]:
        raise TruncatedError("The PNG file breaks off before its end chunk.")
    try:
        samples = _png_samples(data, rows, columns)
    except Exception as error:
        raise TruncatedError(f"The PNG file is damaged ({type(error).__name__}).") from error
    return _Raster(samples, int(np.iinfo(samples.dtype).max))


def _png_samples(data: bytes, rows: int, columns: int) -> NDArray[np.uint8 | np.uint16]:
    """Samples, (rows, columns) or (rows, columns, channels)."""
    import imagecodecs

    for channels in _PNG_CHANNELS.get(data[25], ()):
        shape = (rows, columns) if channels == 1 else (rows, columns, channels)
        # With each damaged file for which imagecodecs makes the array itself, it loses a reference
        # to None; after some thousands the interpreter aborts.
        room = np.empty(shape, np.uint16 if data[24] == 16 else np.uint8)
        try:
            imagecodecs.png_decode(data, out=room)
        except ValueError:
            continue  # nothing is decoded into an array that does not fit
        except Exception:
            # imagecodecs keeps the array of each damaged file for good; it keeps it empty.
            room.resize(0, refcheck=False)
            raise
        return room
    raise ValueError("no colour type of PNG")


def _jpeg(data: bytes, limits: Limits) -> _Raster:
    info = inspect(data)
    _check_size(info.rows, info.columns, info.samples * info.precision, limits)
    if info.samples == 4:
        raise ColourImageError("The image has four colour channels (CMYK).")
    if info.samples not in (1, 3):
        raise ColourImageError(f"The image has {info.samples} channels, neither one nor three.")
    return _Raster(decode_stream(data, info), (1 << info.precision) - 1)


def _tiff(data: bytes, limits: Limits) -> _Raster:
    import imagecodecs

    info = inspect_tiff(data)
    _check_size(info.rows, info.columns, info.samples * info.bits, limits)
    if info.pages > 1:
        raise MultiFrameError("The TIFF file holds several pages.")
    if info.sample_format != 1 or info.bits not in (8, 16):
        raise UnsupportedSyntaxError(
            "TIFF is read with unsigned samples of 8 or 16 bits only.",
            "Save the image as PNG or TIFF with 8 or 16 bits.",
        )
    colours = info.samples - info.extra_samples
    if colours not in (1, 3) or info.extra_samples > 1 or info.photometric == 5:
        raise ColourImageError("The TIFF image has neither one nor three colour channels.")
    try:
        samples = np.asarray(imagecodecs.tiff_decode(data, 0, asrgb=info.photometric == PALETTE))
    except Exception as error:
        raise TruncatedError(f"The TIFF file is damaged ({type(error).__name__}).") from error
    if samples.dtype.kind != "u" or samples.shape[:2] != (info.rows, info.columns):
        raise UnsupportedSyntaxError("The TIFF file stores its channels in planes.")
    inverted = info.photometric == MIN_IS_WHITE
    return _Raster(samples, int(np.iinfo(samples.dtype).max), inverted)
