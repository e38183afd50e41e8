"""One process builds what several ask for; the others wait for it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock


@contextmanager
def one_builder(place: Path) -> Iterator[None]:
    """Wait until no other process is in here for this place.

    The lock ends with the process that holds it, however it ends. Whoever comes in must look
    first whether the place has been built by now.

    Args:
        place: file or folder that is to be built; the lock is a hidden file beside it,
            which goes when the work is done.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    path = place.with_name(f".{place.name}.lock")
    lock = FileLock(path)
    try:
        lock.acquire()
    except NotImplementedError:  # a file system without locks: all build, the first to end wins
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # one that waits keeps the file open, and finds the place built
            path.unlink()
        lock.release()
