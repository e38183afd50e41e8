"""One input of a run, and how it is written down."""

import json
from dataclasses import dataclass

NO_MEMBER = -1


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One input: a file, an object, or a member of an archive.

    Entries are ordered as a listing yields them: by the path's code points, and by the place in an
    archive.

    Attributes:
        path: of the file or archive, absolute, or the URL of an object.
        member: place among the archive's members, from 0; `NO_MEMBER` for a file of its own.
        name: what results call the input.
    """

    path: str
    member: int
    name: str

    @classmethod
    def of_path(cls, path: str) -> "Entry":
        """A file or an object that results call by its path."""
        return cls(path, NO_MEMBER, path)


def written(entries: tuple[Entry, ...]) -> bytes:
    """Entries as JSON Lines in ASCII: a path alone, or path, member and name.

    Any name survives, one with a line feed or with bytes that are no UTF-8 as well.
    """
    lines = (
        entry.path if entry == Entry.of_path(entry.path) else (entry.path, entry.member, entry.name)
        for entry in entries
    )
    return "".join(json.dumps(line) + "\n" for line in lines).encode("ascii")


def read(content: bytes) -> tuple[Entry, ...]:
    """The inverse of `written`."""
    lines = (json.loads(line) for line in content.splitlines())
    return tuple(Entry.of_path(line) if isinstance(line, str) else Entry(*line) for line in lines)
