"""How the pixels of a DICOM image lie in its pixel data (Image Pixel Module, PS3.3 C.7.6.3)."""

from dataclasses import dataclass

from pleura.errors import InvalidHeaderError, MultiFrameError, UnsupportedSyntaxError
from pleura.io import tags
from pleura.io.elements import Header
from pleura.io.limits import Limits
from pleura.io.source import check_decoded_size, too_many_pixels
from pleura.radiograph import Notice

GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
THREE_CHANNELS = frozenset(
    {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT"}
)


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """The attributes that describe the pixel data, checked against one another.

    Attributes:
        bits_allocated: 1, 8, 16 or 32.
        bits_stored: from 1 to `bits_allocated`.
        high_bit: position of the most significant stored bit, counted from 0.
        signed: two's complement over `bits_stored` bits.
        by_plane: colour channels lie one after the other instead of interleaved.
    """

    rows: int
    columns: int
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    by_plane: bool
    notices: tuple[Notice, ...] = ()


def read_layout(header: Header, limits: Limits) -> PixelLayout:
    """Read and check the pixel description.

    Raises:
        InvalidHeaderError: an attribute is missing or contradicts another.
        MultiFrameError: more than one frame.
        TooLargeError: more pixels than `limits.max_pixels`, or more bytes than `limits.max_bytes`.
        UnsupportedSyntaxError: a number of bits that is not read.
    """
    notices: list[Notice] = []
    rows = _required(header, tags.ROWS, "Rows")
    columns = _required(header, tags.COLUMNS, "Columns")
    if rows * columns > limits.max_pixels:
        raise too_many_pixels(rows, columns, limits)
    _single_frame(header)
    photometric = header.text(tags.PHOTOMETRIC_INTERPRETATION).upper()
    samples = header.integer(tags.SAMPLES_PER_PIXEL)
    if samples is None:
        samples = 3 if photometric in THREE_CHANNELS else 1
    _check_photometric(photometric, samples)

    allocated = _required(header, tags.BITS_ALLOCATED, "Bits Allocated")
    if allocated not in (1, 8, 16, 32):
        raise UnsupportedSyntaxError(f"{allocated} bits allocated to a pixel are not read.")
    check_decoded_size(rows * columns * samples * allocated // 8, limits)
    stored = header.integer(tags.BITS_STORED)
    if stored is None:
        stored = allocated
        notices.append(Notice("bits_stored", "Bits Stored is missing; all bits are taken."))
    if not 1 <= stored <= allocated:
        raise InvalidHeaderError(
            f"{stored} bits stored do not fit into {allocated} bits allocated."
        )
    high = header.integer(tags.HIGH_BIT)
    if high is None or not stored - 1 <= high < allocated:
        if high is not None:
            notices.append(Notice("high_bit", "High Bit contradicts Bits Stored and is ignored."))
        high = stored - 1
    return PixelLayout(
        rows=rows,
        columns=columns,
        samples=samples,
        photometric=photometric,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        signed=header.integer(tags.PIXEL_REPRESENTATION) == 1,
        by_plane=header.integer(tags.PLANAR_CONFIGURATION) == 1,
        notices=tuple(notices),
    )


def _required(header: Header, tag: int, name: str) -> int:
    value = header.integer(tag)
    if value is None or value < 1:
        raise InvalidHeaderError(f"{name} is missing or not a positive number.")
    return value


def _single_frame(header: Header) -> None:
    if not header.texts(tags.NUMBER_OF_FRAMES):
        return
    frames = header.integer(tags.NUMBER_OF_FRAMES)
    if frames is None or frames < 0:
        raise InvalidHeaderError("Number of Frames is not a number.")
    if frames > 1:
        raise MultiFrameError(f"The object holds {frames} frames.")


def _check_photometric(photometric: str, samples: int) -> None:
    grey = photometric in GREY or photometric == "PALETTE COLOR"
    if not (grey or photometric in THREE_CHANNELS):
        what = "is missing" if not photometric else "is not one that is read"
        raise InvalidHeaderError(f"The Photometric Interpretation {what}.")
    if samples != (1 if grey else 3):
        raise InvalidHeaderError(
            f"{samples} samples a pixel contradict the Photometric Interpretation."
        )
