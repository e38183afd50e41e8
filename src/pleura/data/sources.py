"""The bytes of an image of the index, from a file or from inside a tar archive."""

import os
import tarfile
import threading
from pathlib import Path, PurePosixPath

from pleura.errors import DataError, NotFoundError

SEPARATOR = "#"
"""Stands between the archive and its member in `archive.tar#member`."""


class _Archive:
    """An open, uncompressed tar file with the place of each member.

    Positioned reads (`os.pread`) share no file offset, so that threads and forked workers may use
    one handle at the same time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with tarfile.open(path, "r:") as archive:
                self.places = {
                    member.name: (member.offset_data, member.size)
                    for member in archive
                    if member.isreg()
                }
            self.handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except FileNotFoundError as error:
            raise NotFoundError(f"There is no archive {path.name} below the root.") from error
        except (OSError, tarfile.TarError) as error:
            raise DataError(f"{path.name} is not an uncompressed tar archive.") from error

    def read(self, member: str) -> bytes:
        if member not in self.places:
            raise NotFoundError(f"The archive {self.path.name} has no such member.")
        offset, size = self.places[member]
        if hasattr(os, "pread"):
            data = os.pread(self.handle, size, offset)
        else:
            with self.path.open("rb") as stream:
                stream.seek(offset)
                data = stream.read(size)
        if len(data) != size:
            raise DataError(f"The archive {self.path.name} ends within a member.")
        return data


class _Archives:
    """The archives opened by this process, each once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[tuple[str, int, int], _Archive] = {}

    def get(self, path: Path) -> _Archive:
        try:
            status = path.stat()
        except OSError as error:
            raise NotFoundError(f"There is no archive {path.name} below the root.") from error
        key = (str(path), status.st_mtime_ns, status.st_size)
        with self._lock:
            if key not in self._open:
                self._open[key] = _Archive(path)
            return self._open[key]


_ARCHIVES = _Archives()


def _locate(index_root: Path, path: str) -> tuple[Path, str]:
    """Split an index path into the file below the root and the archive member, or ''."""
    archive, separator, member = path.partition(SEPARATOR)
    if not (separator and archive.lower().endswith(".tar")):
        archive, member = path, ""
    relative = PurePosixPath(archive)
    if not archive or relative.is_absolute() or ".." in relative.parts:
        raise DataError("An index path must name a file below the root.")
    return index_root / relative, member


def open_image(index_root: Path, path: str) -> bytes:
    """The bytes of one image as stored, without extracting archives; safe in threads and workers.

    Args:
        index_root: the index's root folder.
        path: the index's `path`: a file relative to the root, or `archive.tar#member`.

    Raises:
        NotFoundError: there is no such file or member.
        DataError: the path leaves the root, or the archive is damaged or compressed.
    """
    file, member = _locate(index_root, path)
    if member:
        return _ARCHIVES.get(file).read(member)
    try:
        return file.read_bytes()
    except OSError as error:
        raise NotFoundError("There is no such file below the root.") from error


def image_exists(index_root: Path, path: str) -> bool:
    """Whether `open_image` would find the file or the archive's member."""
    if not path:
        return False
    file, member = _locate(index_root, path)
    if not member:
        return file.is_file()
    return file.is_file() and member in _ARCHIVES.get(file).places
