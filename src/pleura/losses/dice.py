"""Soft Dice loss, one value an image."""

from torch import Tensor


def soft_dice_loss(probabilities: Tensor, targets: Tensor, smooth: float = 1.0) -> Tensor:
    """1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth) for each image.

    After Milletari et al., 3DV 2016. With an empty target the loss is sum(p) / (sum(p) + smooth):
    0 for an empty prediction, towards 1 as false area grows, and never 0 / 0.

    Args:
        probabilities: (n, 1, h, w) in [0, 1].
        targets: (n, 1, h, w) in [0, 1]; may be fractional (area averages of a finer mask).
        smooth: in pixels of this grid; larger values weigh small masks less.

    Returns:
        (n,), each in [0, 1].

    Raises:
        ValueError: shapes differ, or `smooth` is not positive.
    """
    if probabilities.shape != targets.shape:
        raise ValueError(f"shapes differ: {tuple(probabilities.shape)}, {tuple(targets.shape)}")
    if smooth <= 0:
        raise ValueError("smooth must be positive, or empty masks are undefined")
    axes = (1, 2, 3)
    overlap = (probabilities * targets).sum(axes)
    total = probabilities.sum(axes) + targets.sum(axes)
    return 1 - (2 * overlap + smooth) / (total + smooth)
