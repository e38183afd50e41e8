"""Members of zip and tar archives, each read when it is asked for and never beyond the limits."""

import struct
import tarfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Iterator
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


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar archive by its content."""
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except OSError:
        return False
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) or head[257:262] == b"ustar":
        return True
    if not head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")):
        return False
    try:
        Tar(path).close()
    except TooLargeError:
        return True
    except _DAMAGE:
        return False
    return True


class Archive:
    """An archive on disk; opened at the first reading, shared by the inputs of its members.

    An archive can be pickled: the copy opens the file anew.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.limits = limits
        self._lock = threading.Lock()
        self._handle: zipfile.ZipFile | tarfile.TarFile | None = None

    def __reduce__(self) -> tuple[type["Archive"], tuple[Path, Limits]]:
        return type(self), (self.path, self.limits)

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
                with self.path.open("rb") as stream:
                    head = stream.read(4)
            except OSError as error:
                raise NotFoundError(
                    f"The archive cannot be opened ({type(error).__name__})."
                ) from None
            handle: Any
            if head[:2] == b"PK" or self.path.name.lower().endswith(".zip"):
                handle = zipfile.ZipFile(self.path)
            else:
                handle = Tar(self.path)
            weakref.finalize(self, handle.close)
            self._handle = handle
        return self._handle


def _damaged(error: Exception) -> TruncatedError:
    return TruncatedError(f"The archive is damaged ({type(error).__name__}).")
