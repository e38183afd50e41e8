"""Image-level loss."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def image_bce(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Binary cross-entropy of the image-level logit, one value an image.

    Args:
        logits: (n, 1) or (n,).
        labels: (n,), 0 or 1, or a teacher's probability in between.
        label_smoothing: labels move this far towards 0.5, in [0, 1).

    Returns:
        (n,).
    """
    logits = logits.float()
    targets = labels.to(logits.dtype) * (1 - label_smoothing) + 0.5 * label_smoothing
    return functional.binary_cross_entropy_with_logits(
        logits.reshape(targets.shape), targets, reduction="none"
    )


class ImageLoss(nn.Module):
    """`image_bce` averaged over the images whose label is known (NaN marks an unknown one)."""

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Map (n, 1) logits and (n,) labels to a scalar."""
        known = ~torch.isnan(labels)
        losses = image_bce(logits.reshape(-1)[known], labels[known], self.label_smoothing)
        return losses.sum() / known.sum().clamp_min(1)
