"""The network as Lightning trains it."""

import math
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pleura.data.dataset import Sample
from pleura.losses import ComboLoss, ImageLoss
from pleura.metrics import average_precision, roc_auc
from pleura.models import Network, NetworkOutput
from pleura.training.config import LossConfig, OptimiserConfig
from pleura.training.mixing import NO_MIXING, Mixing

_MASK_THRESHOLD = 0.5


class LitNetwork(L.LightningModule):
    """Losses, optimiser and validation figures around a network.

    Logged: `train/loss` and its terms each step; at each validation `val/loss`, `val/auc`,
    `val/average_precision`, `val/dice_positives` (on the network's own grid, threshold 0.5, images
    with a trusted mask) and `val/score`, which chooses the best checkpoint: the mean of those of
    AUC and Dice that the network has.

    Args:
        network: trained in place.
        loss: weights of the terms.
        optimiser: AdamW and its schedule.
        mixing: what is done to a batch first.
    """

    def __init__(
        self,
        network: Network,
        loss: LossConfig,
        optimiser: OptimiserConfig,
        mixing: Mixing = NO_MIXING,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss_config = loss
        self.optimiser_config = optimiser
        self.mixing = mixing
        self.combo = ComboLoss(
            loss.bce,
            loss.dice,
            loss.positive_weight,
            loss.smooth,
            loss.focal_gamma,
            loss.dice_on_empty,
            loss.lovasz,
            loss.area_exponent,
            loss.cl_dice,
        )
        self.image_loss = ImageLoss(loss.label_smoothing)
        self._judged: list[NDArray[np.float64]] = []  # position, label, logit, Dice; NaN for none

    def forward(self, image: Tensor) -> NetworkOutput:
        """The network's own forward pass."""
        output: NetworkOutput = self.network(image)
        return output

    def training_step(self, batch: Sample, batch_index: int) -> Tensor:
        """Loss of one batch."""
        batch = self.mixing(batch)
        loss, terms = self._losses(self(self._image(batch)), batch)
        self.log("train/loss", loss, prog_bar=True)
        for name, value in terms.items():
            self.log(f"train/{name}", value)
        return loss

    def validation_step(self, batch: Sample, batch_index: int) -> None:
        """Gather logit and Dice of each image of one batch."""
        output = self(self._image(batch))
        loss, _ = self._losses(output, batch)
        self.log("val/loss", loss, batch_size=len(batch["label"]), sync_dist=True)
        logits = dices = torch.full_like(batch["label"], torch.nan)
        if output.logit is not None:
            logits = output.logit.reshape(-1)
        if output.mask_logits is not None:
            trusted = (batch["label"] == 1) & (batch["mask_weight"] > 0)
            dices = torch.where(trusted, _dice(output.mask_logits, batch["mask"]), torch.nan)
        columns = (torch.as_tensor(batch["position"]), batch["label"], logits, dices)
        self._judged.append(np.stack([c.double().cpu().numpy() for c in columns], axis=1))

    def on_validation_epoch_end(self) -> None:
        """Figures over the whole validation set, gathered from all processes."""
        figures: dict[str, float] = {}
        _, labels, logits, dices = self._gather().T
        known = ~np.isnan(labels) & ~np.isnan(logits)
        if len(set(labels[known])) == 2:
            figures["auc"] = roc_auc(logits[known], labels[known])
            figures["average_precision"] = average_precision(logits[known], labels[known])
        if not np.isnan(dices).all():
            figures["dice_positives"] = float(np.nanmean(dices))
        chosen = [figures[name] for name in ("auc", "dice_positives") if name in figures]
        figures["score"] = sum(chosen) / len(chosen) if chosen else 0.0
        for name, value in figures.items():
            self.log(f"val/{name}", value, prog_bar=True, sync_dist=True)
        self._judged = []

    def configure_optimizers(self) -> Any:
        """AdamW; biases and normalisation are not decayed."""
        decayed: list[Tensor] = []
        plain: list[Tensor] = []
        for parameter in self.network.parameters():
            if not parameter.requires_grad:
                continue
            (decayed if parameter.ndim > 1 else plain).append(parameter)
        config = self.optimiser_config
        optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": config.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
        )
        total = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: cosine_factor(step, total, config)
        )
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _losses(self, output: NetworkOutput, batch: Sample) -> tuple[Tensor, dict[str, Tensor]]:
        terms: dict[str, Tensor] = {}
        if output.logit is not None:
            terms["image"] = self.loss_config.image * self.image_loss(output.logit, batch["label"])
        if output.mask_logits is not None:
            masks = (*output.auxiliary_mask_logits, output.mask_logits)
            losses = [self.combo(mask, batch["mask"], batch["mask_weight"]) for mask in masks]
            terms["mask"] = torch.stack(losses).mean()
        return torch.stack(list(terms.values())).sum(), terms

    def _image(self, batch: Sample) -> Tensor:
        return batch["image"].contiguous(memory_format=torch.channels_last)

    def _gather(self) -> NDArray[np.float64]:
        """What all processes judged, each image once, in the order of the examples."""
        mine = np.concatenate(self._judged)
        everyone: list[Any] = [mine]
        if self.trainer.world_size > 1:
            everyone = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(everyone, mine)
        judged = np.concatenate(everyone)
        return judged[np.unique(judged[:, 0], return_index=True)[1]]


def _dice(mask_logits: Tensor, masks: Tensor) -> Tensor:
    predicted, true = torch.sigmoid(mask_logits) >= _MASK_THRESHOLD, masks >= _MASK_THRESHOLD
    overlap = (predicted & true).sum((1, 2, 3))
    total = predicted.sum((1, 2, 3)) + true.sum((1, 2, 3))
    return 2 * overlap / total.clamp_min(1)


def cosine_factor(step: int, total: int, config: OptimiserConfig) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then half a cosine."""
    warmup = max(1, round(config.warmup_fraction * total))
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    fall = 0.5 * (1 + math.cos(math.pi * progress))
    return config.final_fraction + (1 - config.final_fraction) * fall
