"""Centre-line Dice: overlap with the other's skeleton (Shit et al., CVPR 2021)."""

from typing import Final

from monai.losses.cldice import soft_skel
from torch import Tensor

SKELETON_STEPS: Final = 3
"""Erosions of the soft skeleton; structures up to twice as many pixels wide get down to a line."""


def cl_dice_loss(probabilities: Tensor, targets: Tensor, smooth: float = 1.0) -> Tensor:
    """1 - the harmonic mean of topology precision and topology sensitivity, one value an image.

    Precision is the share of the prediction's skeleton inside the target, sensitivity the share of
    the target's skeleton inside the prediction: a gap in a thin line costs as much as in a thick.

    Args:
        probabilities: (n, 1, h, w), in [0, 1].
        targets: (n, 1, h, w), in [0, 1].
        smooth: added to sums, in pixels of a skeleton.

    Returns:
        (n,), in [0, 1].
    """
    predicted_line = soft_skel(probabilities, SKELETON_STEPS)
    true_line = soft_skel(targets, SKELETON_STEPS)
    precision = _share(predicted_line, targets, smooth)
    sensitivity = _share(true_line, probabilities, smooth)
    loss: Tensor = 1 - 2 * precision * sensitivity / (precision + sensitivity)
    return loss


def _share(line: Tensor, area: Tensor, smooth: float) -> Tensor:
    """The share of a skeleton that lies inside an area, (n,)."""
    dims = (1, 2, 3)
    return ((line * area).sum(dims) + smooth) / (line.sum(dims) + smooth)
