"""Does the data path keep up with the network? Images per second, delivered and eaten.

    python benchmarks/data_path.py [CONFIG.yaml [KEY=VALUE ...]] [--sizes 128 256 384 512]
        [--workers 0 1 2] [--seconds 8] [--threads 1] [-o FILE.json] [--into FILE]

Delivered: what the loader of `pleura train` gives (draw, augmentation, resize, collation), with
nobody eating. Eaten: forward and backward pass and step of the configuration's network on batches
that are there already. Fed: the same network on what one worker delivers meanwhile. The images are
phantoms, in memory as a cache that was read before is. All at the batch size of the configuration.

What the process itself does is timed by its own processor time, a second of one core; what workers
do, by the clock. On a machine that does nothing else the two are one.

With --into, the table stands between the markers of a document.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from pleura.data.augment import NO_AUGMENTATION
from pleura.data.dataset import Sample
from pleura.models import create_network
from pleura.training.config import PhantomConfig, TrainingConfig, load_config
from pleura.training.examples import TrainingData, _phantoms
from pleura.training.loaders import RadiographLoaders
from pleura.training.module import LitNetwork
from rle import machine

BEGIN, END = "<!-- data path -->", "<!-- end of data path -->"
PHANTOMS = 48
EPOCH = 65_536  # draws; more than any measurement takes
PRECISIONS = {"32 bits": None, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Row:
    """Images per second at one size.

    Attributes:
        size: side of the network's input in pixels.
        delivered: by number of workers.
        held_out: plain images, without augmentation, in the training process itself.
        eaten: by precision.
        fed: eaten in the faster precision while one worker delivers; None if none is asked for.
    """

    size: int
    delivered: dict[int, float]
    held_out: float
    eaten: dict[str, float]
    fed: float | None


def data_of(config: TrainingConfig) -> TrainingData:
    """Phantoms as labelled images, often enough for an epoch; the pixels are there once."""
    drawn = _phantoms(config.data.cache_size, PhantomConfig(count=PHANTOMS))
    real = replace(drawn, synthetic=np.zeros(PHANTOMS, dtype=bool))
    positions = np.tile(np.arange(PHANTOMS), EPOCH // PHANTOMS)
    return TrainingData(real, pd.DataFrame(), positions, np.arange(PHANTOMS), "", {})


def loader(config: TrainingConfig, data: TrainingData, size: int, workers: int) -> DataLoader[Any]:
    """That of `pleura train`."""
    changed = config.model_copy(
        update={
            "data": config.data.model_copy(update={"workers": workers}),
            "schedule": config.schedule.model_copy(update={"sizes": ((0, size),)}),
            "preprocessing": config.preprocessing.model_copy(update={"size": size}),
        }
    )
    return RadiographLoaders(changed, data, stride_of(config)).train_dataloader()


def stride_of(config: TrainingConfig) -> int:
    return int(create_network(config.network.name, **config.network.options).output_stride)


def rate(
    batches: Iterator[Sample],
    eat: Callable[[Sample], None],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Images per second after a first batch, over at least `seconds` and three batches."""
    eat(next(batches))
    images, started = 0, clock()
    for number in itertools.count(1):
        batch = next(batches)
        eat(batch)
        images += len(batch["label"])
        elapsed = clock() - started
        if elapsed >= seconds and number >= 3:
            return images / elapsed
    raise AssertionError


def eater(config: TrainingConfig, kind: torch.dtype | None) -> Callable[[Sample], None]:
    """A training step of the configuration's network."""
    network = create_network(config.network.name, **config.network.options)
    module = LitNetwork(
        network.to(memory_format=torch.channels_last).train(), config.loss, config.optimiser
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-5)

    def eat(batch: Sample) -> None:
        with torch.autocast("cpu", dtype=kind, enabled=kind is not None):
            loss, _ = module._losses(module(module._image(batch)), batch)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    return eat


def measure(config: TrainingConfig, data: TrainingData, size: int, args: Any) -> Row:
    own = time.process_time
    delivered = {
        workers: rate(
            iter(loader(config, data, size, workers)),
            lambda batch: None,
            args.seconds,
            time.perf_counter if workers else own,
        )
        for workers in args.workers
    }
    plain = loader(config.model_copy(update={"augmentation": NO_AUGMENTATION}), data, size, 0)
    held_out = rate(iter(plain), lambda batch: None, args.seconds, own)
    batch = next(iter(loader(config, data, size, 0)))
    eaten = {
        name: rate(itertools.repeat(batch), eater(config, kind), args.seconds, own)
        for name, kind in PRECISIONS.items()
    }
    fed = None
    if 1 in args.workers:
        faster = PRECISIONS[max(eaten, key=lambda name: eaten[name])]
        fed = rate(iter(loader(config, data, size, 1)), eater(config, faster), args.seconds)
    row = Row(size, delivered, held_out, eaten, fed)
    print(row, flush=True)
    return row


def table(rows: list[Row], config: TrainingConfig, threads: int) -> str:
    workers = list(rows[0].delivered)
    heads = [
        "input",
        *(f"delivered, {n} worker{'' if n == 1 else 's'}" for n in workers),
        "held-out images",
        *(f"eaten, {name}" for name in rows[0].eaten),
        *(["fed by 1 worker"] if rows[0].fed is not None else []),
        "workers for 1,000 a second",
    ]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row in rows:
        one = row.delivered.get(0, row.delivered[workers[0]])
        cells = [
            f"{row.size} px",
            *(f"{row.delivered[n]:.0f}" for n in workers),
            f"{row.held_out:.0f}",
            *(f"{figure:.1f}" for figure in row.eaten.values()),
            *([f"{row.fed:.1f}"] if row.fed is not None else []),
            str(int(np.ceil(1000 / one))),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    network = f"{config.network.name} {config.network.options.get('encoder', '')}".strip()
    said = (
        f"Images per second; {network}, batches of {config.schedule.batch_size}, cached at"
        f" {config.data.cache_size} px, network on {threads} thread{'s' if threads > 1 else ''}."
        f" {machine()}, {datetime.now(UTC).date()}."
    )
    return "\n".join([said, "", *lines])


def write_into(path: Path, text: str) -> None:
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} has no markers {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, nargs="?", default=Path("configs/joint-unet.yaml"))
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 384, 512])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--into", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = load_config(args.config, tuple(args.overrides))
    data = data_of(config)
    rows = [measure(config, data, size, args) for size in args.sizes]
    text = table(rows, config, args.threads)
    print(text)
    if args.output is not None:
        args.output.write_text(json.dumps([row.__dict__ for row in rows], indent=2) + "\n")
    if args.into is not None:
        write_into(args.into, text)


if __name__ == "__main__":
    main()
