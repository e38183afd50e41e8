"""Everything that lies under the paths becomes an input: once, in order, and within the limits."""

import contextlib
import io
import itertools
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pleura.errors import (
    NotFoundError,
    PleuraError,
    TooLargeError,
    TruncatedError,
    UnsupportedSyntaxError,
)
from pleura.io import Input, Limits, discover


def names(root: Path, *paths: str | Path) -> list[str]:
    return [str(Path(found.name).relative_to(root)) for found in discover(paths)]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name in ("b/2.dcm", "b/10.dcm", "a/x.txt", "a/deep/er/y", "z.png", ".hidden"):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    return root


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, members: dict[str, bytes], mode: str) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_folders_are_walked_in_full_and_in_order(tree: Path) -> None:
    found = list(discover([tree]))
    expected = [".hidden", "a/deep/er/y", "a/x.txt", "b/10.dcm", "b/2.dcm", "z.png"]
    assert [str(Path(one.name).relative_to(tree)) for one in found] == expected
    assert [one.read() for one in found] == [name.encode() for name in expected]


def test_paths_keep_their_order_and_may_repeat(tree: Path) -> None:
    assert names(tree, tree / "z.png", tree / "b", tree / "z.png") == [
        "z.png", "b/10.dcm", "b/2.dcm", "z.png",
    ]  # fmt: skip


def test_globs(tree: Path) -> None:
    assert names(tree, f"{tree}/b/*.dcm") == ["b/10.dcm", "b/2.dcm"]
    assert names(tree, f"{tree}/**/*.dcm") == ["b/10.dcm", "b/2.dcm"]
    assert names(tree, f"{tree}/a/**") == ["a/deep/er/y", "a/x.txt"]
    (missing,) = discover([f"{tree}/*.nothing"])
    with pytest.raises(NotFoundError, match="pattern"):
        missing.read()
    odd = tree / "odd[1].dcm"
    odd.write_bytes(b"odd")
    assert names(tree, odd) == ["odd[1].dcm"]


def test_litter_is_left_out_of_folders_and_archives_but_not_when_named(tmp_path: Path) -> None:
    litter = [".DS_Store", "Thumbs.db", "desktop.ini", "DICOMDIR", "._a.dcm"]
    folder = tmp_path / "folder"
    (folder / "__MACOSX").mkdir(parents=True)
    for name in [*litter, "a.dcm", "__MACOSX/b.dcm"]:
        (folder / name).write_bytes(b"x")
    assert names(folder, folder) == ["a.dcm"]
    members = {f"disc/{name}": b"x" for name in [*litter, "a.dcm", "__MACOSX/b.dcm"]}
    archive = zipped(tmp_path / "disc.zip", members)
    assert [found.name for found in discover([archive])] == [f"{archive}#disc/a.dcm"]
    for name in litter:
        assert names(folder, folder / name) == [name]


def test_missing_and_unreadable_paths_become_inputs_that_raise(tmp_path: Path) -> None:
    (missing,) = discover([tmp_path / "missing.dcm"])
    assert missing.name == str(tmp_path / "missing.dcm")
    with pytest.raises(NotFoundError):
        missing.read()
    os.mkfifo(tmp_path / "pipe")
    (pipe,) = discover([tmp_path])
    with pytest.raises(NotFoundError, match="regular"):
        pipe.read()
    (tmp_path / "pipe.lnk").symlink_to("nowhere")
    with pytest.raises(NotFoundError):
        list(discover([tmp_path]))[1].read()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_closed_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    (closed,) = discover([tmp_path])
    with pytest.raises(NotFoundError):
        closed.read()


def test_links_that_lead_back_end(tree: Path) -> None:
    (tree / "b" / "back").symlink_to(tree)
    found = list(discover([tree / "b"]))
    loops = [one for one in found if one.name.count("back") and one._error]
    assert len(loops) == 1
    assert len(found) < 20


def test_folders_linked_crosswise_are_walked_once_and_each_other_way_is_reported(
    tmp_path: Path,
) -> None:
    """Sixteen folders with two links each to the next are 32,768 ways to the one file."""
    for number in range(16):
        (tmp_path / f"level{number}").mkdir()
        if number:
            for name in ("a", "b"):
                (tmp_path / f"level{number - 1}" / name).symlink_to(tmp_path / f"level{number}")
    (tmp_path / "level15" / "x.dcm").write_bytes(b"x")
    for start in (tmp_path / "level0", f"{tmp_path}/level[0]"):
        found = list(itertools.islice(discover([start]), 100))
        files = [one for one in found if one.name.endswith("x.dcm")]
        assert [one.read() for one in files] == [b"x"]
        others = [one for one in found if one not in files]
        assert len(others) == 15
        for one in others:
            with pytest.raises(NotFoundError, match="walked already"):
                one.read()
    named_twice = list(discover([tmp_path / "level15", tmp_path / "level15"]))
    assert [one.read() for one in named_twice] == [b"x", b"x"]


@pytest.mark.parametrize("mode", ["w:", "w:gz", "w:bz2", "w:xz", "zip"])
def test_archives_give_their_members(tmp_path: Path, mode: str) -> None:
    members = {f"study/{index}.dcm": bytes([index]) * 5000 for index in (3, 1, 2)}
    suffix = {"w:": ".tar", "w:gz": ".tgz", "w:bz2": ".tar.bz2", "w:xz": ".tar.xz", "zip": ".zip"}
    path = tmp_path / f"archive{suffix[mode]}"
    zipped(path, members) if mode == "zip" else tarred(path, members, mode)
    nameless = tmp_path / "export"
    nameless.write_bytes(path.read_bytes())
    for given_path in (path, nameless):
        found = list(discover([given_path]))
        assert [one.name for one in found] == [f"{given_path}#{name}" for name in members]
        assert [one.read() for one in reversed(found)] == list(members.values())[::-1]
        assert [pickle.loads(pickle.dumps(one)).read() for one in found] == list(members.values())
    nameless.unlink()
    assert [one.read() for one in discover([tmp_path])] == list(members.values())


def test_members_can_be_read_while_the_archive_is_listed(tmp_path: Path) -> None:
    members = {f"{index}": os.urandom(3000) for index in range(20)}
    for path in (
        tarred(tmp_path / "a.tar.gz", members, "w:gz"),
        zipped(tmp_path / "a.zip", members),
    ):
        assert [one.read() for one in discover([path])] == list(members.values())


def test_empty_archives_hold_nothing_and_nested_ones_stay_closed(tmp_path: Path) -> None:
    assert list(discover([zipped(tmp_path / "empty.zip", {})])) == []
    inner = zipped(tmp_path / "inner.zip", {"a": b"x"}).read_bytes()
    outer = zipped(tmp_path / "outer.zip", {"inner.zip": inner})
    (found,) = discover([outer])
    assert found.read() == inner


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tgz"])
def test_broken_archives_are_reported_once(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(b"PK\x03\x04 this is no archive" if suffix == ".zip" else b"no archive" * 99)
    (found,) = discover([tmp_path])
    assert found.name == str(path)
    with pytest.raises(TruncatedError, match="archive"):
        found.read()


def test_an_archive_cut_short_gives_what_is_whole_and_then_says_so(tmp_path: Path) -> None:
    members = {f"{index}.dcm": os.urandom(20000) for index in range(4)}
    whole = tarred(tmp_path / "a.tar", members, "w:").read_bytes()
    path = tmp_path / "cut.tar"
    path.write_bytes(whole[:50000])
    found = list(discover([path]))
    assert [one.read() for one in found[:2]] == list(members.values())[:2]
    for one in found[2:]:
        with pytest.raises(TruncatedError):
            one.read()
    assert len(found) > 2


def test_damaged_members_are_truncated(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a": b"a" * 1000, "b": os.urandom(1000)}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(b"a" * 100) + 50] ^= 1
    path.write_bytes(bytes(data))
    first, second = discover([path])
    with pytest.raises(TruncatedError):
        first.read()
    assert len(second.read()) == 1000


def test_a_member_without_a_name_is_an_input_like_the_others(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a/": b"", "_nul": b"1", "b.dcm": b"2"})
    path.write_bytes(path.read_bytes().replace(b"_nul", b"\0nul"))
    nameless, named = discover([path])
    assert (nameless.name, named.name) == (f"{path}#", f"{path}#b.dcm")
    assert (nameless.read(), named.read()) == (b"1", b"2")


def test_encrypted_members_say_so(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a": b"secret"})
    data = bytearray(path.read_bytes())
    data[6] |= 1  # general purpose flag of the local header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and of the directory
    path.write_bytes(bytes(data))
    (found,) = discover([path])
    with pytest.raises(NotFoundError, match="encrypted") as refusal:
        found.read()
    assert "password" in refusal.value.hint


def test_unknown_compression_is_unsupported(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a": b"data" * 100})
    data = bytearray(path.read_bytes())
    data[8] = 97
    data[data.index(b"PK\x01\x02") + 10] = 97
    path.write_bytes(bytes(data))
    (found,) = discover([path])
    with pytest.raises(UnsupportedSyntaxError):
        found.read()


def test_oversized_members_and_bombs_stop_at_the_limit(tmp_path: Path) -> None:
    limits = Limits(max_bytes=100_000)
    bomb = zipped(tmp_path / "bomb.zip", {"ok": b"x", "bomb": bytes(50_000_000)})
    ok, big = discover([bomb], limits=limits)
    assert ok.read() == b"x"
    with pytest.raises(TooLargeError):
        big.read()
    # A directory that lies about the size must not help.
    data = bytearray(bomb.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    bomb.write_bytes(bytes(data))
    _, liar = discover([bomb], limits=limits)
    with pytest.raises(PleuraError):
        liar.read()
    gz = tarred(tmp_path / "bomb.tar.gz", {"bomb": bytes(5_000_000)}, "w:gz")
    (big,) = discover([gz], limits=limits)
    with pytest.raises(TooLargeError):
        big.read()
    plain = tmp_path / "plain"
    plain.write_bytes(bytes(100_001))
    with pytest.raises(TooLargeError):
        next(discover([plain], limits=limits)).read()


def test_too_many_members_are_reported(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {str(index): b"" for index in range(12)})
    found = list(discover([path], limits=Limits(max_members=10)))
    assert len(found) == 11
    with pytest.raises(TooLargeError):
        found[-1].read()


def test_links_in_tar_archives_are_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("passwd")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    (found,) = discover([path])
    with pytest.raises(NotFoundError):
        found.read()


def test_inputs_are_values(tmp_path: Path) -> None:
    one = Input("a", tmp_path / "a")
    with pytest.raises(AttributeError):
        one.name = "b"  # type: ignore[misc]
    assert one == Input("a", tmp_path / "a")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_archives_never_crash(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    members = {"a/b.dcm": b"12345" * 40, "c.png": bytes(range(256))}
    mode = data.draw(st.sampled_from(["zip", "w:", "w:gz"]))
    path = folder / ("x.zip" if mode == "zip" else "x.tar")
    raw = bytearray(
        (zipped(path, members) if mode == "zip" else tarred(path, members, mode)).read_bytes()
    )
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, min(len(raw), 2500) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(raw[: data.draw(st.integers(1, len(raw)))]))
    for found in discover([path]):
        with contextlib.suppress(PleuraError):
            assert len(found.read()) <= len(raw) * 1100
