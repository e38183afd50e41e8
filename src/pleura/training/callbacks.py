"""What a person watching a run wants to see, and checkpoints that survive a kill."""

import logging
import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

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


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes beside the old checkpoint, then takes its place: a kill never leaves half a file."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint of a local run folder."""
        partial = Path(f"{path}.partial")
        super().save_checkpoint(checkpoint, partial, storage_options)
        partial.replace(path)
