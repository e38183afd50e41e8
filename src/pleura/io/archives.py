"""Members of zip and tar archives, each read when it is asked for and never beyond the limits."""

import io
import struct
import tarfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from lzma import LZMAError
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from pleura.errors import (
    NotFoundError,
    PleuraError,
    TooLargeError,
    TruncatedError,
    UnsupportedSyntaxError,
)
from pleura.io.limits import Limits
from pleura.io.source import read_stream, too_many_bytes
from pleura.io.tarball import Tar

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

_TAIL_BYTES = 1 << 17
"""End of a zip archive: the record that leads to the directory, behind it a comment of 64 KB."""
_ENTRY_BYTES = 512
"""Of one member in the directory: 46, its name, and what systems add (APPNOTE 4.3.12)."""
_MAX_DIRECTORY_BYTES = 1 << 25

_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    LZMAError,
    EOFError,
    OSError,
    ValueError,
    IndexError,
    OverflowError,
    RecursionError,
    struct.error,
)


def is_archive(source: Path | bytes) -> bool:
    """Whether a file, or what it holds, is a zip or tar archive by its content."""
    try:
        with _opened(source) as stream:
            head = stream.read(512)
    except OSError:
        return False
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) or head[257:262] == b"ustar":
        return True
    if not head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")):
        return False
    try:
        Tar(source).close()
    except TooLargeError:
        return True
    except _DAMAGE:
        return False
    return True


class Archive:
    """An archive; opened at the first reading, shared by the inputs of its members.

    An archive can be pickled: the copy opens the file anew.

    Args:
        path: of the file, or what it is called.
        limits: bounds on what is read.
        content: of an archive in memory; None for one on disk.
    """

    def __init__(self, path: Path, limits: Limits, content: bytes | None = None) -> None:
        self.path = path
        self.limits = limits
        self._source = path if content is None else content
        self._lock = threading.Lock()
        self._handle: zipfile.ZipFile | tarfile.TarFile | None = None

    def __reduce__(self) -> tuple[type["Archive"], tuple[Path, Limits, bytes | None]]:
        content = self._source if isinstance(self._source, bytes) else None
        return type(self), (self.path, self.limits, content)

    def members(self) -> Iterator[zipfile.ZipInfo | tarfile.TarInfo]:
        """Members that are no folders, in the order of the archive.

        Raises:
            NotFoundError: the archive cannot be opened.
            TruncatedError: the archive is damaged.
            TooLargeError: it has more than `limits.max_members` members.
        """
        for count, member in enumerate(self._entries(), 1):
            if count > self.limits.max_members:
                raise TooLargeError(
                    f"The archive holds more than {self.limits.max_members} members."
                )
            # `ZipInfo.is_dir` of older Pythons fails on an empty name.
            if isinstance(member, zipfile.ZipInfo):
                is_folder = member.filename.endswith("/")
            else:
                is_folder = member.isdir()
            if not is_folder:
                yield member

    def read(self, member: zipfile.ZipInfo | tarfile.TarInfo) -> bytes:
        """Bytes of one member.

        Raises:
            NotFoundError: encrypted, or no regular file.
            TooLargeError: more than `limits.max_bytes`, by the directory or in truth.
            TruncatedError: damaged.
            UnsupportedSyntaxError: a compression that Python does not know.
        """
        is_zip = isinstance(member, zipfile.ZipInfo)
        size = member.file_size if isinstance(member, zipfile.ZipInfo) else member.size
        if size > self.limits.max_bytes:
            raise too_many_bytes(size, self.limits)
        if is_zip and cast(zipfile.ZipInfo, member).flag_bits & 0x1:
            raise NotFoundError(
                "The member of the archive is encrypted.", "Unpack the archive with its password."
            )
        if not is_zip and not cast(tarfile.TarInfo, member).isreg():
            raise NotFoundError("The member of the archive is a link or a device, not a file.")
        # One handle has one position, so members are read one at a time.
        with self._lock:
            return self._read_open(member)

    def _read_open(self, member: zipfile.ZipInfo | tarfile.TarInfo) -> bytes:
        try:
            handle = self._open()
            stream: IO[bytes] | None
            if isinstance(handle, zipfile.ZipFile):
                stream = handle.open(cast(zipfile.ZipInfo, member))
            else:
                stream = handle.extractfile(cast(tarfile.TarInfo, member))
            if stream is None:
                raise NotFoundError("The member of the archive is no file.")
            with stream:
                data = read_stream(cast(BinaryIO, stream), self.limits)
        except PleuraError:
            raise
        except NotImplementedError:
            raise UnsupportedSyntaxError(
                "The archive uses a compression that is not read.",
                "Unpack the archive, or pack it with the usual compression (deflate).",
            ) from None
        except (*_DAMAGE, RuntimeError) as error:
            raise _damaged(error) from None
        size = member.file_size if isinstance(member, zipfile.ZipInfo) else member.size
        if len(data) != size:
            raise TruncatedError("The member of the archive breaks off.")
        return data

    def _entries(self) -> Iterator[zipfile.ZipInfo | tarfile.TarInfo]:
        try:
            with self._lock:
                handle = self._open()
            if isinstance(handle, zipfile.ZipFile):
                yield from handle.infolist()
                return
            while True:
                with self._lock:
                    member = handle.next()
                if member is None:
                    return
                yield member
        except PleuraError:
            raise
        except (*_DAMAGE, NotImplementedError) as error:
            raise _damaged(error) from None

    def _open(self) -> zipfile.ZipFile | tarfile.TarFile:
        if self._handle is None:
            try:
                with _opened(self._source) as stream:
                    head = stream.read(4)
            except OSError as error:
                raise NotFoundError(
                    f"The archive cannot be opened ({type(error).__name__})."
                ) from None
            handle: Any
            if head[:2] == b"PK" or self.path.name.lower().endswith(".zip"):
                handle = _zip(self._source, self.limits)
            else:
                handle = Tar(self._source)
            weakref.finalize(self, handle.close)
            self._handle = handle
        return self._handle


def _opened(source: Path | bytes) -> BinaryIO:
    return BytesIO(source) if isinstance(source, bytes) else source.open("rb")


class _Reader(io.BufferedReader):
    """A file of which at most `room` bytes are read at once; None for no bound."""

    room: int | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        """Read so many bytes, or the rest.

        Raises:
            TooLargeError: these are more than `room`.
        """
        if self.room is not None:
            here = self.tell()
            rest = self.seek(0, io.SEEK_END) - here
            self.seek(here)
            wanted = rest if size is None or size < 0 else min(size, rest)
            if wanted > self.room:
                raise TooLargeError("The archive's directory is too large.")
        return super().read(size)


def _zip(source: Path | bytes, limits: Limits) -> zipfile.ZipFile:
    """A zip archive, whose directory `zipfile` reads into memory whole, with all its entries.

    Raises:
        TooLargeError: the directory has room for many more than `limits.max_members` members.
    """
    raw = BytesIO(source) if isinstance(source, bytes) else io.FileIO(source)
    reader = _Reader(cast(io.RawIOBase, raw))
    reader.room = _TAIL_BYTES + min(limits.max_members * _ENTRY_BYTES, _MAX_DIRECTORY_BYTES)
    try:
        archive = _ZipFile(cast(Any, reader))
    except BaseException:
        reader.close()
        raise
    reader.room = None
    return archive


class _ZipFile(zipfile.ZipFile):
    def close(self) -> None:
        """Close the archive, and the file, which `zipfile` leaves to those who have opened it."""
        reader = self.fp
        super().close()
        if reader is not None:
            reader.close()


def _damaged(error: Exception) -> TruncatedError:
    return TruncatedError(f"The archive is damaged ({type(error).__name__}).")
