"""What training draws from: cached images and labels, one random version at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple, TypedDict

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from pleura.data.augment import NO_AUGMENTATION, Augmentation, augment
from pleura.inference.manifest import Preprocessing
from pleura.inference.preprocess import standardise


class Sample(TypedDict):
    """One training example, or a batch of them with n in front.

    Keys:
        image: float32, (1, size, size), standardised.
        mask: float32 coverage in [0, 1], (1, size / stride, size / stride).
        label: float32, 0 or 1; NaN when unknown.
        mask_weight: float32, how far the mask can be trusted; 0 when it is unknown.
        position: row of the examples, for matching predictions with the table.
    """

    image: Tensor
    mask: Tensor
    label: Tensor
    mask_weight: Tensor
    position: int


class Draw(NamedTuple):
    """Which example to draw, with which seed, at which size in pixels."""

    position: int
    seed: int
    size: int


@dataclass(frozen=True, eq=False)
class Examples:
    """Cached images with what is known of them; all arrays have n entries.

    Attributes:
        images: uint8, (n, side, side).
        masks: uint8 coverage, (n, side, side).
        labels: float32; NaN when unknown.
        mask_weights: float32.
        synthetic: bool; phantoms, which are drawn at a share of their own.
        one_sided: bool; images of a label source that gave labels of one kind only: what tells the
            sources apart would tell the labels apart.
        taught: bool; images without a label of their own, whose label and mask a teacher gave,
            both as probabilities; they are drawn at a share of their own, too.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    labels: NDArray[np.float32]
    mask_weights: NDArray[np.float32]
    synthetic: NDArray[np.bool_]
    one_sided: NDArray[np.bool_]
    taught: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels)

    def joined(self, other: "Examples") -> "Examples":
        """These examples and then the others, whose images have the same side."""
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return Examples(*(np.concatenate(pair) for pair in pairs))


class RadiographDataset(Dataset[Sample]):
    """Random or plain versions of the examples.

    Args:
        examples: what to draw from.
        preprocessing: mean and deviation; `size` is used where a plain integer index is given.
        output_stride: the mask is averaged down to size / output_stride.
        augmentation: None for the examples as they are.
        positions: which examples belong to this set; all by default.
    """

    def __init__(
        self,
        examples: Examples,
        preprocessing: Preprocessing,
        output_stride: int,
        augmentation: Augmentation | None = None,
        positions: NDArray[np.int64] | None = None,
    ) -> None:
        self.examples = examples
        self.preprocessing = preprocessing
        self.output_stride = output_stride
        self.augmentation = augmentation or NO_AUGMENTATION
        self.positions = np.arange(len(examples)) if positions is None else positions

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int | Draw) -> Sample:
        """The example of a draw, or the example at an integer index with seed 0."""
        if not isinstance(index, Draw):
            index = Draw(int(self.positions[index]), 0, self.preprocessing.size)
        rng = np.random.default_rng(index.seed)
        source = self.examples
        image, mask = augment(
            source.images[index.position], source.masks[index.position], self.augmentation, rng
        )
        side = index.size // self.output_stride
        pixels = standardise(_resize(image, index.size), self.preprocessing)
        coverage = _resize(mask.astype(np.float32) / np.float32(255), side)
        return Sample(
            image=torch.from_numpy(pixels)[None],
            mask=torch.from_numpy(coverage)[None],
            label=torch.tensor(source.labels[index.position]),
            mask_weight=torch.tensor(source.mask_weights[index.position]),
            position=index.position,
        )


def _resize(array: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    if array.shape[0] == side:
        return array
    shrinking = side < array.shape[0]
    mode = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(array, (side, side), interpolation=mode), dtype=np.float32)


class BalancedSampler(Sampler[Draw]):
    """Draws positives and negatives at a set rate; each epoch is reproducible by itself.

    Within a class the examples come in random order without repetition until all were seen, and an
    epoch has as many draws as there are real examples with a label of their own. Under distributed
    training each rank takes its own slice of the same sequence.

    Args:
        examples: what is drawn from.
        positions: the examples that belong to the training set.
        positive_fractions: share of positives among the draws of these by epoch; the last one
            stays.
        synthetic_fraction: share of phantoms among the draws.
        one_sided_fraction: share of images of one-sided label sources among the draws of their
            class; None for as many as there are.
        sizes: image size by epoch; the last one stays.
        seed: with the epoch, decides everything.
        rank: this process.
        world_size: number of processes.
        taught_fraction: share of the teacher's examples among the draws.
        epoch: the first one to draw; a loader with workers takes draws before `set_epoch`.
    """

    def __init__(
        self,
        examples: Examples,
        positions: NDArray[np.int64],
        positive_fractions: tuple[float, ...],
        sizes: tuple[int, ...],
        seed: int,
        synthetic_fraction: float = 0.0,
        rank: int = 0,
        world_size: int = 1,
        one_sided_fraction: float | None = None,
        epoch: int = 0,
        taught_fraction: float = 0.0,
    ) -> None:
        labels, synthetic = examples.labels[positions], examples.synthetic[positions]
        one_sided, taught = examples.one_sided[positions], examples.taught[positions]
        real = ~synthetic & ~taught
        total = int(real.sum())
        self._extra = [
            (positions[chosen], round(total * fraction))
            for chosen, fraction in ((synthetic, synthetic_fraction), (taught, taught_fraction))
            if fraction > 0 and chosen.any()
        ]
        self._real_draws = total - sum(count for _, count in self._extra)
        self._classes = tuple(
            (positions[chosen & one_sided], positions[chosen & ~one_sided])
            for chosen in (real & (labels == 1), real & (labels != 1))
        )
        self._one_sided_fraction = one_sided_fraction
        self._positive_fractions = positive_fractions
        self._sizes, self._seed = sizes, seed
        self._rank, self._world_size = rank, world_size
        self._epoch = epoch

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return sum(count for _, count in self._pools()) // self._world_size

    def _pools(self) -> list[tuple[NDArray[np.int64], int]]:
        """What to draw from in this epoch, and how often."""
        positive = self._positive_fractions[min(self._epoch, len(self._positive_fractions) - 1)]
        pools: list[tuple[NDArray[np.int64], int]] = []
        positives = round(positive * self._real_draws)
        by_class = positives, self._real_draws - positives
        for (apart, rest), draws in zip(self._classes, by_class, strict=True):
            if self._one_sided_fraction is None or not len(apart) or not len(rest):
                pools.append((np.sort(np.concatenate([apart, rest])), draws))
                continue
            apart_draws = round(self._one_sided_fraction * draws)
            pools += [(apart, apart_draws), (rest, draws - apart_draws)]
        return [(pool, count) for pool, count in pools if len(pool)] + self._extra

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng([self._seed, self._epoch])
        drawn = np.concatenate([_cycle(pool, count, rng) for pool, count in self._pools()])
        rng.shuffle(drawn)
        seeds = rng.integers(0, 2**63, len(drawn))
        size = self._sizes[min(self._epoch, len(self._sizes) - 1)]
        mine = range(self._rank, len(self) * self._world_size, self._world_size)
        for place in mine:
            yield Draw(int(drawn[place]), int(seeds[place]), size)


def _cycle(pool: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    repeats = -(-count // len(pool))
    return np.concatenate([rng.permutation(pool) for _ in range(max(repeats, 1))])[:count]
