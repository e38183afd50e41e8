"""Lovász hinge: a convex surrogate of the Jaccard index (Berman et al., CVPR 2018)."""

import torch
from torch import Tensor


def lovasz_hinge(logits: Tensor, targets: Tensor) -> Tensor:
    """The Lovász extension of 1 - IoU at the hinge errors of the pixels, one value an image.

    Logits of 1 and above where the target is, and of -1 and below elsewhere, cost nothing.

    Args:
        logits: (n, 1, h, w).
        targets: (n, 1, h, w) in [0, 1]; a pixel belongs to the target from 0.5 on.

    Returns:
        (n,), not negative. With an empty target it is the largest error.
    """
    true = (targets.flatten(1) >= 0.5).to(logits.dtype)
    errors = 1 - logits.flatten(1) * (2 * true - 1)
    errors, order = errors.sort(dim=1, descending=True)
    true = true.gather(1, order)
    area = true.sum(1, keepdim=True)
    # Jaccard loss when the pixels up to each place are wrong; what each adds is its weight.
    loss = 1 - (area - true.cumsum(1)) / (area + (1 - true).cumsum(1))
    weights = torch.diff(loss, dim=1, prepend=torch.zeros_like(area))
    return (errors.relu() * weights).sum(1)
