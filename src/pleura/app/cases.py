"""Films of one session: what is to be judged, what was judged, what was refused."""

import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pleura.errors import PleuraError
from pleura.inference import RawPrediction, Refusal
from pleura.outputs import PredictionRecord
from pleura.radiograph import Radiograph

RADIOGRAPHS_HELD = 2
"""Decoded films of a session: the one in view, and the one before it."""


class Readable(Protocol):
    """Bytes with a name; `pleura.io.Input` is one."""

    @property
    def name(self) -> str:
        """What the sender calls it; may identify a patient."""

    def read(self) -> bytes:
        """The bytes; raises a typed error when they cannot be had."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a reader sent, held in memory."""

    name: str
    content: bytes = field(repr=False)

    def read(self) -> bytes:
        """The bytes."""
        return self.content


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that must not be read, and why."""

    name: str
    error: PleuraError

    def read(self) -> bytes:
        """Raises the error."""
        raise self.error


@dataclass(frozen=True, slots=True)
class Source:
    """A film that is to be judged.

    Attributes:
        readable: its bytes.
        path: below the root that films are opened from; empty for an upload.
        job: of the service, for a film of its work list; its bytes may not be had.
    """

    readable: Readable
    path: str = ""
    job: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A film that was judged.

    Attributes:
        id: random, and all that a browser is told of it unless the reader asks for more.
        number: place in the order of arrival, from 1.
        source: its bytes.
        results: what is said of it at each operating point, by name.
        thumbnail: JPEG bytes.
        raw: what the networks said, the radiograph without its pixels; None where a service judged.
        job: of the service that judged; empty where this process did.
        shape: rows and columns of the file.
        made: kinds of files that a service made of it.
    """

    id: str
    number: int
    source: Source
    results: Mapping[str, PredictionRecord]
    thumbnail: bytes
    shape: tuple[int, int]
    raw: RawPrediction | None = None
    job: str = ""
    made: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """What it is called as long as nothing identifying is shown."""
        return f"Film {self.number}"


@dataclass(frozen=True, slots=True)
class Refused:
    """A film that was not judged, and why."""

    id: str
    number: int
    source: Source
    refusal: Refusal

    @property
    def title(self) -> str:
        """What it is called as long as nothing identifying is shown."""
        return f"Film {self.number}"


Entry = Case | Refused
Judge = Callable[[str, int, Source], Entry]


def by_urgency(entries: Iterable[Entry], point: str) -> list[Entry]:
    """Positives first, the most probable before the others; then negatives; the refused last.

    Args:
        entries: of the session.
        point: name of the operating point that decides.
    """

    def rank(entry: Entry) -> tuple[int, float, int]:
        if isinstance(entry, Refused):
            return 2, 0.0, entry.number
        result = entry.results[point]
        return 0 if result.present else 1, -result.probability, entry.number

    return sorted(entries, key=rank)


class Tray:
    """The films of one session, in memory alone.

    Streamlit may run two scripts of one session at the same time, the newer one while the older
    one still judges a film; the lock lets each film be judged once.

    Args:
        max_films: most of them.
        max_bytes: of all uploads together.
    """

    def __init__(self, max_films: int, max_bytes: int) -> None:
        self.entries: dict[str, Entry] = {}
        self.left_out = 0
        self._max_films, self._max_bytes = max_films, max_bytes
        self._waiting: deque[tuple[int, Source]] = deque()
        self._taken = self._held = self._batch = 0
        self._lock = threading.RLock()
        self._radiographs: OrderedDict[str, Radiograph] = OrderedDict()

    def add(self, sources: Iterable[Source], held_bytes: int = 0) -> None:
        """Take films in; what is beyond the bounds is counted in `left_out`.

        Args:
            sources: of one upload or folder.
            held_bytes: that the session holds for them until it is cleared.
        """
        with self._lock:
            if not self._waiting:
                self._batch = 0
            if self._held + held_bytes > self._max_bytes:
                self.left_out += 1
                return
            self._held += held_bytes
            for source in sources:
                if self._taken >= self._max_films:
                    self.left_out += 1
                    continue
                self._taken += 1
                self._batch += 1
                self._waiting.append((self._taken, source))

    def work(self, judge: Judge) -> Entry | None:
        """Judge the next film that waits, if there is one."""
        with self._lock:
            if not self._waiting:
                return None
            number, source = self._waiting[0]
            entry = judge(secrets.token_hex(8), number, source)
            self.entries[entry.id] = entry
            self._waiting.popleft()
            return entry

    @property
    def waiting(self) -> int:
        """Films that are to be judged."""
        return len(self._waiting)

    @property
    def progress(self) -> tuple[int, int]:
        """Judged and all films, of those that were sent since nothing waited last."""
        return self._batch - len(self._waiting), self._batch

    @property
    def cases(self) -> list[Case]:
        """Films that were judged, in the order of their arrival."""
        judged = [entry for entry in self.entries.values() if isinstance(entry, Case)]
        return sorted(judged, key=lambda case: case.number)

    def radiograph(self, case: Case, read: Callable[[Case], Radiograph]) -> Radiograph:
        """The decoded film; the last few are kept.

        Args:
            case: of this tray.
            read: reads it again.
        """
        with self._lock:
            found = self._radiographs.get(case.id)
            if found is None:
                found = read(case)
            self._radiographs[case.id] = found
            self._radiographs.move_to_end(case.id)
            while len(self._radiographs) > RADIOGRAPHS_HELD:
                self._radiographs.popitem(last=False)
            return found

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self.entries.clear()
            self._waiting.clear()
            self._radiographs.clear()
            self._taken = self._held = self._batch = self.left_out = 0
