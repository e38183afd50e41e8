"""Folders, globs, archives and lists: in one order, without holding all names."""

import os
import zipfile
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scale_tools import image

from pleura.errors import NotFoundError
from pleura.inference import Predictor
from pleura.io import discover
from pleura.scale.entries import Entry
from pleura.scale.folders import sorted_lazily, walk
from pleura.scale.listing import listing_of
from pleura.scale.sources import Sources

# Of one letter each side of a slash, of the dot, and of the hash: orders differ there.
PARTS = st.text(st.sampled_from("-.#/a0é").filter(lambda letter: letter != "/"), min_size=1).filter(
    lambda part: part not in (".", "..") and not part.startswith("._")
)
TREES = st.sets(st.lists(PARTS, min_size=1, max_size=4).map("/".join), max_size=15)


def make(folder: Path, names: set[str]) -> None:
    for name in sorted(names):
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue  # one name is a folder of another


def listed(given_input: str | Path, output: str | Path = "/nowhere") -> list[Entry]:
    return list(listing_of(str(given_input), str(output)).entries())


@settings(max_examples=100, deadline=None)
@given(TREES)
def test_a_folder_is_listed_in_order_and_whole(names: set[str]) -> None:
    with TemporaryDirectory() as made:
        make(Path(made), names)
        entries = list(walk(made))
        assert entries == sorted(entries)
        assert len(set(entries)) == len(entries)
        assert {entry.path for entry in entries} == {found.name for found in discover([made])}


@given(st.lists(st.text()), st.integers(1, 5))
def test_names_are_sorted_in_pieces_on_disk(names: list[str], in_memory: int) -> None:
    assert list(sorted_lazily(names, in_memory)) == sorted(names)


@settings(max_examples=80, deadline=None)
@given(TREES, st.lists(st.sampled_from(["*", "?", "a", "[a0]", "[!a]", "*.*"]), min_size=1))
def test_a_glob_finds_what_python_finds(names: set[str], pattern: list[str]) -> None:
    """And what lies in the folders that it finds; a dot in front is a letter like others here."""
    names = {name for name in names if not any(part[0] == "." for part in name.split("/"))}
    assume(set(pattern) != {"a"})
    with TemporaryDirectory() as made:
        make(Path(made), names)
        matched = list(Path(made).glob("/".join(pattern)))
        inside = (file for folder in matched for file in folder.rglob("*") if folder.is_dir())
        expected = {str(path) for path in (*matched, *inside) if path.is_file()}
        try:
            found = {entry.path for entry in listed(f"{made}/{'/'.join(pattern)}")}
        except NotFoundError:  # the folder before the first wildcard
            found = set()
        assert found == expected


def test_two_stars_span_folders(tmp_path: Path) -> None:
    make(tmp_path, {"a.dcm", "b/a.dcm", "b/c/a.dcm", "b/c/b.dcm", "b/xa.dcm"})
    found = [entry.path.removeprefix(f"{tmp_path}/") for entry in listed(tmp_path / "**" / "a.dcm")]
    assert found == ["a.dcm", "b/a.dcm", "b/c/a.dcm"]


def test_litter_loops_and_closed_folders(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "back").symlink_to(tmp_path)
    (tmp_path / "b" / "back.dcm").write_bytes(image(0))
    (tmp_path / "c").symlink_to(tmp_path / "elsewhere")
    for litter in (".DS_Store", "Thumbs.db", "._a.dcm"):
        (tmp_path / litter).touch()
    entries = listed(tmp_path)
    assert entries == sorted(entries)
    assert [entry.path.removeprefix(f"{tmp_path}/") for entry in entries] == [
        "b/back.dcm",
        "b/back/",
        "c",
    ]
    sources = list(Sources().of(entries))
    assert len(sources) == 3
    for source in (sources[1], sources[2]):
        with pytest.raises(NotFoundError):
            source.read()


def test_members_of_archives_are_inputs(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with zipfile.ZipFile(folder / "b.zip", "w") as archive:
        for number in (3, 1, 2):
            archive.writestr(f"x/{number}.dcm", image(number))
    (folder / "a.dcm").write_bytes(image(0))
    (folder / "c.zip").write_bytes(b"PK\x03\x04 damaged")
    entries = listed(folder)
    assert entries == sorted(entries)
    assert [entry.name for entry in entries] == [found.name for found in discover([folder])]
    predictor = Predictor.load(model, threads=1)
    one_by_one = [
        next(predictor.predict_many(Sources().of([entry]))) for entry in entries
    ]  # as a continuation would, in whatever chunk
    together = list(predictor.predict_many(Sources().of(entries)))
    uids = ["0", "3", "1", "2"]
    for results in (one_by_one, together):
        assert [r.radiograph.identifiers.sop_instance_uid[-1] for r in results[:4]] == uids  # type: ignore[union-attr]
        assert results[4].code == "truncated"  # type: ignore[union-attr]
    assert listed(folder / "b.zip") == entries[1:4]
    with zipfile.ZipFile(folder / "b.zip", "w") as archive:
        archive.writestr("x/1.dcm", image(1))
    codes = [getattr(r, "code", "ok") for r in predictor.predict_many(Sources().of(entries[1:4]))]
    assert codes == ["not_found"] * 3, "another member at the place is not taken for it"


def test_a_list_of_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    odd = os.fsencode(tmp_path) + b"/\xff.dcm"
    lines = [b"a.dcm\r\n", b"\n", b"s3://bucket/key with space.dcm\n", odd + b"\n", b"a.dcm"]
    (tmp_path / "list").write_bytes(b"\xef\xbb\xbf" + b"".join(lines))
    entries = listed("list")
    assert entries == [
        Entry(str(tmp_path / "a.dcm"), -1, "a.dcm"),
        Entry.of_path("s3://bucket/key with space.dcm"),
        Entry.of_path(os.fsdecode(odd)),
        Entry(str(tmp_path / "a.dcm"), -1, "a.dcm"),
    ]
    assert not listing_of("list", "out").ordered


def test_a_list_is_read_as_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("".join(f"/x/{number}.dcm\n" for number in range(1000)))
    entries = iter(listing_of(str(path), "out").entries())
    assert len(list(islice(entries, 5))) == 5
    with path.open("a") as stream:
        stream.write("/x/late.dcm\n")
    assert list(entries)[-1] == Entry.of_path("/x/late.dcm")


def test_one_image_is_an_input(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(image(0))
    assert listed(tmp_path / "a.dcm") == [Entry.of_path(str(tmp_path / "a.dcm"))]


@pytest.mark.parametrize("name", ["", "absent", "absent/*.dcm", "absent.txt"])
def test_an_input_that_is_not_there(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError):
        listing_of(name, "out")
