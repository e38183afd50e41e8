"""Bytes of one input, and which format they are in: by content, never by the file's name."""

import gzip
import os
import stat
import tarfile
import zipfile
import zlib
from enum import StrEnum
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO

from pleura.errors import NotAnImageError, NotFoundError, TooLargeError, TruncatedError
from pleura.io.limits import Limits


class Format(StrEnum):
    """Formats that the reader knows."""

    DICOM = "DICOM"
    PNG = "PNG"
    JPEG = "JPEG"
    TIFF = "TIFF"


_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", Format.PNG),
    (b"\xff\xd8\xff", Format.JPEG),
    (b"II*\x00", Format.TIFF),
    (b"MM\x00*", Format.TIFF),
    (b"II+\x00", Format.TIFF),
    (b"MM\x00+", Format.TIFF),
)


_DAMAGE = (
    gzip.BadGzipFile,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    LZMAError,
)


def sniff(data: bytes) -> Format:
    """Format of the bytes.

    The prefix `DICM` behind the preamble decides first: a preamble may hold the start of another
    format on purpose (PS3.10 7.1, dual-personality files).

    Raises:
        NotAnImageError: neither DICOM nor a raster format that Pleura reads.
    """
    if data[128:132] == b"DICM" or data[:4] == b"DICM":
        return Format.DICOM
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    from pleura.io.dicom_file import looks_like_data_set

    if looks_like_data_set(data):
        return Format.DICOM
    if not data.strip(b"\0"):
        raise NotAnImageError("The input is empty.")
    raise NotAnImageError("The bytes are neither DICOM nor PNG, JPEG or TIFF.")


def read_file(path: Path, limits: Limits) -> bytes:
    """All bytes of a regular file.

    Raises:
        NotFoundError: no such file, not a regular file, or not permitted.
        TooLargeError: more than `limits.max_bytes`.
    """
    try:
        # Opening a pipe would wait for its writer, so the kind is asked first.
        if not stat.S_ISREG(path.stat().st_mode):
            raise NotFoundError("The path is not a regular file.")
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > limits.max_bytes:
                raise too_many_bytes(size, limits)
            return read_stream(stream, limits)
    except FileNotFoundError:
        raise NotFoundError("No such file.") from None
    except PermissionError:
        raise NotFoundError("The file may not be read.") from None
    except (OSError, ValueError) as error:
        raise NotFoundError(f"The file cannot be opened ({type(error).__name__}).") from None


def read_stream(stream: BinaryIO, limits: Limits) -> bytes:
    """Bytes of a binary stream from its position on, bounded by `limits.max_bytes`.

    Raises:
        TooLargeError: the stream holds more.
        NotFoundError: the stream cannot be read, or yields text.
        TruncatedError: it unpacks what is damaged or breaks off.
    """
    chunks: list[bytes] = []
    room = limits.max_bytes + 1
    try:
        while room > 0:
            chunk = stream.read(min(room, 1 << 24))
            if not isinstance(chunk, bytes):
                raise _text()
            if not chunk:
                break
            chunks.append(chunk)
            room -= len(chunk)
    except _DAMAGE as error:
        raise TruncatedError(f"The packed input is damaged ({type(error).__name__}).") from None
    except UnicodeError:
        raise _text() from None
    except (OSError, ValueError) as error:
        raise NotFoundError(f"The input cannot be read ({type(error).__name__}).") from None
    if room <= 0:
        raise too_many_bytes(limits.max_bytes + 1, limits, at_least=True)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _text() -> NotFoundError:
    return NotFoundError("The file object yields no bytes.", "Open the file in binary mode.")


def too_many_bytes(size: int, limits: Limits, *, at_least: bool = False) -> TooLargeError:
    """The refusal of an input of `size` bytes."""
    more = "at least " if at_least else ""
    return TooLargeError(
        f"The input holds {more}{size} bytes; the limit is {limits.max_bytes} bytes."
    )


def check_decoded_size(size: int, limits: Limits) -> None:
    """Bound what an image takes in memory, which a small file may only promise.

    Raises:
        TooLargeError: more than `limits.max_bytes`.
    """
    if size > limits.max_bytes:
        raise TooLargeError(
            f"The image takes {size} bytes when it is decoded; the limit is {limits.max_bytes}."
        )


def too_many_pixels(rows: int, columns: int, limits: Limits) -> TooLargeError:
    """The refusal of an image of `rows` x `columns` pixels."""
    return TooLargeError(
        f"The image has {rows} x {columns} pixels; the limit is {limits.max_pixels} pixels."
    )
