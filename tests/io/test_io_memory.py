"""Archives in memory: what is uploaded is read without a file on any disk."""

import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import pytest

from pleura.errors import TooLargeError, TruncatedError
from pleura.io import Limits, is_archive, members


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_an_archive_in_memory_gives_what_one_on_disk_gives(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"films.{suffix}"
    files = {"a/one.dcm": b"first", "two.png": b"second", "__MACOSX/._two.png": b"litter"}
    if suffix == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in files.items():
                packed.writestr(name, content)
    else:
        with tarfile.open(path, f"w:{suffix[4:]}") as packed:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                packed.addfile(entry, io.BytesIO(content))
    content = path.read_bytes()
    path.unlink()
    called = f"sent.{suffix}"
    assert is_archive(content)
    found = [(entry.name, entry.read()) for entry in members(called, content)]
    assert found == [(f"{called}#a/one.dcm", b"first"), (f"{called}#two.png", b"second")]
    copies = [pickle.loads(pickle.dumps(entry)) for entry in members(called, content)]
    assert [entry.read() for entry in copies] == [b"first", b"second"]


def test_bytes_that_are_no_archive_are_refused_like_a_file() -> None:
    assert not is_archive(b"not an archive")
    (only,) = members("sent.zip", b"PK\x03\x04 and nothing more")
    with pytest.raises(TruncatedError):
        only.read()


def test_an_archive_in_memory_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "films.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("long.dcm", bytes(5000))
        packed.writestr("two.dcm", b"2")
    content = path.read_bytes()
    first, _ = members("sent.zip", content, limits=Limits(max_bytes=1000))
    with pytest.raises(TooLargeError):
        first.read()
    *_, last = members("sent.zip", content, limits=Limits(max_members=1))
    with pytest.raises(TooLargeError):
        last.read()
