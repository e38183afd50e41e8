"""What a person watching a run wants to see, and checkpoints that survive a kill."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor

logger = logging.getLogger(__name__)


class Throughput(L.Callback):
    """Logs `train/images_per_second`, and after each epoch a line with figures and time left.

    The rate is that of training alone; the time left counts validation in.
    """

    def __init__(self) -> None:
        self._started = 0.0
        self._validation_started = 0.0
        self._validation_seconds = 0.0
        self._images = 0

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Start the clock."""
        self._started, self._images, self._validation_seconds = time.monotonic(), 0, 0.0

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Count the images of all processes."""
        self._images += len(batch["label"]) * trainer.world_size

    def on_validation_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Stop the clock."""
        self._validation_started = time.monotonic()

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Let the clock go on."""
        self._validation_seconds += time.monotonic() - self._validation_started

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Say how fast it went and how long it will take."""
        elapsed = time.monotonic() - self._started
        rate = self._images / max(elapsed - self._validation_seconds, 1e-9)
        module.log("train/images_per_second", rate, sync_dist=True)
        epochs_left = (trainer.max_epochs or 0) - trainer.current_epoch - 1
        figures = {
            name: round(float(value), 4)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("val/")
        }
        if trainer.is_global_zero:
            logger.info(
                "epoch %d of %s: %.1f images/s, about %.0f min left %s",
                trainer.current_epoch + 1,
                trainer.max_epochs,
                rate,
                epochs_left * elapsed / 60,
                figures,
            )


class Patience(EarlyStopping):
    """Early stopping that stays stopped: a run that it ended trains no further epoch.

    The checkpoint remembers how many validations went by without a better score. The patience is
    always that of the configuration, so that a larger one lets the run go on.

    Args:
        monitor: the score; higher is better.
        patience: validations without a better one before the run stops.
    """

    def __init__(self, monitor: str, patience: int) -> None:
        super().__init__(monitor, patience=patience, mode="max")

    @property
    def state_key(self) -> str:
        """The parent's, so that the checkpoints of either fit."""
        return super().state_key.replace(type(self).__qualname__, EarlyStopping.__qualname__)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take all but the patience from a checkpoint."""
        super().load_state_dict(state_dict | {"patience": self.patience})

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Stop before the first epoch when the patience had run out."""
        if self.wait_count >= self.patience:
            logger.info("the run had ended: %d validations without a better score", self.wait_count)
            trainer.should_stop = True


def warm_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Moving average that forgets the start: after n updates its decay is min(d, (1 + n)/(10 + n)).

    With a constant decay the weights of the first step keep a share of d^n; after a short run that
    is still felt, all the more where a layer started at random. The warm-up is that of TensorFlow's
    ExponentialMovingAverage(num_updates).

    Args:
        decay: d, after the warm-up, in (0, 1).

    Returns:
        A function for `torch.optim.swa_utils.AveragedModel(avg_fn=...)`.
    """

    def average(averaged: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
        if not averaged.is_floating_point():  # the counters of batch normalisation
            return current
        n = float(updates)
        return averaged.lerp(current, 1 - min(decay, (1 + n) / (10 + n)))

    return average


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes beside the old checkpoint, then takes its place: a kill never leaves half a file."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint of a local run folder."""
        partial = Path(f"{path}.partial")
        super().save_checkpoint(checkpoint, partial, storage_options)
        partial.replace(path)
