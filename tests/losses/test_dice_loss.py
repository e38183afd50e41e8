import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import DiceLoss

from pleura.losses import soft_dice_loss


def _case(seed, rows=5, columns=7, count=3, fractional=False):
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.rand(count, 1, rows, columns, generator=generator)
    targets = torch.rand(count, 1, rows, columns, generator=generator)
    return probabilities, targets if fractional else (targets > 0.7).float()


@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 9),
    smooth=st.floats(1e-3, 100),
    fractional=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_equals_monai(seed, rows, smooth, fractional):
    probabilities, targets = _case(seed, rows, fractional=fractional)
    reference = DiceLoss(sigmoid=False, smooth_nr=smooth, smooth_dr=smooth, reduction="none")
    expected = reference(probabilities, targets).reshape(-1)
    torch.testing.assert_close(
        soft_dice_loss(probabilities, targets, smooth), expected, rtol=1e-4, atol=1e-5
    )


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_lies_between_0_and_1_and_judges_each_image_by_itself(seed):
    probabilities, targets = _case(seed)
    losses = soft_dice_loss(probabilities, targets)
    assert losses.shape == (3,)
    assert ((losses >= 0) & (losses <= 1)).all()
    torch.testing.assert_close(soft_dice_loss(probabilities[1:2], targets[1:2])[0], losses[1])


def test_a_perfect_mask_costs_nothing_and_a_disjoint_one_everything():
    target = torch.zeros(1, 1, 64, 64)
    target[..., :32] = 1
    assert soft_dice_loss(target, target).item() == pytest.approx(0)
    assert soft_dice_loss(1 - target, target).item() == pytest.approx(1, abs=1e-3)


def test_an_empty_mask_is_well_defined():
    empty = torch.zeros(1, 1, 8, 8)
    assert soft_dice_loss(empty, empty).item() == 0
    areas = [1, 4, 64]
    losses = []
    for area in areas:
        predicted = empty.clone().reshape(-1)
        predicted[:area] = 1
        losses.append(soft_dice_loss(predicted.reshape(empty.shape), empty, smooth=2.0).item())
    assert losses == pytest.approx([area / (area + 2) for area in areas])


def test_the_gradient_on_an_empty_mask_pushes_the_prediction_down():
    predicted = torch.full((1, 1, 8, 8), 0.3, requires_grad=True)
    soft_dice_loss(predicted, torch.zeros(1, 1, 8, 8)).sum().backward()
    assert torch.isfinite(predicted.grad).all()
    assert (predicted.grad > 0).all()


@pytest.mark.parametrize("smooth", [0, -1.0])
def test_refuses_a_smoothing_that_leaves_empty_masks_undefined(smooth):
    with pytest.raises(ValueError, match="smooth must be positive"):
        soft_dice_loss(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), smooth)


def test_refuses_masks_of_another_shape():
    with pytest.raises(ValueError, match="shapes differ"):
        soft_dice_loss(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 2))
