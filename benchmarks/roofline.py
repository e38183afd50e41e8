"""What this machine can do at best: products of matrices, and memory, in float32."""

import time
from dataclasses import dataclass

import numpy as np
import torch

SIDE = 2048
COPIED = 256 << 20  # bytes, more than any cache holds
REPEATS = 5


@dataclass(frozen=True)
class Roofline:
    """Measured rates.

    Attributes:
        gflops: of a float32 product of 2048 x 2048 matrices, 1e9 operations a second.
        gigabytes: read and written by a copy, 1e9 bytes a second.
    """

    gflops: float
    gigabytes: float

    def milliseconds(self, gflop: float, gigabyte: float) -> float:
        """The least time for so much arithmetic and traffic, were both perfect and side by side."""
        return 1e3 * max(gflop / self.gflops, gigabyte / self.gigabytes)


def measure(threads: int) -> Roofline:
    """The best of a few tries, with so many threads."""
    torch.set_num_threads(threads)
    left, right = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    product = torch.empty(SIDE, SIDE)
    fastest = min(_seconds(lambda: torch.mm(left, right, out=product)) for _ in range(REPEATS))
    source, target = torch.zeros(COPIED // 4), torch.empty(COPIED // 4)
    copied = min(_seconds(lambda: target.copy_(source)) for _ in range(REPEATS))
    return Roofline(2 * SIDE**3 / fastest / 1e9, 2 * COPIED / copied / 1e9)


def _seconds(work: object) -> float:
    begin = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - begin


def parameter_gigabytes(parameters: int) -> float:
    """Weights, read once."""
    return parameters * np.dtype(np.float32).itemsize / 1e9
