"""What is said and what is used while something runs: logs, the error stream, time and memory."""

import contextlib
import io
import logging
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


class Watch:
    """Everything that is said while a mutant is read: logs, warnings, and the error stream."""

    def __enter__(self) -> "Watch":
        self.said = io.StringIO()
        self._handler = logging.StreamHandler(self.said)
        root = logging.getLogger()
        root.setLevel(logging.DEBUG)
        root.addHandler(self._handler)
        self._stream = tempfile.TemporaryFile()
        self._errors = os.dup(2)
        os.dup2(self._stream.fileno(), 2)
        return self

    def __exit__(self, *_: object) -> None:
        os.dup2(self._errors, 2)
        os.close(self._errors)
        self._stream.close()
        logging.getLogger().removeHandler(self._handler)

    def taken(self) -> str:
        """What was said since the last call; C libraries write to the error stream itself."""
        printed = b""
        if self._stream.seek(0, os.SEEK_END):
            self._stream.seek(0)
            printed = self._stream.read()
            self._stream.seek(0)
            self._stream.truncate()
        logged = self.said.getvalue()
        self.said.seek(0)
        self.said.truncate()
        return logged + printed.decode("latin-1")


class Measure:
    """Processor time and peak memory, once the measured block is left."""

    seconds = 0.0
    megabytes = 0.0


@contextlib.contextmanager
def measured() -> Iterator[Measure]:
    """Processor time and peak resident memory, which Linux counts anew when it is asked to."""
    measure = Measure()
    fresh = _forget_peak()
    begun = time.process_time()
    yield measure
    measure.seconds = time.process_time() - begun
    measure.megabytes = _peak_mb(fresh)


def _forget_peak() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _peak_mb(fresh: bool) -> float:
    if not fresh:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
