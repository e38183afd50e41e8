"""Images and results on disk: written whole or not at all, and safe before they are spoken of.

    inputs/AB/SHA256      the image as it was received
    results/AB/JOB.TRY/   what came of one try
    spool/                what is still arriving, and what is about to be removed

Names are hashes and random numbers: nothing that a sender chose becomes a path.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from pleura.service.errors import BusyError, CorruptInputError, MissingInputError

_ASIDE = ".removed"


class FileStore:
    """The files of one data folder. Safe for many threads and processes.

    Args:
        folder: made when it does not exist.
        reserve_bytes: free space below which nothing more is taken.
    """

    def __init__(self, folder: Path, reserve_bytes: int = 0) -> None:
        self.folder = folder
        self._reserve = reserve_bytes
        self._inputs, self._results = folder / "inputs", folder / "results"
        self.spool = folder / "spool"
        for made in (self._inputs, self._results, self.spool):
            made.mkdir(parents=True, exist_ok=True)
        sync_folder(folder)
        self._durable: set[Path] = set()

    def check_space(self, coming: int = 0) -> None:
        """Whether there is room for so many bytes more.

        Raises:
            BusyError: there is not.
        """
        free = self.free_bytes()
        if free - coming < self._reserve or free <= coming:
            raise BusyError("The disk is nearly full.", hint="Free space, or add some.")

    def room_for_results(self) -> bool:
        """Whether jobs may go on: they may use half of the space that is held back from senders."""
        return self.free_bytes() > self._reserve // 2

    def free_bytes(self) -> int:
        """Free space on the disk of the folder."""
        return shutil.disk_usage(self.folder).free

    def spooled(self) -> "SpooledFile":
        """A new file that something arrives in."""
        return SpooledFile(self.spool / secrets.token_hex(16))

    def take(self, spooled: "SpooledFile") -> tuple[str, int]:
        """Make what has arrived an image of the store; returns its SHA-256 and size in bytes.

        It is on the disk when this returns, under its own hash; an older copy, which may be
        damaged, is replaced.

        Raises:
            OSError: it cannot be written.
        """
        sha256, size = spooled.close()
        target = self.input_path(sha256)
        self._make_durable(target.parent)
        spooled.path.replace(target)
        sync_folder(target.parent)
        return sha256, size

    def input_path(self, sha256: str) -> Path:
        """Where the image of this hash lies."""
        return self._inputs / sha256[:2] / sha256

    def checked_input(self, sha256: str) -> Path:
        """Where the image of this hash lies, after a look at whether it still has it.

        Raises:
            MissingInputError: it is not there.
            CorruptInputError: it is not what was received.
        """
        path = self.input_path(sha256)
        try:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except FileNotFoundError as error:
            raise MissingInputError("The stored image is missing.") from error
        if found != sha256:
            raise CorruptInputError("The stored image is not the one that was received.")
        return path

    def write_results(self, name: str, files: Mapping[str, bytes]) -> int:
        """Write the results of one try; they are on the disk when this returns.

        Args:
            name: of a folder that does not exist yet; see `results_path`.
            files: bytes by file name.

        Returns:
            Their size in bytes.

        Raises:
            OSError: they cannot be written; nothing is left of them.
        """
        folder = self.results_path(name)
        self._make_durable(folder.parent)
        folder.mkdir()
        try:
            for file_name, content in files.items():
                with (folder / file_name).open("xb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
            sync_folder(folder)
            sync_folder(folder.parent)
        except OSError:
            self.remove_results(name)
            raise
        return sum(len(content) for content in files.values())

    def results_path(self, name: str) -> Path:
        """Where the results of this name lie."""
        return self._results / name[:2] / name

    def remove_results(self, name: str) -> None:
        """Remove a folder of results, if it is there."""
        shutil.rmtree(self.results_path(name), ignore_errors=True)

    def set_aside(self, sha256: str) -> Path | None:
        """First step of removing an image: no job finds it any more; see `removal`.

        Returns:
            Where it lies now, a name that nobody else uses; None if it was not there.
        """
        aside = self.spool / f"{sha256}.{secrets.token_hex(8)}{_ASIDE}"
        try:
            self.input_path(sha256).replace(aside)
        except FileNotFoundError:
            return None
        return aside

    def put_back(self, aside: Path) -> None:
        """Undo `set_aside`; a copy that was written since then stays."""
        target = self.input_path(aside.name.partition(".")[0])
        if target.exists():
            aside.unlink(missing_ok=True)
            return
        with suppress(FileNotFoundError):
            aside.replace(target)

    def all_aside(self) -> list[tuple[Path, str]]:
        """Images whose removal was begun and not brought to its end, and their hashes."""
        return [(path, path.name.partition(".")[0]) for path in self.spool.glob(f"*{_ASIDE}")]

    def left_over(self) -> Iterator[Path]:
        """Files of the spool that something arrived in, or is arriving in."""
        return (path for path in self.spool.iterdir() if path.suffix != _ASIDE)

    def stored_inputs(self, prefix: str) -> Iterator[Path]:
        """Images on disk whose hash begins with these two digits, in no order."""
        return self._inputs.glob(f"{prefix}/*")

    def stored_results(self, prefix: str) -> Iterator[Path]:
        """Folders of results on disk whose job's id begins with these two digits, in no order."""
        return self._results.glob(f"{prefix}/*")

    def _make_durable(self, branch: Path) -> None:
        """Make a folder, on the disk before anything lies in it.

        That it exists says little: another process may have made it a moment ago.
        """
        if branch not in self._durable:
            branch.mkdir(exist_ok=True)
            sync_folder(branch.parent)
            self._durable.add(branch)


class SpooledFile:
    """A file that is arriving: bytes are hashed as they come, and never held in memory.

    Use as a context manager: what was not taken is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()
        self._stream: IO[bytes] = path.open("xb")

    def write(self, chunk: bytes) -> int:
        """Add bytes."""
        self._hash.update(chunk)
        self.size += len(chunk)
        return self._stream.write(chunk)

    def close(self) -> tuple[str, int]:
        """Everything has arrived and is on the disk; returns SHA-256 and size."""
        if not self._stream.closed:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
        return self._hash.hexdigest(), self.size

    def __enter__(self) -> "SpooledFile":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with suppress(OSError):  # the rest does not fit on a full disk, and is not wanted
                self._stream.close()
        finally:
            self.path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable (POSIX; elsewhere folders cannot be opened)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
