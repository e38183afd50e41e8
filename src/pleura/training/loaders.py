"""The loaders of a run, made in each process once it knows its rank."""

from typing import Any

import cv2
import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from pleura.data.dataset import BalancedSampler, RadiographDataset
from pleura.training.config import TrainingConfig
from pleura.training.examples import TrainingData


class RadiographLoaders(L.LightningDataModule):
    """Balanced, augmented training draws, and the held-out images as they are.

    Under distributed training each process trains on its slice of the draws and judges its share of
    the held-out images.

    Args:
        config: of the run.
        data: examples and their split.
        output_stride: of the network's masks.
        first_epoch: that is trained, above 0 when a run is gone on with. The trainer has the loader
            made, and with workers its first draws taken, before it restores the epoch itself.
    """

    def __init__(
        self, config: TrainingConfig, data: TrainingData, output_stride: int, first_epoch: int = 0
    ) -> None:
        super().__init__()
        self.config = config
        self.data = data
        self.output_stride = output_stride
        self.first_epoch = first_epoch

    def train_dataloader(self) -> "DataLoader[Any]":
        """Draws of this process."""
        config, data, (rank, world_size) = self.config, self.data, self._place()
        sampler = BalancedSampler(
            data.examples,
            data.training,
            config.positive_fraction_by_epoch(),
            config.schedule.size_by_epoch(),
            config.seed,
            config.data.phantoms.share,
            rank,
            world_size,
            config.data.one_sided_fraction,
            self.first_epoch,
            0.0 if config.data.unlabelled.teacher is None else config.data.unlabelled.share,
        )
        return DataLoader(
            RadiographDataset(
                data.examples, config.preprocessing, self.output_stride, config.augmentation
            ),
            batch_size=config.schedule.batch_size,
            sampler=sampler,
            drop_last=len(sampler) > config.schedule.batch_size,
            **self._serving(),
        )

    def val_dataloader(self) -> "DataLoader[Any]":
        """Held-out images of this process."""
        dataset = RadiographDataset(
            self.data.examples,
            self.config.preprocessing,
            self.output_stride,
            positions=share_of(self.data.validation, *self._place()),
        )
        return DataLoader(dataset, batch_size=self.config.schedule.batch_size, **self._serving())

    def _serving(self) -> dict[str, Any]:
        """How batches come to the network: by which processes, and ready for a GPU to fetch."""
        workers = self.config.data.workers
        return {
            "num_workers": workers,
            "persistent_workers": workers > 0,
            "worker_init_fn": _one_thread,
            "pin_memory": torch.cuda.is_available(),
        }

    def _place(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size


def share_of(positions: NDArray[np.int64], rank: int, world_size: int) -> NDArray[np.int64]:
    """Every `world_size`-th position, as many for each rank; the first ones fill up the last round.

    Equal numbers of batches keep the processes in step; `LitNetwork` counts a repeated image once.
    """
    rounds = -(-len(positions) // world_size)
    return np.resize(positions, rounds * world_size)[rank::world_size]


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)  # the workers are the parallelism; OpenCV's own threads would fight them
