"""Paths, folders, globs and archives -> the inputs that they hold, one by one."""

import glob
import os
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from pleura.errors import NotFoundError, PleuraError
from pleura.io.archives import SUFFIXES, Archive, is_archive
from pleura.io.limits import DEFAULT_LIMITS, Limits
from pleura.io.source import read_file

LITTER = frozenset({".ds_store", "thumbs.db", "desktop.ini", "dicomdir"})
"""Files that operating systems and disc writers add; left out of folders and archives.

A DICOMDIR is the index of a medium; the images it lists are found beside it. Any of these that is
named itself is an input like every other.
"""


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to be read; nothing is opened before `read`.

    Attributes:
        name: the path, or `path#member` for a member of an archive.
        path: the file, or the archive.
        limits: bounds on what is read.
    """

    name: str
    path: Path
    limits: Limits = DEFAULT_LIMITS
    _archive: Archive | None = field(default=None, repr=False)
    _member: zipfile.ZipInfo | tarfile.TarInfo | None = field(default=None, repr=False)
    _error: PleuraError | None = field(default=None, repr=False)

    def read(self) -> bytes:
        """The bytes of the input.

        Raises:
            NotFoundError: missing, not readable, or an encrypted member.
            TooLargeError: beyond the limits.
            TruncatedError: a damaged archive.
            UnsupportedSyntaxError: an archive's compression is not known.
        """
        if self._error is not None:
            raise type(self._error)(self._error.message, self._error.hint)
        if self._archive is not None and self._member is not None:
            return self._archive.read(self._member)
        return read_file(self.path, self.limits)


def discover(
    paths: Iterable[str | os.PathLike[str]],
    *,
    limits: Limits = DEFAULT_LIMITS,
    leave_out: Iterable[Path] = (),
) -> Iterator[Input]:
    """Find all inputs under paths, lazily, in the order of the paths and sorted inside folders.

    A path that exists is taken literally; else one with `*`, `?` or `[` is a glob (`**` descends).
    Folders are walked in full, through links as well, but once: a folder that one of the paths
    reaches again becomes an input whose `read` raises. Every file becomes an input, whatever it
    holds, apart from the litter of operating systems; what is missing or not readable becomes an
    input whose `read` raises. Archives are opened when a path names them (by content) or when
    they lie in a folder under a usual name (`.zip`, `.tar`, `.tar.gz` ...); an archive inside an
    archive is not opened.

    Args:
        paths: files, folders, globs, archives.
        limits: bounds on what is read.
        leave_out: files and folders that are not inputs where a folder or a glob holds them: where
            results are being written. A path that is named itself is taken all the same.
    """
    walk = _Walk(limits, frozenset(os.path.realpath(path) for path in leave_out))
    for named in paths:
        path = Path(named)
        if not _exists(path) and glob.has_magic(str(path)):
            yield from walk.globbed(str(path))
        else:
            yield from walk.under(path, named=True, walked=set())


def members(name: str, content: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Iterator[Input]:
    """The inputs that an archive in memory holds, lazily; nothing touches a disk.

    Args:
        name: what the archive is called.
        content: its bytes; see `is_archive`.
        limits: bounds on what is read.
    """
    yield from _members(name, Archive(Path(name), limits, content))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # A folder on the way may not be searched: the path is there for all that is known.
        return True


_Folders: TypeAlias = set[tuple[int, int]]
"""Folders by device and inode, whatever their names."""


@dataclass(frozen=True, slots=True)
class _Walk:
    """The way through folders: what bounds it, and the real paths that it leaves out."""

    limits: Limits
    left_out: frozenset[str]

    def globbed(self, pattern: str) -> Iterator[Input]:
        """Inputs that a pattern matches, and those in the folders that it matches."""
        found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - absolute patterns
        if not found:
            yield self._refused(pattern, Path(pattern), "No file matches the pattern.")
        covered: set[str] = set()
        walked: _Folders = set()
        for match in map(Path, found):
            # With `**` a folder and its files match; the folder brings its files already.
            if any(str(parent) in covered for parent in match.parents) or self._is_left_out(match):
                continue
            if _is_folder(match):
                covered.add(str(match))
            yield from self.under(match, named=True, walked=walked)

    def under(self, path: Path, *, named: bool, walked: _Folders) -> Iterator[Input]:
        """Inputs of one path; `walked` gathers the folders that gave theirs already.

        Links may lead back, and a few folders that are linked to one another crosswise would give
        thousands of names to one file.
        """
        if _is_folder(path):
            yield from self._in_folder(path, walked)
        elif _is_archive(path, named):
            yield from self._in_archive(path)
        else:
            yield Input(str(path), path, self.limits)

    def _in_folder(self, folder: Path, walked: _Folders) -> Iterator[Input]:
        try:
            status = folder.stat()
            names = sorted(os.listdir(folder))  # noqa: PTH208 - names alone, sorted as text
        except OSError:
            yield self._refused(str(folder), folder, "The folder may not be read.")
            return
        identity = (status.st_dev, status.st_ino)
        if identity in walked:
            said = "A link leads to a folder that was walked already; its files are inputs there."
            yield self._refused(str(folder), folder, said)
            return
        walked.add(identity)
        for name in names:
            if not is_litter(name) and not self._is_left_out(folder / name):
                yield from self.under(folder / name, named=False, walked=walked)

    def _in_archive(self, path: Path) -> Iterator[Input]:
        yield from _members(str(path), Archive(path, self.limits))

    def _is_left_out(self, path: Path) -> bool:
        if not self.left_out:
            return False
        real = Path(os.path.realpath(path))
        return any(str(place) in self.left_out for place in (real, *real.parents))

    def _refused(self, name: str, path: Path, message: str) -> Input:
        return Input(name, path, self.limits, _error=NotFoundError(message))


def _members(called: str, archive: Archive) -> Iterator[Input]:
    path, limits = archive.path, archive.limits
    try:
        for member in archive.members():
            name = member.filename if isinstance(member, zipfile.ZipInfo) else member.name
            if not any(is_litter(part) for part in PurePosixPath(name).parts):
                yield Input(f"{called}#{name}", path, limits, archive, member)
    except PleuraError as error:
        yield Input(called, path, limits, _error=error)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a folder on the way may not be searched
        return False


def _is_archive(path: Path, named: bool) -> bool:
    try:
        if not path.is_file():
            return False
    except OSError:
        return False
    return path.name.lower().endswith(SUFFIXES) or (named and is_archive(path))


def is_litter(name: str) -> bool:
    """Whether a file of this name was added by an operating system or a disc writer."""
    return name.lower() in LITTER or name == "__MACOSX" or name.startswith("._")
