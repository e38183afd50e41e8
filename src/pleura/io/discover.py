"""Paths, folders, globs and archives -> the inputs that they hold, one by one."""

import glob
import os
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

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
    paths: Iterable[str | os.PathLike[str]], *, limits: Limits = DEFAULT_LIMITS
) -> Iterator[Input]:
    """Find all inputs under paths, lazily, in the order of the paths and sorted inside folders.

    A path that exists is taken literally; else one with `*`, `?` or `[` is a glob (`**` descends).
    Folders are walked in full, through links as well. Every file becomes an input, whatever it
    holds, apart from the litter of operating systems; what is missing or not readable becomes an
    input whose `read` raises. Archives are opened when a path names them (by content) or when
    they lie in a folder under a usual name (`.zip`, `.tar`, `.tar.gz` ...); an archive inside an
    archive is not opened.
    """
    for named in paths:
        path = Path(named)
        if not _exists(path) and glob.has_magic(str(path)):
            yield from _globbed(str(path), limits)
        else:
            yield from _under(path, limits, named=True, above=frozenset())


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # A folder on the way may not be searched: the path is there for all that is known.
        return True


def _globbed(pattern: str, limits: Limits) -> Iterator[Input]:
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - absolute patterns
    if not found:
        yield _refused(pattern, Path(pattern), limits, "No file matches the pattern.")
    covered: set[str] = set()
    for match in found:
        # With `**` a folder and its files match; the folder brings its files already.
        if any(str(parent) in covered for parent in Path(match).parents):
            continue
        if Path(match).is_dir():
            covered.add(str(Path(match)))
        yield from _under(Path(match), limits, named=True, above=frozenset())


def _under(
    path: Path, limits: Limits, *, named: bool, above: frozenset[tuple[int, int]]
) -> Iterator[Input]:
    """Inputs of one path; `above` identifies the folders on the way, against loops of links."""
    try:
        is_folder = path.is_dir()
        is_file = path.is_file()
    except OSError:
        is_folder = is_file = False
    if is_folder:
        yield from _in_folder(path, limits, above)
    elif is_file and _is_archive(path, named):
        yield from _in_archive(path, limits)
    else:
        yield Input(str(path), path, limits)


def _is_archive(path: Path, named: bool) -> bool:
    return path.name.lower().endswith(SUFFIXES) or (named and is_archive(path))


def _in_folder(folder: Path, limits: Limits, above: frozenset[tuple[int, int]]) -> Iterator[Input]:
    try:
        status = folder.stat()
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names alone, sorted as text
    except OSError:
        yield _refused(str(folder), folder, limits, "The folder may not be read.")
        return
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        yield _refused(str(folder), folder, limits, "A link leads back to a folder above it.")
        return
    for name in names:
        if not _is_litter(name):
            yield from _under(folder / name, limits, named=False, above=above | {identity})


def _in_archive(path: Path, limits: Limits) -> Iterator[Input]:
    archive = Archive(path, limits)
    try:
        for member in archive.members():
            name = member.filename if isinstance(member, zipfile.ZipInfo) else member.name
            if not any(_is_litter(part) for part in PurePosixPath(name).parts):
                yield Input(f"{path}#{name}", path, limits, archive, member)
    except PleuraError as error:
        yield Input(str(path), path, limits, _error=error)


def _is_litter(name: str) -> bool:
    return name.lower() in LITTER or name == "__MACOSX" or name.startswith("._")


def _refused(name: str, path: Path, limits: Limits, message: str) -> Input:
    return Input(name, path, limits, _error=NotFoundError(message))
