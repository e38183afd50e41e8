"""Combo loss for small targets: weighted BCE (or focal) plus Dice (Taghanaki et al., 2019).

More choices for thin targets: the Lovász hinge or the centre-line Dice beside the Dice loss, and a
weight that falls with the target's area.
"""

from typing import Final

import torch
from torch import Tensor, nn

from pleura.losses.cl_dice import cl_dice_loss
from pleura.losses.dice import soft_dice_loss
from pleura.losses.focal import focal_loss_with_logits
from pleura.losses.lovasz import lovasz_hinge

MEDIAN_AREA: Final = 0.0084
"""Median share of the image that a true mask of SIIM-ACR covers."""
_LARGEST_WEIGHT = 4.0


def combo_loss(
    logits: Tensor,
    targets: Tensor,
    bce_weight: float = 1.0,
    dice_weight: float = 1.0,
    positive_weight: float = 1.0,
    smooth: float = 1.0,
    focal_gamma: float = 0.0,
    dice_on_empty: bool = True,
    lovasz_weight: float = 0.0,
    cl_dice_weight: float = 0.0,
) -> Tensor:
    """The weighted sum of mean BCE, Dice loss, Lovász hinge and centre-line Dice loss, an image.

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
        lovasz_weight: weight of the Lovász hinge, which only images with a target have: with an
            empty one it looks at a single pixel.
        cl_dice_weight: weight of the centre-line Dice loss, which only they have, too.

    Returns:
        (n,), not negative.
    """
    logits = logits.float()  # sums over an image overflow float16
    pixelwise = focal_loss_with_logits(logits, targets, focal_gamma)
    if positive_weight != 1.0:
        pixelwise = pixelwise * (1 + (positive_weight - 1) * targets)
    overlap = soft_dice_loss(torch.sigmoid(logits), targets, smooth)
    has_target = targets.amax((1, 2, 3)) > 0
    if not dice_on_empty:
        overlap = overlap * has_target
    loss = bce_weight * pixelwise.mean((1, 2, 3)) + dice_weight * overlap
    if lovasz_weight > 0:
        loss = loss + lovasz_weight * lovasz_hinge(logits, targets) * has_target
    if cl_dice_weight > 0:
        lines = cl_dice_loss(torch.sigmoid(logits), targets, smooth)
        loss = loss + cl_dice_weight * lines * has_target
    return loss


def area_weights(targets: Tensor, exponent: float) -> Tensor:
    """(median area / area)^exponent for each image, from 1/4 to 4, and 1 for an empty target.

    Args:
        targets: (n, 1, h, w) in [0, 1].
        exponent: 0 for equal weights; 1 makes up for the area in full.

    Returns:
        (n,), above 1 where the target is smaller than `MEDIAN_AREA`.
    """
    area = targets.mean((1, 2, 3))
    weights = (MEDIAN_AREA / area).pow(exponent).clamp(1 / _LARGEST_WEIGHT, _LARGEST_WEIGHT)
    return torch.where(area > 0, weights, torch.ones_like(area))


class ComboLoss(nn.Module):
    """`combo_loss` averaged over the images, each with a weight of its own.

    The weight is how far a mask can be trusted: 1 for a published mask, a matched mask's posterior,
    0 for a positive without a mask; times the weight of its area (`area_weights`), if there is an
    `area_exponent`. See `combo_loss` for the other arguments.
    """

    def __init__(
        self,
        bce_weight: float = 1.0,
        dice_weight: float = 1.0,
        positive_weight: float = 1.0,
        smooth: float = 1.0,
        focal_gamma: float = 0.0,
        dice_on_empty: bool = True,
        lovasz_weight: float = 0.0,
        area_exponent: float = 0.0,
        cl_dice_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.bce_weight = bce_weight
        self.dice_weight = dice_weight
        self.positive_weight = positive_weight
        self.smooth = smooth
        self.focal_gamma = focal_gamma
        self.dice_on_empty = dice_on_empty
        self.lovasz_weight = lovasz_weight
        self.area_exponent = area_exponent
        self.cl_dice_weight = cl_dice_weight

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
            self.lovasz_weight,
            self.cl_dice_weight,
        )
        if weights is None:
            weights = torch.ones_like(losses)
        if self.area_exponent > 0:
            weights = weights * area_weights(targets, self.area_exponent)
        return (losses * weights).sum() / weights.sum().clamp_min(torch.finfo(losses.dtype).eps)
