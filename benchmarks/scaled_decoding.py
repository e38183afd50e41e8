"""Is decoding a JPEG at half its size worth it? Time saved, and what it does to the finding.

    python benchmarks/scaled_decoding.py PATH... [--model M] [--images 100]

libjpeg can leave out half of the frequencies of each block and give a picture of half the size
(OpenCV's IMREAD_REDUCED_GRAYSCALE_2), from which the letterbox goes on to the network's grid. Files
that are no baseline JPEG of twice the network's size at least are left out and counted.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.uid import JPEGBaseline8Bit

from pleura import Predictor
from pleura.inference import prepare
from pleura.io import discover, read_radiograph
from pleura.quality import GateSettings, Strictness
from rle import machine


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--model")
    parser.add_argument("--images", type=int, default=100)
    options = parser.parse_args()
    predictor = Predictor.load(options.model, gate=GateSettings(Strictness.OFF))
    preprocessing = predictor.manifest.preprocessing
    times: dict[str, list[float]] = {"whole": [], "half": []}
    logits, grids, left_out = [], [], 0
    for found in discover(options.paths):
        if len(logits) == options.images:
            break
        dataset = pydicom.dcmread(found.name)
        size = min(dataset.Rows, dataset.Columns)
        if dataset.file_meta.TransferSyntaxUID != JPEGBaseline8Bit or size < 2 * preprocessing.size:
            left_out += 1
            continue
        stream = np.frombuffer(next(generate_frames(dataset.PixelData)), np.uint8)
        radiograph = read_radiograph(Path(found.name))
        times["whole"].append(timed(lambda s=stream: decoded(s, cv2.IMREAD_GRAYSCALE)))
        times["half"].append(timed(lambda s=stream: decoded(s, cv2.IMREAD_REDUCED_GRAYSCALE_2)))
        half = decoded(stream, cv2.IMREAD_REDUCED_GRAYSCALE_2)
        scaled = replace(radiograph, pixels=np.ascontiguousarray(half))
        pair = [prepare(picture, preprocessing)[0] for picture in (radiograph, scaled)]
        grids.append(float(np.abs(pair[0] - pair[1]).mean()) * preprocessing.std)
        logits.append([predictor.predict_raw(picture).logit for picture in (radiograph, scaled)])
    gaps = np.abs(np.diff(np.array(logits), axis=1))
    print(f"{machine()}; n = {len(logits)}, {left_out} files left out")
    for name, values in times.items():
        print(f"{name}: {np.median(values):.2f} ms [{min(values):.2f}, {max(values):.2f}]")
    print(f"network's grid: mean difference {np.mean(grids):.5f} of 1")
    print(f"logit: median difference {np.median(gaps):.4f}, largest {gaps.max():.4f}")


def decoded(stream: NDArray[np.uint8], flag: int) -> NDArray[np.float32]:
    """Pixels in [0, 1]."""
    return np.asarray(cv2.imdecode(stream, flag), dtype=np.float32) / 255


def timed(work: Callable[[], object]) -> float:
    """Milliseconds, the best of three."""
    found = []
    for _ in range(3):
        begin = time.perf_counter()
        work()
        found.append(1e3 * (time.perf_counter() - begin))
    return min(found)


if __name__ == "__main__":
    main()
