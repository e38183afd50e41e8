"""Resident memory and processor time of processes, looked at every few seconds."""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one process.

    Attributes:
        at: seconds since 1970.
        rss_mib: resident memory.
        cpu_seconds: used since it was started.
    """

    at: float
    rss_mib: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Growth:
    """What a line through the samples of one process says.

    Attributes:
        first_mib: median of the first tenth.
        last_mib: median of the last tenth.
        most_mib: largest.
        mib_per_hour: slope by least squares.
        cpu_seconds: used between the first and the last sample.
    """

    first_mib: float
    last_mib: float
    most_mib: float
    mib_per_hour: float
    cpu_seconds: float


class Sampler(threading.Thread):
    """Samples until it is stopped.

    Args:
        processes: names of processes by their ids, asked at every look.
        seconds: between two looks.
    """

    def __init__(self, processes: Callable[[], dict[int, str]], seconds: float = 2.0) -> None:
        super().__init__(daemon=True)
        self.samples: dict[str, list[Sample]] = defaultdict(list)
        self._processes = processes
        self._seconds = seconds
        self._stopped = threading.Event()

    def run(self) -> None:
        """Sample."""
        while not self._stopped.wait(self._seconds):
            for pid, name in self._processes().items():
                sample = sampled(pid)
                if sample is not None:
                    self.samples[f"{name} {pid}"].append(sample)

    def stop(self) -> None:
        """Sample no more."""
        self._stopped.set()
        self.join()

    def growth(self, begin: float, end: float) -> dict[str, Growth]:
        """By process, between two times; processes with fewer than ten samples are left out."""
        within = {
            name: [sample for sample in samples if begin <= sample.at <= end]
            for name, samples in self.samples.items()
        }
        return {name: fitted(samples) for name, samples in within.items() if len(samples) >= 10}


def sampled(pid: int) -> Sample | None:
    """One look; None where there is no such process."""
    try:
        statm = Path(f"/proc/{pid}/statm").read_text().split()
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    pages = int(statm[1])
    cpu = (int(stat[11]) + int(stat[12])) / _TICKS  # utime, stime
    return Sample(time.time(), pages * os.sysconf("SC_PAGE_SIZE") / 2**20, cpu)


def fitted(samples: list[Sample]) -> Growth:
    """A line through samples."""
    times = np.array([sample.at for sample in samples])
    sizes = np.array([sample.rss_mib for sample in samples])
    tenth = max(1, len(samples) // 10)
    return Growth(
        first_mib=float(np.median(sizes[:tenth])),
        last_mib=float(np.median(sizes[-tenth:])),
        most_mib=float(sizes.max()),
        mib_per_hour=float(np.polyfit(times - times[0], sizes, 1)[0]) * 3600,
        cpu_seconds=samples[-1].cpu_seconds - samples[0].cpu_seconds,
    )
