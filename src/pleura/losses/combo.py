"""Combo loss for small targets: weighted BCE (or focal) plus Dice (Taghanaki et al., 2019)."""

import torch
from torch import Tensor, nn

from pleura.losses.dice import soft_dice_loss
from pleura.losses.focal import focal_loss_with_logits


def combo_loss(
    logits: Tensor,
    targets: Tensor,
    bce_weight: float = 1.0,
    dice_weight: float = 1.0,
    positive_weight: float = 1.0,
    smooth: float = 1.0,
    focal_gamma: float = 0.0,
    dice_on_empty: bool = True,
) -> Tensor:
    """bce_weight * mean(BCE) + dice_weight * Dice loss, one value an image.

    Args:
        logits: (n, 1, h, w).
        targets: (n, 1, h, w) in [0, 1]; may be fractional; empty masks are well defined.
        bce_weight: weight of the pixel-wise term, averaged over the image.
        dice_weight: weight of the overlap term.
        positive_weight: factor on the pixel-wise term of target pixels (class weighting).
        smooth: Dice smoothing in pixels.
        focal_gamma: 0 for BCE, larger for focal loss.
        dice_on_empty: whether images with an empty target have the Dice term. Its gradient there is
            1 / (sum(p) + smooth)^2 on every pixel, many times that of a small target's own pixels,
            and teaches a network that sees many negatives to draw nothing at all.

    Returns:
        (n,), not negative.
    """
    logits = logits.float()  # sums over an image overflow float16
    pixelwise = focal_loss_with_logits(logits, targets, focal_gamma)
    if positive_weight != 1.0:
        pixelwise = pixelwise * (1 + (positive_weight - 1) * targets)
    overlap = soft_dice_loss(torch.sigmoid(logits), targets, smooth)
    if not dice_on_empty:
        overlap = overlap * (targets.amax((1, 2, 3)) > 0)
    return bce_weight * pixelwise.mean((1, 2, 3)) + dice_weight * overlap


class ComboLoss(nn.Module):
    """`combo_loss` averaged over the images, each with a weight of its own.

    The weight is how far a mask can be trusted: 1 for a published mask, a matched mask's posterior,
    0 for a positive without a mask. See `combo_loss` for the other arguments.
    """

    def __init__(
        self,
        bce_weight: float = 1.0,
        dice_weight: float = 1.0,
        positive_weight: float = 1.0,
        smooth: float = 1.0,
        focal_gamma: float = 0.0,
        dice_on_empty: bool = True,
    ) -> None:
        super().__init__()
        self.bce_weight = bce_weight
        self.dice_weight = dice_weight
        self.positive_weight = positive_weight
        self.smooth = smooth
        self.focal_gamma = focal_gamma
        self.dice_on_empty = dice_on_empty

    def forward(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Map (n, 1, h, w) logits and targets and (n,) weights to a scalar."""
        losses = combo_loss(
            logits,
            targets,
            self.bce_weight,
            self.dice_weight,
            self.positive_weight,
            self.smooth,
            self.focal_gamma,
            self.dice_on_empty,
        )
        if weights is None:
            return losses.mean()
        return (losses * weights).sum() / weights.sum().clamp_min(torch.finfo(losses.dtype).eps)
