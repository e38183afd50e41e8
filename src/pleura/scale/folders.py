"""The files of a folder, in one order and without holding all of their names."""

import heapq
import json
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeAlias

from pleura.io import ARCHIVE_SUFFIXES, discover
from pleura.io.discover import is_litter
from pleura.scale.entries import Entry

NAMES_IN_MEMORY = 100_000
"""Of one folder; more are sorted in pieces on disk."""

Identity: TypeAlias = tuple[int, int]
"""A folder by device and inode, whatever its names."""


def walk(folder: str, leave_out: frozenset[Identity] = frozenset()) -> Iterator[Entry]:
    """All inputs below a folder, by the code points of their paths.

    Links are followed, except one to a folder that holds it; that one, and a folder that may not be
    read, become inputs themselves, which nobody can read. Archives give their members.

    Args:
        folder: absolute.
        leave_out: folders that hold no inputs, wherever they are met: where results go.
    """
    return _walk(folder, leave_out, ())


def identity_of(folder: str) -> Identity | None:
    """Device and inode, or None where there is nothing that can be looked at."""
    try:
        status = os.stat(folder)  # noqa: PTH116 - a walk of millions needs no Path for each
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def members_of(archive: str) -> Iterator[Entry]:
    """The members of an archive; one input that cannot be read where it is damaged."""
    for place, found in enumerate(discover([archive])):
        yield Entry(archive, place, found.name)


def sorted_lazily(names: Iterable[str], in_memory: int = NAMES_IN_MEMORY) -> Iterator[str]:
    """Sort by code points; beyond `in_memory` in pieces on disk, which are merged."""
    source = iter(names)
    pieces: list[Iterator[str]] = []
    while piece := sorted(islice(source, in_memory)):
        if not pieces and len(piece) < in_memory:
            yield from piece
            return
        pieces.append(_on_disk(piece))
    yield from heapq.merge(*pieces)


def _walk(
    folder: str, leave_out: frozenset[Identity], above: tuple[Identity | None, ...]
) -> Iterator[Entry]:
    identity = identity_of(folder)
    if identity in leave_out:
        return
    slashed = folder if folder.endswith("/") else folder + "/"
    if identity is not None and identity in above:
        yield Entry.of_path(slashed)
        return
    try:
        scanned = os.scandir(folder)
    except OSError:
        yield Entry.of_path(slashed)
        return
    with scanned:
        # A folder's paths go on with a slash, and sort as if its own name ended in one.
        names = sorted_lazily(
            entry.name + "/" * _is_folder(entry) for entry in scanned if not is_litter(entry.name)
        )
        for name in names:
            path = slashed + name
            if name.endswith("/"):
                yield from _walk(path[:-1], leave_out, (*above, identity))
            elif name.lower().endswith(ARCHIVE_SUFFIXES) and Path(path).is_file():
                yield from members_of(path)
            else:
                yield Entry.of_path(path)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _on_disk(names: list[str]) -> Iterator[str]:
    """Names that are kept in a file without a name, as JSON, which any name survives."""
    stream = TemporaryFile("w+", encoding="ascii")  # noqa: SIM115 - closed when it is read
    stream.writelines(json.dumps(name) + "\n" for name in names)
    stream.seek(0)

    def kept() -> Iterator[str]:
        with stream:
            for line in stream:
                yield json.loads(line)

    return kept()
