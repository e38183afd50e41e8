"""Waiting with a deadline, free ports, and processes that do not outlive the tests."""

import ctypes
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
SHARED_MEMORY = Path("/dev/shm")


def quick_folder(prefix: str) -> Path:
    """A new folder, in memory where there is room: disks of test machines stall now and then."""
    roomy = SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > 1 << 30
    return Path(tempfile.mkdtemp(prefix=prefix, dir=SHARED_MEMORY if roomy else None))


def until(condition: Callable[[], T], seconds: float = 90.0, what: str = "") -> T:
    """Ask again and again until the answer is true; returns it.

    Raises:
        AssertionError: it was not in time.
    """
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_with_the_tests(signal_number: int = signal.SIGKILL) -> Callable[[], None]:
    """For `preexec_fn`: the process gets this signal when the tests die (Linux)."""

    def prepare() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(1, signal_number)  # PR_SET_PDEATHSIG

    return prepare
