"""What a reader sends or opens, one film after the other; nothing is written to a disk."""

from collections.abc import Iterator
from pathlib import Path

from pleura.app.cases import Source, Unreadable, Upload
from pleura.errors import NotFoundError
from pleura.io import Limits, discover, is_archive, members

MOST_FOLDERS = 500
MOST_LEVELS = 4


def films_of(name: str, content: bytes, limits: Limits) -> Iterator[Source]:
    """The films of one upload: itself, or the members of the archive that it is."""
    if not is_archive(content):
        yield Source(Upload(name, content))
        return
    for member in members(name, content, limits=limits):
        yield Source(member)


def films_below(root: Path, folder: Path, limits: Limits) -> Iterator[Source]:
    """The films of a folder below the root.

    A link that leads out of the root is not followed: its film is refused when it is read.

    Args:
        root: that whoever started the page allows.
        folder: relative to it.
        limits: bounds on what is read.

    Raises:
        NotFoundError: there is no such folder below the root.
    """
    real_root = root.resolve()
    real = (real_root / folder).resolve()
    if not real.is_relative_to(real_root) or not real.is_dir():
        raise NotFoundError("There is no such folder.", "Choose one of the list.")
    for found in discover([real], limits=limits):
        if not found.path.resolve().is_relative_to(real_root):
            outside = NotFoundError("A link leads out of the folder that may be opened.")
            yield Source(Unreadable(found.path.name, outside))
            continue
        in_archive = found.name != str(found.path)
        path = "" if in_archive else found.path.relative_to(real_root).as_posix()
        yield Source(found, path)


def folders_below(root: Path) -> list[Path]:
    """The root and its folders, relative to it, not many levels deep and not more than a list
    takes.
    """
    found, level = [Path()], [Path()]
    for _ in range(MOST_LEVELS):
        level = [below for folder in level for below in _folders_in(root, folder)]
        found += level
        if len(found) >= MOST_FOLDERS:
            break
    return sorted(found)[:MOST_FOLDERS]


def _folders_in(root: Path, folder: Path) -> list[Path]:
    try:
        below = sorted((root / folder).iterdir())
        return [
            path.relative_to(root)
            for path in below
            if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
        ]
    except OSError:  # it may not be looked into
        return []
