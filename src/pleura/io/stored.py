"""Pixel data element -> array of pixel cells, still undecided in sign and unused bits."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pleura.errors import (
    InvalidHeaderError,
    NoPixelDataError,
    TruncatedError,
    UnsupportedSyntaxError,
)
from pleura.io import tags
from pleura.io.codecs import decode_rle, decode_stream
from pleura.io.codestream import inspect
from pleura.io.dicom_file import NATIVE, DicomObject, PixelElement
from pleura.io.fragments import join_fragments
from pleura.io.grey import grey_of_channels
from pleura.io.layout import PixelLayout
from pleura.io.tags import standard_name
from pleura.radiograph import Notice

RLE_LOSSLESS = "1.2.840.10008.1.2.5"
_JPEG_FAMILY = "1.2.840.10008.1.2.4."
LOSSLESS = frozenset(
    {
        RLE_LOSSLESS,
        *(_JPEG_FAMILY + end for end in ("57", "70", "80", "90", "92", "201", "202")),
    }
)
# Retired JPEG processes, JPEG-LS, JPEG 2000 and HTJ2K; the stream itself says which coder
# is needed. Not JPIP (.94, .95, .204, .205: the pixels lie on a server) and not video (.100 on).
_STREAMS = frozenset(
    _JPEG_FAMILY + str(end) for end in (*range(50, 67), 70, 80, 81, 90, 91, 92, 93, 201, 202, 203)
)


@dataclass(frozen=True, slots=True)
class StoredPixels:
    """One channel of pixel cells and how to read a value out of a cell.

    Attributes:
        cells: uint8, uint16 or uint32, (rows, columns), native byte order.
        bits: number of bits of a value.
        shift: how far a value lies above the lowest bit.
        signed: two's complement over `bits`.
        coded_bits: bits of a value as a lossy code holds it: values beyond `bits` are its errors
            and are clipped. 0 where bits beyond are those of an overlay and are masked.
    """

    cells: NDArray[np.unsignedinteger]
    bits: int
    shift: int
    signed: bool
    coded_bits: int
    notices: tuple[Notice, ...] = ()


def require_pixels(source: DicomObject) -> PixelElement:
    """The pixel data element.

    Raises:
        NoPixelDataError: there is none, or it is empty.
        TooLargeError: the header before it is beyond the limits.
    """
    if source.too_large is not None:
        raise source.too_large
    if source.pixel_element is None or len(source.pixel_element.data) == 0:
        raise NoPixelDataError("The DICOM object holds no pixel data.")
    return source.pixel_element


def stored_pixels(source: DicomObject, layout: PixelLayout) -> StoredPixels:
    """Decode the pixel data.

    Raises:
        NoPixelDataError: there is none.
        TruncatedError: fewer bytes than the header promises.
        UnsupportedSyntaxError: an encoding that is not read.
        InvalidHeaderError: the header contradicts the compressed stream.
        ColourImageError: channels differ, or a palette.
    """
    element = require_pixels(source)
    if element.tag != tags.PIXEL_DATA:
        raise UnsupportedSyntaxError("Floating-point pixel data is not read.")
    if element.encapsulated:
        return _encapsulated(source.transfer_syntax, element, layout)
    if source.transfer_syntax not in NATIVE:
        raise InvalidHeaderError("The header promises compressed pixel data, but there is none.")
    return _plain(_native(element, layout), layout)


def _plain(cells: NDArray[np.generic], layout: PixelLayout) -> StoredPixels:
    grey, notices = grey_of_channels(cells, layout.photometric)
    return StoredPixels(
        cells=grey,
        bits=layout.bits_stored,
        shift=layout.high_bit + 1 - layout.bits_stored,
        signed=layout.signed,
        coded_bits=0,
        notices=notices,
    )


def _native(element: PixelElement, layout: PixelLayout) -> NDArray[np.generic]:
    """Uncompressed cells (PS3.5 8.1 and annex D)."""
    pixels = layout.rows * layout.columns
    # Two pixels share one pair of colour differences (PS3.3 C.7.6.3.1.2).
    halved = layout.photometric == "YBR_FULL_422"
    samples = pixels * 2 if halved else pixels * layout.samples
    promised = (samples * layout.bits_allocated + 7) // 8
    if len(element.data) < promised:
        raise TruncatedError(
            f"The pixel data holds {len(element.data)} bytes; the header promises {promised}."
        )
    if layout.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(element.data, np.uint8, promised), bitorder="little")
        return bits[:samples].reshape(layout.rows, layout.columns)
    order = "<" if element.little_endian else ">"
    width = layout.bits_allocated // 8
    if width == 1 and order == ">" and element.vr == "OW":
        # Big endian words of two 8-bit cells: the bytes of each word are exchanged.
        whole = np.frombuffer(element.data, np.uint8, len(element.data) & ~1)
        flat: NDArray[np.generic] = whole.reshape(-1, 2)[:, ::-1].reshape(-1)[:samples]
        if flat.size < samples:
            raise TruncatedError("The pixel data ends inside a word.")
    else:
        flat = np.frombuffer(element.data, f"{order}u{width}", samples)
        flat = flat.astype(f"=u{width}", copy=False)
    if layout.samples == 1:
        return flat.reshape(layout.rows, layout.columns)
    if halved:
        if layout.columns % 2:
            raise InvalidHeaderError("YBR_FULL_422 needs an even number of columns.")
        quads = flat.reshape(layout.rows, layout.columns // 2, 4)
        chroma = np.repeat(quads[:, :, 2:], 2, axis=1)
        luma = quads[:, :, :2].reshape(layout.rows, layout.columns, 1)
        return np.concatenate([luma, chroma], axis=2)
    if layout.by_plane:
        return flat.reshape(layout.samples, layout.rows, layout.columns).transpose(1, 2, 0)
    return flat.reshape(layout.rows, layout.columns, layout.samples)


def _encapsulated(syntax: str, element: PixelElement, layout: PixelLayout) -> StoredPixels:
    if layout.bits_allocated == 1:
        raise UnsupportedSyntaxError("Compressed pixels of one bit are not read.")
    if syntax == RLE_LOSSLESS:
        cells = decode_rle(
            join_fragments(element.data),
            shape=(layout.rows, layout.columns),
            samples=layout.samples,
            width=layout.bits_allocated // 8,
        )
        return _plain(cells, layout)
    if syntax in NATIVE:
        raise InvalidHeaderError(
            "The header promises uncompressed pixel data, but it is stored as compressed data is."
        )
    if not syntax:
        raise InvalidHeaderError("The file does not say how its pixel data is compressed.")
    if syntax not in _STREAMS:
        name = standard_name(syntax)
        raise UnsupportedSyntaxError(f"The transfer syntax {name or 'of the file'} is not read.")
    return _stream(syntax, join_fragments(element.data), layout)


def _stream(syntax: str, stream: bytes, layout: PixelLayout) -> StoredPixels:
    """A compressed stream, whose own sample format is reconciled with the header's."""
    info = inspect(stream)
    size = (info.rows, info.columns)
    if size != (layout.rows, layout.columns):
        raise InvalidHeaderError(
            f"The compressed image is {size[0]} x {size[1]}; "
            f"the header says {layout.rows} x {layout.columns}."
        )
    if info.samples not in (1, 3):
        raise InvalidHeaderError(
            f"The compressed image has {info.samples} channels; the header says {layout.samples}."
        )
    array = decode_stream(stream, info)
    if array.shape[:2] != (layout.rows, layout.columns):
        raise InvalidHeaderError("The compressed image is not of the size in the header.")
    width = array.dtype.itemsize
    pixels = _plain(array.view(f"u{width}"), layout)
    precision = info.precision
    bits = min(layout.bits_stored, 8 * width)
    notices = list(pixels.notices)
    if precision < bits and layout.signed:
        # The encoder took the sign bit of its own precision.
        bits = precision
        notices.append(
            Notice("precision", "The compressed stream has fewer bits than the header says.")
        )
    # A shifted value occupies more bits than are stored; without them the encoder moved it down.
    shift = pixels.shift if precision > layout.high_bit else 0
    clipped = syntax not in LOSSLESS and shift == 0
    return replace(
        pixels,
        bits=bits,
        shift=shift,
        coded_bits=min(max(precision, bits), 8 * width) if clipped else 0,
        notices=tuple(notices),
    )
