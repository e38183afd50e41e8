"""Whether batches make the networks faster on a processor: images a second at 1, 2, 4, 8 at a time.

    python benchmarks/micro_batching.py [--model M] [--threads 2] [--rounds 20] [--seconds 1.5]

Classifier and segmenter of the model run on prepared synthetic radiographs, one view each, as a
service with micro-batching would run them. In each round every arm runs for so many seconds, in an
order drawn anew, so that whatever else the machine does meets all of them; a ratio is taken within
a round, and its median and range over the rounds are printed. One more arm is what does without
batching: as many workers as threads, each with one thread and one image at a time.
"""

import argparse
import os
import random
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from pleura.engines import open_network
from pleura.inference import Manifest, find_model
from pleura.inference.preprocess import prepare
from pleura.io import read_radiograph
from pleura.phantom import draw, spec_for, to_dicom
from rle import machine

BATCHES = (1, 2, 4, 8)
Images = NDArray[np.float32]


class Networks:
    """Classifier and segmenter, run on batches."""

    def __init__(self, folder: Path, manifest: Manifest, threads: int) -> None:
        self._classifier, self._segmenter = (
            part and open_network(folder / part.file, part.sha256, threads)
            for part in (manifest.classifier, manifest.segmenter)
        )
        self._given = [node.name for node in self._classifier.get_outputs()]

    def run(self, images: Images) -> tuple[Any, Any]:
        """Logits and mask logits of a batch, (n, 1, size, size)."""
        found = dict(zip(self._given, self._classifier.run(None, {"image": images}), strict=True))
        if self._segmenter is None:
            return found["logit"], found["mask_logits"]
        tensors = {"image": images, **found}
        feeds = {node.name: tensors[node.name] for node in self._segmenter.get_inputs()}
        return found["logit"], self._segmenter.run(None, feeds)[0]


def rate(networks: Networks, images: Images, batch: int, seconds: float) -> float:
    """Images a second."""
    done, place = 0, 0
    begin = time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds or done < 2 * batch:
        networks.run(images[place : place + batch])
        place = (place + batch) % len(images)
        done += batch
    return done / elapsed if elapsed > 0 else 0.0


def rate_of_many(all_networks: list[Networks], images: Images, seconds: float) -> float:
    """Images a second of several workers side by side, one image at a time each."""
    rates: list[float] = []

    def work(networks: Networks) -> None:
        rates.append(rate(networks, images, 1, seconds))

    workers = [threading.Thread(target=work, args=(networks,)) for networks in all_networks]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(rates)


def check(networks: Networks, images: Images) -> float:
    """Largest difference between logits one by one and in a batch: they are the same work."""
    together, _ = networks.run(images)
    apart = [networks.run(images[place : place + 1])[0] for place in range(len(images))]
    return float(np.abs(together - np.concatenate(apart)).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each arm in each round")
    options = parser.parse_args()
    folder = find_model(options.model)
    manifest = Manifest.read(folder)
    images = np.concatenate(
        [
            prepare(
                read_radiograph(to_dicom(draw(spec_for(seed, pneumothorax=seed % 2 == 1)))),
                manifest.preprocessing,
            )[0]
            for seed in range(max(BATCHES))
        ]
    )
    networks = Networks(folder, manifest, options.threads)
    single = [Networks(folder, manifest, 1) for _ in range(options.threads)]
    arms: dict[str, Callable[[], float]] = {
        f"batch {batch}, {options.threads} threads": (
            lambda batch=batch: rate(networks, images, batch, options.seconds)
        )
        for batch in BATCHES
    }
    arms[f"{options.threads} workers, 1 thread each"] = lambda: rate_of_many(
        single, images, options.seconds
    )
    print(
        f"{machine()}; ONNX Runtime {onnxruntime.__version__}; {manifest.name} {manifest.version}"
    )
    print(f"largest difference of a logit, batch against one by one: {check(networks, images):.2g}")
    for arm in arms.values():  # warm
        arm()
    first, *_ = arms
    rates: dict[str, list[float]] = {name: [] for name in arms}
    order, source = list(arms), random.Random(0)
    loads = [os.getloadavg()[0]]
    for _ in range(options.rounds):
        source.shuffle(order)
        for name in order:
            rates[name].append(arms[name]())
        loads.append(os.getloadavg()[0])
    print(f"{options.rounds} rounds; load of the machine {min(loads):.1f} to {max(loads):.1f}")
    print(f"{'':<28}{'images/s':>26}{'ratio to batch 1':>26}")
    for name, values in rates.items():
        ratios = [a / b for a, b in zip(values, rates[first], strict=True)]
        print(f"{name:<28}{spread(values):>26}{spread(ratios):>26}")


def spread(values: list[float]) -> str:
    """Median, and from the lower to the upper quartile."""
    lower, middle, upper = statistics.quantiles(values, n=4)
    return f"{middle:.2f} [{lower:.2f}, {upper:.2f}]"


if __name__ == "__main__":
    main()
