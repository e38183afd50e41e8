"""Images and results on disk: whole or not at all, and on the disk before they are spoken of."""

import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import service_taker
from service_tools import end_with_the_tests, until

from pleura.service.errors import BusyError, CorruptInputError, MissingInputError
from pleura.service.files import FileStore
from pleura.service.settings.storage import StorageSettings
from pleura.service.settings.work import WorkerSettings
from pleura.service.store import JobStore, open_engine

IMAGE = b"image " * 10_000
SHA256 = hashlib.sha256(IMAGE).hexdigest()


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "data")


def take(files: FileStore, content: bytes = IMAGE) -> str:
    with files.spooled() as spooled:
        for start in range(0, len(content), 1000):
            spooled.write(content[start : start + 1000])
        return files.take(spooled)[0]


def break_off(files: FileStore) -> None:
    with files.spooled() as spooled:
        spooled.write(IMAGE)
        raise ValueError("broken off")


def in_spool(files: FileStore) -> list[Path]:
    return list(files.spool.iterdir())


class TestImages:
    def test_lie_under_their_hash(self, files: FileStore) -> None:
        with files.spooled() as spooled:
            spooled.write(IMAGE[:7])
            spooled.write(IMAGE[7:])
            assert files.take(spooled) == (SHA256, len(IMAGE))
        assert files.checked_input(SHA256).read_bytes() == IMAGE
        assert in_spool(files) == []

    def test_that_are_not_taken_leave_nothing(self, files: FileStore) -> None:
        with files.spooled() as spooled:
            spooled.write(IMAGE)
        with pytest.raises(ValueError, match="broken off"):
            break_off(files)
        assert in_spool(files) == []
        assert list(files.stored_inputs("??")) == []

    def test_that_are_missing_or_damaged_are_noticed(self, files: FileStore) -> None:
        with pytest.raises(MissingInputError):
            files.checked_input(SHA256)
        path = files.input_path(take(files))
        damaged = bytearray(IMAGE)
        damaged[1234] ^= 1
        for content in (bytes(damaged), IMAGE[:-1], b""):
            path.write_bytes(content)
            with pytest.raises(CorruptInputError):
                files.checked_input(SHA256)
        take(files)  # sent again, it heals
        assert files.checked_input(SHA256).read_bytes() == IMAGE

    def test_that_do_not_fit_on_the_disk_leave_nothing(self, files: FileStore) -> None:
        with files.spooled() as spooled:
            spooled._stream.close()
            spooled._stream = Path("/dev/full").open("wb")  # noqa: SIM115 - the file closes it
            spooled.write(b"less than a buffer")
            with pytest.raises(OSError, match="No space left"):
                files.take(spooled)
        assert in_spool(files) == []

    def test_set_aside_and_put_back(self, files: FileStore) -> None:
        take(files)
        aside = files.set_aside(SHA256)
        assert aside is not None
        assert files.all_aside() == [(aside, SHA256)]
        assert list(files.left_over()) == []
        with pytest.raises(MissingInputError):
            files.checked_input(SHA256)
        files.put_back(aside)
        files.checked_input(SHA256)
        assert files.all_aside() == []
        files.put_back(aside)  # somebody else was faster
        assert files.set_aside("0" * 64) is None

    def test_put_back_does_not_replace_what_came_since(self, files: FileStore) -> None:
        take(files)
        files.input_path(SHA256).write_bytes(b"damaged")
        aside = files.set_aside(SHA256)
        assert aside is not None
        take(files)
        files.put_back(aside)
        files.checked_input(SHA256)
        assert in_spool(files) == []


class TestResults:
    def test_are_written_whole(self, files: FileStore) -> None:
        name = "ab" * 16 + ".1"
        assert files.write_results(name, {"a.json": b"{}", "b.png": b"png"}) == 5
        folder = files.results_path(name)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
            "a.json": b"{}",
            "b.png": b"png",
        }
        assert list(files.stored_results("ab")) == [folder]
        files.remove_results(name)
        files.remove_results(name)
        assert list(files.stored_results("ab")) == []

    def test_are_never_written_over(self, files: FileStore) -> None:
        name = "ab" * 16 + ".1"
        files.write_results(name, {"a.json": b"first"})
        with pytest.raises(FileExistsError):
            files.write_results(name, {"a.json": b"second"})
        assert (files.results_path(name) / "a.json").read_bytes() == b"first"

    def test_that_do_not_fit_leave_nothing(
        self, files: FileStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        name = "ab" * 16 + ".1"
        monkeypatch.setattr(os, "fsync", full)
        files._durable.add(files.results_path(name).parent)
        files.results_path(name).parent.mkdir()
        with pytest.raises(OSError, match="No space left"):
            files.write_results(name, {"a.json": b"first"})
        assert not files.results_path(name).exists()


class Recorded:
    """What is made durable and renamed, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[tuple[str, str]] = []
        self._wrap(monkeypatch, os, "fsync", self._synced)
        self._wrap(monkeypatch, Path, "replace", lambda path, to: ("rename", to.name))
        self._wrap(monkeypatch, Path, "mkdir", lambda path, **_: ("mkdir", path.name))

    @staticmethod
    def _synced(descriptor: int) -> tuple[str, str]:
        return "sync", Path(f"/proc/self/fd/{descriptor}").readlink().name

    def _wrap(
        self,
        monkeypatch: pytest.MonkeyPatch,
        place: Any,
        name: str,
        note: Callable[..., tuple[str, str]],
    ) -> None:
        original = getattr(place, name)

        def wrapped(*args: Any, **named: Any) -> Any:
            self.done.append(note(*args, **named))
            return original(*args, **named)

        monkeypatch.setattr(place, name, wrapped)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc to name what is synced")
class TestOrder:
    def test_an_image_is_on_the_disk_before_its_name_and_its_name_before_the_answer(
        self, files: FileStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with files.spooled() as spooled:
            spooled.write(IMAGE)
            recorded = Recorded(monkeypatch)
            files.take(spooled)
        branch = SHA256[:2]
        assert recorded.done == [
            ("sync", spooled.path.name),
            ("mkdir", branch),
            ("sync", "inputs"),
            ("rename", SHA256),
            ("sync", branch),
        ]

    def test_results_are_on_the_disk_with_their_names(
        self, files: FileStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = "ab" * 16 + ".1"
        recorded = Recorded(monkeypatch)
        files.write_results(name, {"a.json": b"{}"})
        assert recorded.done == [
            ("mkdir", "ab"),
            ("sync", "results"),
            ("mkdir", name),
            ("sync", "a.json"),
            ("sync", name),
            ("sync", "ab"),
        ]


def test_space_is_looked_at_before_anything_is_taken(tmp_path: Path) -> None:
    free = FileStore(tmp_path).free_bytes()
    FileStore(tmp_path, free // 2).check_space(1000)
    with pytest.raises(BusyError):
        FileStore(tmp_path, free // 2).check_space(free * 3 // 4)
    with pytest.raises(BusyError):
        FileStore(tmp_path, free * 5 // 4).check_space()
    assert FileStore(tmp_path, free * 5 // 4).room_for_results()  # they have half of it
    assert not FileStore(tmp_path, free * 3).room_for_results()


def test_processes_killed_while_they_take_leave_only_whole_images(tmp_path: Path) -> None:
    """SIGKILL at any moment: what was acknowledged is there, and no image is half of one."""
    takers = [
        subprocess.Popen(
            [sys.executable, service_taker.__file__, str(tmp_path)],
            stdout=(tmp_path / f"said-{number}").open("wb"),
            preexec_fn=end_with_the_tests(),
        )
        for number in range(3)
    ]
    for number, taker in enumerate(takers):
        said = tmp_path / f"said-{number}"
        until(lambda said=said: said.read_text().count("\n") > 10, what="the taker works")
        time.sleep(random.uniform(0, 0.05))
        taker.kill()
        taker.wait()
    acknowledged = [
        line for number in range(3) for line in (tmp_path / f"said-{number}").read_text().split()
    ]
    files = FileStore(tmp_path)
    jobs = JobStore(open_engine(StorageSettings(folder=tmp_path)), WorkerSettings())
    assert len(acknowledged) > 30
    for sha256 in acknowledged[:-1] if len(acknowledged[-1]) < 64 else acknowledged:
        files.checked_input(sha256)
        assert jobs.keeps_input(sha256)
    for path in files.stored_inputs("??"):
        files.checked_input(path.name)
