"""Chunks of a listing: every input in exactly one, however often a run is cut off."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pleura.errors import BatchChangedError, OutputError
from pleura.scale.ahead import in_order
from pleura.scale.entries import Entry, read, written
from pleura.scale.ledger import Chunk, Ledger, hold_settings
from pleura.scale.listing import Listing
from pleura.scale.stores import FolderOutput

NAMES = st.text(st.characters(), min_size=1, max_size=8)
FILES = st.builds(Entry.of_path, NAMES)
MEMBERS = st.builds(
    lambda path, member, name: Entry(path, member, f"{path}#{name}"),
    NAMES,
    st.integers(0, 50),
    NAMES,
)
ENTRIES = FILES | MEMBERS


def listing(entries: list[Entry], ordered: bool = True) -> Listing:
    return Listing("given", ordered, lambda: iter(entries))


def all_entries(store: FolderOutput) -> list[Entry]:
    ledger = Ledger(store)
    return [entry for chunk in ledger.chunks for entry in ledger.entries(chunk)]


def judged(store: FolderOutput, chunk: Chunk) -> None:
    store.write(chunk.part, b"a part")


@given(st.lists(ENTRIES))
def test_what_is_written_down_is_read_back(entries: list[Entry]) -> None:
    assert read(written(tuple(entries))) == tuple(entries)


@settings(max_examples=60, deadline=None)
@given(
    runs=st.lists(
        st.tuples(st.sets(ENTRIES, max_size=30), st.integers(0, 12), st.data()),
        min_size=1,
        max_size=4,
    ),
    size=st.integers(1, 7),
)
def test_runs_that_are_cut_off_anywhere_make_one_whole(
    runs: list[tuple[set[Entry], int, st.DataObject]], size: int
) -> None:
    """Each run lists another set of inputs, takes a few chunks, judges some of them, and dies."""
    with TemporaryDirectory() as folder:
        store = FolderOutput(Path(folder))
        ever: set[Entry] = set()
        last: set[Entry] = set()
        for present, taken, data in runs:
            before = all_entries(store)
            for chunk in islice(Ledger(store).to_do(listing(sorted(present)), size), taken):
                if data.draw(st.booleans()):
                    judged(store, chunk)
            assert all_entries(store)[: len(before)] == before, "what is written down stays"
            ever |= present
            last = present
        ledger = Ledger(store)
        undone = set(ledger.chunks) - set(ledger.done)
        to_do = list(ledger.to_do(listing(sorted(last)), size))
        assert undone <= set(to_do)
        assert not set(to_do) & set(ledger.done)
        entries = all_entries(store)
        assert max(Counter(entries).values(), default=1) == 1, "no input twice"
        assert last <= set(entries) <= ever
        assert ledger.gone == len(set(entries) - last)
        for chunk in to_do:
            judged(store, chunk)
        assert list(Ledger(store).to_do(listing(sorted(last)), size)) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(ENTRIES, max_size=30), st.integers(1, 7), st.lists(st.integers(0, 4), max_size=4))
def test_a_list_of_paths_keeps_its_order_and_its_repetitions(
    entries: list[Entry], size: int, cuts: list[int]
) -> None:
    with TemporaryDirectory() as folder:
        store = FolderOutput(Path(folder))
        for taken in cuts:
            list(islice(Ledger(store).to_do(listing(entries, ordered=False), size), taken))
        list(Ledger(store).to_do(listing(entries, ordered=False), size))
        assert all_entries(store) == entries


def test_the_listing_waits_for_what_is_known(tmp_path: Path) -> None:
    store = FolderOutput(tmp_path)
    entries = [Entry.of_path(f"{number:03d}") for number in range(10)]
    list(islice(Ledger(store).to_do(listing(entries), 3), 2))
    begun: list[str] = []

    def listed() -> Iterator[Entry]:
        begun.append("listing")
        yield from entries

    chunks = Ledger(store).to_do(Listing("given", True, listed), 3)
    assert [next(chunks).number, next(chunks).number] == [0, 1]
    assert not begun
    assert [chunk.number for chunk in chunks] == [2, 3]


def test_the_listing_is_not_ahead_of_the_work(tmp_path: Path) -> None:
    taken: list[Entry] = []

    def endless() -> Iterator[Entry]:
        for number in range(10**9):
            taken.append(Entry.of_path(f"{number:012d}"))
            yield taken[-1]

    list(islice(Ledger(FolderOutput(tmp_path)).to_do(Listing("given", True, endless), 5), 3))
    assert len(taken) == 15


def test_a_list_that_begins_otherwise_is_refused_after_what_is_known(tmp_path: Path) -> None:
    store = FolderOutput(tmp_path)
    entries = [Entry.of_path(name) for name in "abcdef"]
    list(islice(Ledger(store).to_do(listing(entries, ordered=False), 2), 2))
    for other in (entries[1:], entries[:3]):
        chunks = Ledger(store).to_do(listing(other, ordered=False), 2)
        assert [next(chunks).number, next(chunks).number] == [0, 1]
        with pytest.raises(BatchChangedError):
            next(chunks)


def test_a_ledger_with_a_hole_is_refused(tmp_path: Path) -> None:
    store = FolderOutput(tmp_path)
    entries = [Entry.of_path(name) for name in "abcdef"]
    first, *_ = Ledger(store).to_do(listing(entries), 2)
    (tmp_path / first.inputs).unlink()
    with pytest.raises(OutputError):
        Ledger(store)


@given(st.lists(st.integers()), st.integers(1, 4))
def test_reading_ahead_keeps_the_order(numbers: list[int], at_once: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in numbers:
            taken += 1
            yield number

    for count, answer in enumerate(in_order(lambda number: -number, items(), at_once), 1):
        assert answer == -numbers[count - 1]
        assert taken <= count + at_once
    assert taken == len(numbers)


def test_settings_are_held_against_those_of_the_run(tmp_path: Path) -> None:
    store = FolderOutput(tmp_path)
    for _ in range(2):
        hold_settings(store, {"chunk": 5, "model": {"sha256": "a"}})
    with pytest.raises(BatchChangedError, match="model"):
        hold_settings(store, {"chunk": 5, "model": {"sha256": "b"}})
    (tmp_path / "batch.json").write_text("{")
    with pytest.raises(OutputError):
        hold_settings(store, {"chunk": 5})
