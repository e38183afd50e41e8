"""Focal loss (Lin et al., ICCV 2017), one value a pixel."""

import torch
from torch import Tensor
from torch.nn import functional


def focal_loss_with_logits(logits: Tensor, targets: Tensor, gamma: float = 2.0) -> Tensor:
    """(1 - p_t)^gamma * BCE, where p_t is the probability given to the true class.

    For fractional targets p_t = 1 - |t - p|, which is the same for targets of 0 and 1.

    Args:
        logits: any shape.
        targets: same shape, in [0, 1].
        gamma: 0 gives plain BCE; larger values weigh easy pixels less.

    Returns:
        Same shape, not reduced.
    """
    bce = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    if gamma == 0:
        return bce
    return (targets - torch.sigmoid(logits)).abs().pow(gamma) * bce
