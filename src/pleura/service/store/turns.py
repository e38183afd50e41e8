"""Writers of one SQLite file take turns.

SQLite lets waiting writers sleep, longer and longer, and gives the file to whoever asks at the
right moment: a process that writes without pause keeps the others waiting for seconds. Here a
writer holds a first lock while it waits for the second, which is the right to write. One that has
just written must wait for the first lock, and so behind those that wait already.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    from fcntl import LOCK_EX, LOCK_NB, flock

_LOOK_SECONDS = 0.001


class Turns:
    """The turns of the writers of one file, threads and processes alike.

    The locks end with the process that holds them, however it ends. They make writing fair; that
    it is safe is SQLite's own care.

    Args:
        file: of the database; the locks are made beside it.
        seconds: after which a writer no longer waits for its turn.
    """

    def __init__(self, file: Path, seconds: float) -> None:
        self._first = file.with_name(f"{file.name}-next")
        self._second = file.with_name(f"{file.name}-turn")
        self._seconds = seconds

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn, and have it until the end.

        Raises:
            TimeoutError: it did not come.
        """
        end = time.monotonic() + self._seconds
        second = os.open(self._second, os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            first = os.open(self._first, os.O_RDONLY | os.O_CREAT, 0o644)
            try:
                # The next one looks most often, so that the file is idle for no time.
                _wait(first, 2 * _LOOK_SECONDS, end)
                _wait(second, _LOOK_SECONDS, end)
            finally:
                os.close(first)
            yield
        finally:
            os.close(second)


def _wait(lock: int, look_seconds: float, end: float) -> None:
    """Take a lock; it is freed when the file is closed."""
    while True:
        try:
            if sys.platform != "win32":  # there, SQLite's own waiting must do
                flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise TimeoutError("the turn to write did not come") from None
            time.sleep(look_seconds)
        else:
            return
