"""Entries as sources for a predictor; objects are fetched ahead of it."""

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

from pleura.errors import (
    NotFoundError,
    StoreError,
    TooLargeError,
    UnsupportedSyntaxError,
    WorkerDiedError,
)
from pleura.io import ARCHIVE_SUFFIXES, Input, Limits, discover
from pleura.scale.entries import NO_MEMBER, Entry
from pleura.scale.objects import DeniedError, ObjectStore, is_url

FETCHED_AHEAD = 4
FEWEST = 16


class Fetched:
    """A file object whose bytes come from somewhere when they are first read.

    Args:
        name: what results call it.
        load: gives all bytes, or raises the error that becomes the result.
    """

    def __init__(self, name: str, load: Callable[[], bytes]) -> None:
        self.name = name
        self._load = load
        self._stream: io.BytesIO | None = None

    def read(self, size: int = -1) -> bytes:
        """Bytes from where the last reading ended."""
        if self._stream is None:
            self._stream = io.BytesIO(self._load())
        return self._stream.read(size)


Readable: TypeAlias = Input | BinaryIO


class Sources:
    """Turns entries into what `Predictor.predict_many` reads; keeps connections between calls.

    Args:
        limits: bounds on what is read.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._stores: dict[str, ObjectStore] = {}
        self._unanswered: list[str] = []

    def of(
        self, entries: Iterable[Entry], deadly: frozenset[int] = frozenset()
    ) -> Iterator[Readable]:
        """One source for each entry, in order.

        Args:
            entries: of one chunk.
            deadly: places of those that are not read, because they end the process.
        """
        self._unanswered.clear()
        archives = _Archives()
        pool = ThreadPoolExecutor(FETCHED_AHEAD, thread_name_prefix="pleura-fetch")
        ahead: deque[Readable] = deque()
        try:
            for place, entry in enumerate(entries):
                if place in deadly:
                    ahead.append(_fetched(entry, _deadly))
                elif entry.member != NO_MEMBER:
                    ahead.append(archives.source(entry))
                elif is_url(entry.path):
                    future = pool.submit(self._object, entry.path)
                    ahead.append(_fetched(entry, future.result))
                else:
                    ahead.append(Input(entry.name, Path(entry.path), self._limits))
                if len(ahead) > FETCHED_AHEAD:
                    yield ahead.popleft()
            yield from ahead
        finally:
            pool.shutdown(cancel_futures=True)

    def check(self, count: int) -> None:
        """Whether the store answered at all, of the entries that were read last.

        A store that is down, or credentials that have run out, would make a failed row of each of
        the millions of inputs behind.

        Args:
            count: of these entries.

        Raises:
            StoreError: there were at least `FEWEST`, and it answered for none.
        """
        if count >= FEWEST and len(self._unanswered) == count:
            raise StoreError(f"None of {count} objects could be read: {self._unanswered[0]}")

    def _object(self, url: str) -> bytes:
        if url.lower().endswith(ARCHIVE_SUFFIXES):
            raise UnsupportedSyntaxError(
                "Archives in an object store are not opened.", "Unpack the archive."
            )
        protocol = url.partition("://")[0]
        if protocol not in self._stores:
            self._stores[protocol] = ObjectStore(url)
        store = self._stores[protocol]
        limit = self._limits.max_bytes
        try:
            content = store.read(store.path_of(url), start=0, end=limit + 1)
        except (StoreError, DeniedError) as error:
            self._unanswered.append(error.message)
            raise
        if len(content) > limit:
            raise TooLargeError(f"The object holds more than {limit} bytes.")
        return content


class _Archives:
    """The archive that was opened last, at the place that was read last."""

    def __init__(self) -> None:
        self._path = ""
        self._next = 0
        self._members: Iterator[Input] = iter(())

    def source(self, entry: Entry) -> Readable:
        if entry.path != self._path or entry.member < self._next:
            self._path, self._next = entry.path, 0
            self._members = discover([entry.path])
        found = None
        while self._next <= entry.member:
            found = next(self._members, None)
            self._next += 1
        if found is None or found.name != entry.name:
            return _fetched(entry, _changed)
        return found


def _fetched(entry: Entry, load: Callable[[], bytes]) -> BinaryIO:
    return cast(BinaryIO, Fetched(entry.name, load))  # of which the reader uses name and `read`


def _changed() -> bytes:
    raise NotFoundError(
        "The archive no longer holds this member at its place.", "Leave archives as they are."
    )


def _deadly() -> bytes:
    raise WorkerDiedError(
        "The process that judged this input died, also when it judged nothing else.",
        "Report it with the file's kind; the other inputs are not affected.",
    )
