import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import FocalLoss
from torch.nn import functional

from pleura.losses import focal_loss_with_logits


def _case(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(2, 1, 5, 6, generator=generator)
    return logits, (torch.rand(2, 1, 5, 6, generator=generator) > 0.6).float()


@given(seed=st.integers(0, 10_000), gamma=st.floats(0.25, 5))
@settings(max_examples=30, deadline=None)
def test_equals_monai(seed, gamma):
    logits, targets = _case(seed)
    expected = FocalLoss(gamma=gamma, reduction="none")(logits, targets)
    torch.testing.assert_close(
        focal_loss_with_logits(logits, targets, gamma), expected, rtol=1e-3, atol=1e-6
    )


def test_gamma_0_is_cross_entropy():
    logits, targets = _case(0)
    expected = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    assert torch.equal(focal_loss_with_logits(logits, targets, 0), expected)
    torch.testing.assert_close(focal_loss_with_logits(logits, targets, 1e-6), expected)


def test_a_fractional_target_costs_no_more_than_cross_entropy_and_nothing_extra_when_met():
    targets = torch.linspace(0.05, 0.95, 19)
    met = torch.logit(targets)
    assert (focal_loss_with_logits(met, targets, 2.0) < 1e-6).all()
    missed = met + 1.5
    cross_entropy = functional.binary_cross_entropy_with_logits(missed, targets, reduction="none")
    assert (focal_loss_with_logits(missed, targets, 2.0) < cross_entropy).all()


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_extreme_logits_stay_finite(gamma):
    logits = torch.tensor([-200.0, 200.0, -200.0, 200.0, 0.0], requires_grad=True)
    losses = focal_loss_with_logits(logits, torch.tensor([0.0, 0.0, 1.0, 1.0, 0.5]), gamma)
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(logits.grad).all()
    assert losses.tolist()[:4] == pytest.approx([0, 200, 200, 0])
