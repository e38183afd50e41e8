"""Where a run writes: a folder or the URL of one, with files that are whole or not there."""

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

from pleura.errors import NotFoundError, OutputError, StoreError
from pleura.scale.objects import ObjectStore, is_url, path_of

PARTIAL, LOCK = ".partial", ".lock"


class Store(Protocol):
    """Files below one place, by names with slashes."""

    def read(self, name: str) -> bytes | None:
        """All bytes of a file, or None where there is none."""

    def tail(self, name: str, size: int) -> bytes | None:
        """The last `size` bytes of a file, or None where there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Make or replace a file; whoever reads sees all of it or nothing."""

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""

    def names(self, folder: str) -> Iterator[str]:
        """Names of the files in a folder, without the folder's."""

    def alone(self) -> AbstractContextManager[None]:
        """Make sure that no other run writes here, as long as this one does."""


def open_store(place: str) -> Store:
    """The store at a path or a URL."""
    return ObjectOutput(place) if is_url(place) else FolderOutput(Path(path_of(place)))


class FolderOutput:
    """A folder; files are written beside their name, synchronised and renamed.

    Every method raises `OutputError` where the file system refuses.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        """See `Store`."""
        with _stated():
            try:
                return (self._folder / name).read_bytes()
            except FileNotFoundError:
                return None

    def tail(self, name: str, size: int) -> bytes | None:
        """See `Store`."""
        with _stated():
            try:
                with (self._folder / name).open("rb") as stream:
                    length = stream.seek(0, os.SEEK_END)
                    stream.seek(max(0, length - size))
                    return stream.read()
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        """See `Store`."""
        target = self._folder / name
        partial = target.with_name(f"{target.name}.{os.getpid()}-{threading.get_ident()}{PARTIAL}")
        with _stated():
            target.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(target)

    def exists(self, name: str) -> bool:
        """See `Store`."""
        with _stated():
            return (self._folder / name).is_file()

    def names(self, folder: str) -> Iterator[str]:
        """See `Store`."""
        with _stated():
            try:
                with os.scandir(self._folder / folder) as scanned:
                    for entry in scanned:
                        if not entry.name.endswith(PARTIAL):
                            yield entry.name
            except FileNotFoundError:
                return

    @contextmanager
    def alone(self) -> Iterator[None]:
        """See `Store`; what a killed run left half written is removed."""
        import fcntl  # not on every system, and needed by runs alone

        with ExitStack() as stack:
            with _stated():
                self._folder.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context((self._folder / LOCK).open("ab"))
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # gone with the process
                except BlockingIOError:
                    raise OutputError(
                        "Another run writes to this output.", "Wait for its end, or stop it."
                    ) from None
                for left in self._folder.rglob(f"*{PARTIAL}"):
                    left.unlink(missing_ok=True)
            yield


class ObjectOutput:
    """Objects below a URL; each is written by one request.

    Every method raises `OutputError` where the store refuses or does not answer.
    """

    def __init__(self, url: str) -> None:
        self._store = ObjectStore(url)

    def read(self, name: str) -> bytes | None:
        """See `Store`."""
        return self._part(name, None)

    def tail(self, name: str, size: int) -> bytes | None:
        """See `Store`."""
        return self._part(name, -size)

    def write(self, name: str, content: bytes) -> None:
        """See `Store`."""
        with _stated():
            self._store.write(self._path(name), content)

    def exists(self, name: str) -> bool:
        """See `Store`."""
        with _stated():
            return self._store.exists(self._path(name))

    def names(self, folder: str) -> Iterator[str]:
        """See `Store`."""
        with _stated():
            for path in self._store.below(self._path(folder)):
                yield path.rpartition("/")[2]

    def alone(self) -> AbstractContextManager[None]:
        """An object store has no locks: that one run writes is left to those who start it."""
        return nullcontext()

    def _part(self, name: str, start: int | None) -> bytes | None:
        with _stated():
            try:
                return self._store.read(self._path(name), start=start)
            except NotFoundError:
                return None

    def _path(self, name: str) -> str:
        return f"{self._store.root}/{name}"


@contextmanager
def _stated() -> Iterator[None]:
    """Errors of a file system or a store as `OutputError`."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"The output cannot be written or read: {error.strerror or type(error).__name__}."
        ) from error
    except (NotFoundError, StoreError) as error:
        raise OutputError(f"The output cannot be written or read. {error.message}") from error
