"""What INPUT stands for: a folder, a glob, an archive, a list of paths, or URLs."""

import glob
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pleura.errors import DataError, NotFoundError, PleuraError
from pleura.io import is_archive
from pleura.io.discover import is_litter
from pleura.scale.entries import Entry
from pleura.scale.folders import identity_of, members_of, walk
from pleura.scale.objects import ObjectStore, is_url, path_of

LIST_SUFFIX = ".txt"
_HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Listing:
    """The inputs of a run; nothing is listed before `entries` is iterated.

    Attributes:
        source: what is listed, with an absolute path or a URL; the same for the same command.
        ordered: entries come in their order (`Entry`), and each once; else as a list has them.
        entries: begins to list, lazily, from the start.
    """

    source: str
    ordered: bool
    entries: Callable[[], Iterator[Entry]]


def listing_of(given: str, output: str) -> Listing:
    """The listing that an INPUT stands for.

    Args:
        given: a folder, a glob, an archive, one image or a text file of paths, or the URL of a
            folder (a prefix), a glob, an object or a `.txt` file of paths.
        output: where results go; what lies there is no input.

    Raises:
        NotFoundError: there is no such input.
        StoreError: an object store does not answer.
        MissingDependencyError: the package of a protocol is not installed.
    """
    if not given:
        raise NotFoundError("The input has no name.")
    return _of_url(given, output) if is_url(given) else _of_path(path_of(given), output)


def _of_path(path: str, output: str) -> Listing:
    def below(folder: str) -> Iterator[Entry]:
        out = None if is_url(output) else identity_of(output)  # it may be made only now
        return walk(folder, frozenset() if out is None else frozenset({out}))

    if not os.path.lexists(path) and glob.has_magic(path):
        base, pattern = _split_glob(path)
        if not Path(base).is_dir():
            raise NotFoundError("The folder before the pattern does not exist.")
        found = _matching(base, pattern)
        return Listing(path, True, lambda: filter(found, below(base)))
    if Path(path).is_dir():
        return Listing(path, True, lambda: below(path))
    if not Path(path).is_file():
        raise NotFoundError("There is no such file or folder, and it is no pattern.")
    if is_archive(Path(path)):
        return Listing(path, True, lambda: members_of(path))
    if _is_text(path):
        return Listing(path, False, lambda: _lines(lambda: Path(path).open("rb")))
    return Listing(path, True, lambda: iter((Entry.of_path(path),)))


def _of_url(url: str, output: str) -> Listing:
    store = ObjectStore(url)
    out = ObjectStore(output).root + "/" if is_url(output) else None

    def below(folder: str) -> Iterator[Entry]:
        for path in store.below(folder):
            if not is_litter(path.rpartition("/")[2]) and not (out and path.startswith(out)):
                yield Entry.of_path(store.url_of(path))

    if glob.has_magic(store.root):
        base, pattern = _split_glob(store.root)
        found = _matching(store.url_of(base), pattern)
        return Listing(url, True, lambda: filter(found, below(base)))
    if store.is_file(store.root):
        if store.root.lower().endswith(LIST_SUFFIX):
            return Listing(url, False, lambda: _lines(lambda: store.fs.open(store.root, "rb")))
        return Listing(url, True, lambda: iter((Entry.of_path(store.url_of(store.root)),)))
    return Listing(url, True, lambda: below(store.root))


def _lines(opened: Callable[[], IO[bytes]]) -> Iterator[Entry]:
    """An entry for each line that is not empty; relative paths are those of the working folder."""
    with _stated_when_unreadable(), opened() as stream:
        for line in stream:
            name = os.fsdecode(line.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n"))
            if name:
                place = name if is_url(name) else path_of(name)
                yield Entry.of_path(name) if place == name else Entry(place, -1, name)


@contextmanager
def _stated_when_unreadable() -> Iterator[None]:
    try:
        yield
    except PleuraError:
        raise
    except Exception as error:  # of the file system, or of a store
        raise DataError(f"The list of inputs cannot be read ({type(error).__name__}).") from None


def _is_text(path: str) -> bool:
    with _stated_when_unreadable(), Path(path).open("rb") as stream:
        return b"\0" not in stream.read(_HEAD_BYTES)


def _split_glob(path: str) -> tuple[str, str]:
    """The folder before the first part with a wildcard, and the rest."""
    parts = path.split("/")
    first = next(place for place, part in enumerate(parts) if glob.has_magic(part))
    return "/".join(parts[:first]) or "/", "/".join(parts[first:])


def _matching(base: str, pattern: str) -> Callable[[Entry], Any]:
    """Whether an entry below `base` matches, or lies in a folder that does."""
    start = re.escape(base.rstrip("/") + "/")
    matches = re.compile(start + _translated(pattern) + r"(?:/.*)?", re.DOTALL).fullmatch
    return lambda entry: matches(entry.path)


def _translated(pattern: str) -> str:
    """A glob as a regular expression: `*`, `?` and `[...]` stay in one part, `**` spans parts."""
    made, rest = "", pattern
    while rest:
        if rest.startswith("**/"):
            made, rest = made + "(?:.*/)?", rest[3:]
        elif rest.startswith("**"):
            made, rest = made + ".*", rest[2:]
        elif rest[0] == "*":
            made, rest = made + "[^/]*", rest[1:]
        elif rest[0] == "?":
            made, rest = made + "[^/]", rest[1:]
        elif found := re.match(r"\[(!?)(\]?[^\]/]*)\]", rest):
            inside = found[2].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
            inside = inside.replace("]", r"\]")
            made += f"[{'^/' if found[1] else ''}{inside}]"
            rest = rest[found.end() :]
        else:
            made, rest = made + re.escape(rest[0]), rest[1:]
    return made
