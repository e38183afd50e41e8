"""What a compressed image says of itself, read from its first markers before it is decoded.

JPEG: ISO/IEC 10918-1 B.2.2; JPEG-LS: ISO/IEC 14495-1 C.2.2; JPEG 2000: ISO/IEC 15444-1 A.5.1.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from pleura.errors import TruncatedError, UnsupportedSyntaxError


class Coding(StrEnum):
    """Families of compressed streams."""

    JPEG = "JPEG"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """Size and sample format that a stream states.

    Attributes:
        process: second byte of the frame header's marker in JPEG: 0xC0 baseline, 0xC1 extended,
            0xC2 progressive, 0xC3 lossless (ISO/IEC 10918-1 B.1.1.3).
    """

    coding: Coding
    rows: int
    columns: int
    samples: int
    precision: int
    process: int = 0


_SOC_SIZ = b"\xff\x4f\xff\x51"
_JP2 = b"\x00\x00\x00\x0cjP  "
_NO_SOF = (0xC4, 0xC8, 0xCC)
# A marker with a segment behind it; fill bytes, stuffed zeros and lone markers are passed over.
_SEGMENT = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")


def inspect(stream: bytes) -> StreamInfo:
    """Read the size, the channels and the precision of a compressed stream.

    Raises:
        TruncatedError: the stream ends before it states its size.
        UnsupportedSyntaxError: no stream that is known.
    """
    if stream.startswith(b"\xff\xd8"):
        return _inspect_jpeg(stream)
    if stream.startswith((_SOC_SIZ, _JP2)):
        return _inspect_jpeg_2000(stream)
    raise UnsupportedSyntaxError("The compressed data is no JPEG, JPEG-LS or JPEG 2000 stream.")


def ends_properly(stream: bytes) -> bool:
    """Whether the end marker stands near the end; padding and stray bytes may follow it."""
    return stream.rfind(b"\xff\xd9", max(0, len(stream) - 1024)) >= 0


def start_of_scans(stream: bytes) -> int:
    """Where the first scan of a JPEG stream begins, behind all tables and comments; or its end."""
    return next((start for marker, start in _segments(stream) if marker == 0xDA), len(stream))


def _segments(stream: bytes) -> Iterator[tuple[int, int]]:
    """Marker and place of each segment of a JPEG stream, up to the first scan."""
    position = 2
    while found := _SEGMENT.search(stream, position):
        position = found.start()
        if position + 10 > len(stream):
            return
        marker = stream[position + 1]
        length = int.from_bytes(stream[position + 2 : position + 4], "big")
        yield marker, position
        if marker in (0xD9, 0xDA) or length < 2:
            return
        position += 2 + length


def _inspect_jpeg(stream: bytes) -> StreamInfo:
    for marker, position in _segments(stream):
        if (0xC0 <= marker <= 0xCF and marker not in _NO_SOF) or marker == 0xF7:
            return StreamInfo(
                coding=Coding.JPEG_LS if marker == 0xF7 else Coding.JPEG,
                rows=int.from_bytes(stream[position + 5 : position + 7], "big"),
                columns=int.from_bytes(stream[position + 7 : position + 9], "big"),
                samples=stream[position + 9],
                precision=stream[position + 4],
                process=marker,
            )
    raise TruncatedError("The JPEG stream breaks off before its frame header.")


def start_of_jpeg_2000(stream: bytes) -> int:
    """Where the codestream begins, behind the boxes of a JP2 file if there are any; or -1."""
    return stream.find(_SOC_SIZ, 0, 1 << 16)


def _inspect_jpeg_2000(stream: bytes) -> StreamInfo:
    begin = start_of_jpeg_2000(stream)
    if begin < 0 or len(stream) < begin + 43:
        raise TruncatedError("The JPEG 2000 stream breaks off before its size marker.")

    def number(offset: int, width: int = 4) -> int:
        return int.from_bytes(stream[begin + offset : begin + offset + width], "big")

    return StreamInfo(
        coding=Coding.JPEG_2000,
        rows=number(12) - number(20),
        columns=number(8) - number(16),
        samples=number(40, 2),
        precision=(number(42, 1) & 0x7F) + 1,
    )
