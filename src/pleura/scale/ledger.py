"""What a run has listed and what it has done: the files of its output, and nothing else.

    batch.json                         the settings; a continuation must have the same
    inputs/NNNNNNNN.GGGG.jsonl         the inputs of chunk N, written before any of them is judged
    parts/part-NNNNNNNN.parquet        their results, one row each, in this order; then N is done
    objects/NNNNNNNN/                  further objects of chunk N, written before its part
    report.json                        the counts, when the run has ended

A chunk never changes. G counts the listings that found inputs which none before had: the inputs of
one G are in the order of the listing, so that two of them are compared without holding either.
"""

import heapq
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from pleura.errors import BatchChangedError, OutputError
from pleura.scale.ahead import in_order
from pleura.scale.entries import Entry, read, written
from pleura.scale.listing import Listing
from pleura.scale.stores import Store

SETTINGS = "batch.json"
REPORT = "report.json"
READ_AHEAD = 8
INPUTS, PARTS, OBJECTS = "inputs", "parts", "objects"
_INPUTS = re.compile(r"(\d{8})\.(\d{4})\.jsonl")
_PART = re.compile(r"part-(\d{8})\.parquet")


@dataclass(frozen=True, slots=True, order=True)
class Chunk:
    """A few hundred inputs that are judged, written and counted together.

    Attributes:
        number: from 0, without a gap.
        generation: of the listing that found them.
    """

    number: int
    generation: int

    @property
    def inputs(self) -> str:
        """File of the inputs."""
        return f"{INPUTS}/{self.number:08d}.{self.generation:04d}.jsonl"

    @property
    def part(self) -> str:
        """File of the results."""
        return f"{PARTS}/part-{self.number:08d}.parquet"

    @property
    def objects(self) -> str:
        """Folder of the further objects."""
        return f"{OBJECTS}/{self.number:08d}"


class Ledger:
    """The state of one run.

    Args:
        store: the run's output.

    Attributes:
        chunks: all that are written down, in order.
        done: those that had a part when the ledger was opened.
        listed: inputs that were met so far in chunks and listing.
        gone: inputs that an earlier listing had and the last one had not.

    Raises:
        OutputError: the output cannot be read, or a file of it is missing.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.chunks = sorted(
            Chunk(int(found[1]), int(found[2]))
            for found in map(_INPUTS.fullmatch, store.names(INPUTS))
            if found
        )
        if [chunk.number for chunk in self.chunks] != list(range(len(self.chunks))):
            raise OutputError(
                "A list of inputs is missing from the output, or there twice.",
                "Name a new output; this one cannot be continued.",
            )
        numbers = {int(found[1]) for found in map(_PART.fullmatch, store.names(PARTS)) if found}
        self.done = [chunk for chunk in self.chunks if chunk.number in numbers]
        self.listed = 0
        self.gone = 0

    def entries(self, chunk: Chunk) -> tuple[Entry, ...]:
        """The inputs of a chunk."""
        return entries_of(self._store, chunk)

    def to_do(self, listing: Listing, size: int) -> Iterator[Chunk]:
        """Chunks without a part: first those written down, then those of new inputs.

        The listing begins when the chunks that are known have been taken. Each new chunk is written
        down before it is handed out.

        Raises:
            BatchChangedError: a list of paths does not begin as it did.
            PleuraError: the listing or the output fails.
        """
        known, done = tuple(self.chunks), set(self.done)
        yield from (chunk for chunk in known if chunk not in done)
        found = self._ordered(known, listing) if listing.ordered else self._listed(known, listing)
        generation = known[-1].generation + 1 if known else 0
        while entries := tuple(islice(found, size)):
            chunk = Chunk(len(self.chunks), generation)
            self._store.write(chunk.inputs, written(entries))
            self.chunks.append(chunk)
            self.listed += len(entries)
            yield chunk

    def _ordered(self, known: tuple[Chunk, ...], listing: Listing) -> Iterator[Entry]:
        """Entries of the listing that no chunk has, by merging both in their order."""
        generations: dict[int, list[Chunk]] = {}
        for chunk in known:
            generations.setdefault(chunk.generation, []).append(chunk)
        had = heapq.merge(*(self._entries(chunks) for chunks in generations.values()))
        old = next(had, None)
        for entry in listing.entries():
            while old is not None and old < entry:
                self.gone += 1
                old = next(had, None)
            if old == entry:
                old = next(had, None)
            else:
                yield entry
        while old is not None:
            self.gone += 1
            old = next(had, None)

    def _listed(self, known: tuple[Chunk, ...], listing: Listing) -> Iterator[Entry]:
        """Entries of a list behind those that the chunks have."""
        entries = iter(listing.entries())
        for place, old in enumerate(self._entries(known), 1):
            if next(entries, None) != old:
                raise BatchChangedError(
                    f"Path {place} of the list is not the one that this output began with.",
                    "Paths may be added at the end alone; name a new output for another list.",
                )
        yield from entries

    def _entries(self, chunks: Iterable[Chunk]) -> Iterator[Entry]:
        for entries in in_order(self.entries, chunks, READ_AHEAD):
            self.listed += len(entries)
            yield from entries


def entries_of(store: Store, chunk: Chunk) -> tuple[Entry, ...]:
    """The inputs of a chunk.

    Raises:
        OutputError: the list is missing.
    """
    content = store.read(chunk.inputs)
    if content is None:
        raise OutputError("A list of inputs is missing from the output.")
    return read(content)


def hold_settings(store: Store, settings: dict[str, object]) -> None:
    """Write the settings of a run down, or hold them against those of the run that is continued.

    Raises:
        BatchChangedError: they differ; the message names what does.
        OutputError: the output cannot be read or written.
    """
    content = store.read(SETTINGS)
    if content is None:
        store.write(SETTINGS, (json.dumps(settings, indent=2) + "\n").encode())
        return
    try:
        before = dict(json.loads(content))
    except (ValueError, TypeError) as error:
        raise OutputError(f"{SETTINGS} of the output is damaged.", "Name a new output.") from error
    changed = sorted(
        name for name in before.keys() | settings.keys() if before.get(name) != settings.get(name)
    )
    if changed:
        raise BatchChangedError(
            f"The output holds a run with another setting of: {', '.join(changed)}."
        )
