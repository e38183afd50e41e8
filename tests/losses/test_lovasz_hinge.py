import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pleura.losses import lovasz_hinge


@given(seed=st.integers(0, 10_000), count=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_equals_the_jaccard_loss_where_every_error_is_0_or_1(seed, count):
    """The Lovász extension meets the set function on the corners of the cube."""
    generator = torch.Generator().manual_seed(seed)
    target = (torch.rand(1, 1, 1, count, generator=generator) > 0.5).float()
    if target.sum() == 0:
        target[..., 0] = 1
    for wrong in itertools.product([0.0, 1.0], repeat=count):
        error = torch.tensor(wrong).reshape(target.shape)
        logits = (2 * target - 1) * (1 - error)  # hinge error 0 at 1, 1 at 0
        predicted = torch.where(error > 0, 1 - target, target)
        union = torch.maximum(predicted, target).sum()
        iou = torch.minimum(predicted, target).sum() / union
        torch.testing.assert_close(lovasz_hinge(logits, target)[0], 1 - iou)


def test_each_image_by_itself_and_a_gradient_that_lowers_it():
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(3, 1, 6, 8, generator=generator, requires_grad=True)
    targets = (torch.rand(3, 1, 6, 8, generator=generator) > 0.7).float()
    losses = lovasz_hinge(logits, targets)
    alone = [lovasz_hinge(logits[i : i + 1], targets[i : i + 1])[0] for i in range(3)]
    torch.testing.assert_close(losses, torch.stack(alone))
    losses.sum().backward()
    with torch.no_grad():
        assert lovasz_hinge(logits - 0.05 * logits.grad, targets).sum() < losses.sum()


def test_what_is_right_by_a_margin_costs_nothing():
    target = torch.zeros(1, 1, 2, 2)
    target[..., 0, 0] = 1
    assert lovasz_hinge(3 * (2 * target - 1), target).item() == 0
    empty = torch.zeros(1, 1, 2, 2)
    assert lovasz_hinge(empty - 1, empty).item() == 0
    assert lovasz_hinge(empty + 2, empty).item() == pytest.approx(3)  # the largest error
