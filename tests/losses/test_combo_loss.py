import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import DiceLoss
from torch.nn import functional

from pleura.losses import ComboLoss, cl_dice_loss, combo_loss, lovasz_hinge
from pleura.losses.combo import MEDIAN_AREA, area_weights


def _case(seed, count=3):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, 1, 6, 8, generator=generator)
    return logits, (torch.rand(count, 1, 6, 8, generator=generator) > 0.8).float()


def _reference(logits, targets, bce_weight, dice_weight, positive_weight, smooth):
    """One image at a time, from PyTorch's BCE with its own class weight and MONAI's Dice."""
    dice = DiceLoss(sigmoid=True, smooth_nr=smooth, smooth_dr=smooth)
    losses = []
    for logit, target in zip(logits, targets, strict=True):
        bce = functional.binary_cross_entropy_with_logits(
            logit, target, pos_weight=torch.tensor(positive_weight)
        )
        losses.append(bce_weight * bce + dice_weight * dice(logit[None], target[None]))
    return torch.stack(losses)


@given(
    seed=st.integers(0, 10_000),
    bce=st.floats(0, 5),
    dice=st.floats(0, 5),
    positive=st.floats(0.1, 20),
    smooth=st.floats(0.01, 50),
)
@settings(max_examples=40, deadline=None)
def test_equals_its_parts_from_other_libraries(seed, bce, dice, positive, smooth):
    logits, targets = _case(seed)
    torch.testing.assert_close(
        combo_loss(logits, targets, bce, dice, positive, smooth),
        _reference(logits, targets, bce, dice, positive, smooth),
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_module_averages_the_function():
    logits, targets = _case(1)
    settings_ = {"bce_weight": 4.0, "dice_weight": 0.5, "positive_weight": 3.0, "smooth": 2.0}
    losses = combo_loss(logits, targets, **settings_, focal_gamma=1.5)
    module = ComboLoss(**settings_, focal_gamma=1.5)
    torch.testing.assert_close(module(logits, targets), losses.mean())
    weights = torch.tensor([1.0, 0.25, 0.0])
    expected = (losses[0] + 0.25 * losses[1]) / 1.25
    torch.testing.assert_close(module(logits, targets, weights), expected)


def test_a_mask_of_weight_0_teaches_nothing():
    logits, targets = _case(2)
    logits.requires_grad_()
    ComboLoss()(logits, targets, torch.tensor([1.0, 0.0, 0.5])).backward()
    assert (logits.grad[1] == 0).all()
    assert (logits.grad[0] != 0).any()
    assert (logits.grad[2] != 0).any()


def test_a_batch_without_any_trusted_mask_costs_nothing():
    logits, targets = _case(3)
    logits.requires_grad_()
    loss = ComboLoss()(logits, targets, torch.zeros(3))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_empty_masks_and_extreme_logits_give_finite_gradients(gamma):
    logits = torch.tensor([-100.0, 0.0, 100.0]).repeat(2, 1, 4, 1).requires_grad_()
    targets = torch.zeros(2, 1, 4, 3)
    targets[1] = 1
    losses = combo_loss(logits, targets, focal_gamma=gamma)
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(logits.grad).all()


def test_half_precision_logits_of_a_large_image_do_not_overflow():
    logits = torch.full((1, 1, 320, 320), 8.0, dtype=torch.float16)
    loss = combo_loss(logits, torch.ones(1, 1, 320, 320))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(5e-4, rel=0.05)  # log(1 + e^-8), and half of it for Dice


def test_without_dice_on_empty_an_empty_target_has_cross_entropy_alone():
    logits, targets = _case(4)
    targets[1] = 0
    both = combo_loss(logits, targets, 2.0, 3.0)
    without = combo_loss(logits, targets, 2.0, 3.0, dice_on_empty=False)
    bce = functional.binary_cross_entropy_with_logits(logits[1], targets[1])
    torch.testing.assert_close(without[1], 2.0 * bce)
    torch.testing.assert_close(without[[0, 2]], both[[0, 2]])
    module = ComboLoss(2.0, 3.0, dice_on_empty=False)
    torch.testing.assert_close(module(logits, targets), without.mean())


def test_the_lovasz_term_is_added_where_there_is_a_target():
    logits, targets = _case(5)
    targets[1] = 0
    plain = combo_loss(logits, targets)
    extra = combo_loss(logits, targets, lovasz_weight=0.5) - plain
    expected = 0.5 * lovasz_hinge(logits, targets) * torch.tensor([1.0, 0.0, 1.0])
    torch.testing.assert_close(extra, expected)


def test_small_targets_count_more_by_the_exponent():
    side = 100
    targets = torch.zeros(5, 1, side, side)
    for number, area in enumerate((84, 42, 168, 1, 0)):  # the median, half, double, a speck, none
        targets[number].view(-1)[:area] = 1
    assert round(MEDIAN_AREA * side * side) == 84
    halves = area_weights(targets, 1.0)
    torch.testing.assert_close(halves, torch.tensor([1.0, 2.0, 0.5, 4.0, 1.0]))
    roots = area_weights(targets, 0.5)
    torch.testing.assert_close(roots[:3], torch.tensor([1.0, 2**0.5, 0.5**0.5]))
    logits = torch.randn(5, 1, side, side, generator=torch.Generator().manual_seed(0))
    losses = combo_loss(logits, targets)
    trust = torch.tensor([1.0, 0.5, 1.0, 1.0, 1.0])
    weighed = ComboLoss(area_exponent=1.0)(logits, targets, trust)
    torch.testing.assert_close(weighed, (losses * halves * trust).sum() / (halves * trust).sum())


def test_the_centre_line_term_is_added_where_there_is_a_target():
    logits, targets = _case(5)
    targets[1] = 0
    plain = combo_loss(logits, targets)
    extra = combo_loss(logits, targets, cl_dice_weight=0.5) - plain
    expected = 0.5 * cl_dice_loss(torch.sigmoid(logits), targets) * torch.tensor([1.0, 0.0, 1.0])
    torch.testing.assert_close(extra, expected)
