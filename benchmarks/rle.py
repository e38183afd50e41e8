"""Run-length codecs against the loops that circulate with the SIIM-ACR challenge.

    python benchmarks/rle.py [REPEATS]

The baselines follow the algorithm of the challenge's sample code: encoding visits each pixel,
decoding fills a float array run by run and leaves the transposition to its caller. Both sides get
the same masks and must agree.
"""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.masks import decode, encode

SIDE = 1024
SHAPE = (SIDE, SIDE)


def loop_encode(image: NDArray[np.uint8], width: int, height: int) -> str:
    """Pixel by pixel; `image` is transposed, its values are 0 and 255, its last pixel is 0."""
    numbers: list[str] = []
    last_value = 0
    position = 0
    run_start = -1
    run_length = 0
    for x in range(width):
        for y in range(height):
            value = image[x][y]
            if value != last_value:
                if value == 255:
                    run_start = position
                    run_length = 1
                else:
                    numbers.append(str(run_start))
                    numbers.append(str(run_length))
                    run_start = -1
                    run_length = 0
                    position = 0
            elif run_start > -1:
                run_length += 1
            last_value = value
            position += 1
    return " ".join(numbers) if numbers else "-1"


def loop_decode(rle: str, width: int, height: int) -> NDArray[np.float64]:
    """Run by run into float64, as the challenge's code does; transposed, values 0 and 255."""
    mask = np.zeros(width * height)
    if rle != "-1":
        numbers = np.asarray([int(number) for number in rle.split()])
        position = 0
        for start, length in zip(numbers[0::2], numbers[1::2], strict=True):
            position += start
            mask[position : position + length] = 255
            position += length
    return mask.reshape(width, height)


def crescent(share: float) -> NDArray[np.bool_]:
    """A crescent along the edge of a lung that covers about `share` of the picture."""
    mask = np.zeros(SHAPE, dtype=np.uint8)
    if share > 0:
        cv2.ellipse(mask, (330, 520), (220, 400), 8, 0, 360, 1, -1)
        inner = mask.copy()
        cut = 0
        while (mask & ~inner).mean() < share:
            cut += 2
            inner = np.roll(mask, (cut // 4, cut), axis=(0, 1))
        mask &= ~inner
    return mask.view(np.bool_)


def speckle() -> NDArray[np.bool_]:
    """Many short runs: a worst case that no reader would draw."""
    noise = np.random.default_rng(0).random(SHAPE) < 0.2
    noise[-1, -1] = False
    return noise


def seconds(function: Callable[..., object], repeats: int, *args: object) -> float:
    """Median time of one call."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function(*args)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def machine() -> str:
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [
            line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        name = models[0].partition(":")[2].strip() if models else name
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"{machine()}, numpy {np.__version__}, OpenCV {cv2.__version__}")
    print(f"{SIDE} x {SIDE}, medians of n = {repeats} (loops) and {20 * repeats} (pleura.masks)")
    print(f"{'mask':<16}{'runs':>8}{'':>8}{'loop ms':>12}{'pleura ms':>12}{'ratio':>8}")
    masks = {
        "empty": crescent(0),
        "crescent 0.8 %": crescent(0.008),
        "crescent 15 %": crescent(0.15),
        "speckle 20 %": speckle(),
    }
    for name, mask in masks.items():
        rle = encode(mask)
        transposed = np.where(mask.T, np.uint8(255), np.uint8(0))
        if loop_encode(transposed, SIDE, SIDE) != rle:
            raise SystemExit(f"{name}: the two encoders disagree")
        if not np.array_equal(loop_decode(rle, SIDE, SIDE).T > 0, decode(rle, SHAPE)):
            raise SystemExit(f"{name}: the two decoders disagree")
        runs = len(rle.split()) // 2
        rows = {
            "encode": (
                seconds(loop_encode, repeats, transposed, SIDE, SIDE),
                seconds(encode, 20 * repeats, mask),
            ),
            "decode": (
                seconds(loop_decode, 5 * repeats, rle, SIDE, SIDE),
                seconds(decode, 20 * repeats, rle, SHAPE),
            ),
        }
        rows["both"] = (
            rows["encode"][0] + rows["decode"][0],
            rows["encode"][1] + rows["decode"][1],
        )
        for what, (loop, ours) in rows.items():
            times = f"{1e3 * loop:>12.2f}{1e3 * ours:>12.3f}{loop / ours:>8.0f}"
            print(f"{name:<16}{runs:>8}{what:>8}{times}")


if __name__ == "__main__":
    main()
