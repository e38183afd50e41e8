import pytest
import torch
from torch.nn import functional

from pleura.losses import ImageLoss, image_bce


def test_equals_pytorch():
    logits, labels = torch.tensor([[-2.0], [0.3], [5.0]]), torch.tensor([0.0, 1.0, 0.5])
    expected = functional.binary_cross_entropy_with_logits(logits[:, 0], labels, reduction="none")
    assert torch.equal(image_bce(logits, labels), expected)
    assert torch.equal(image_bce(logits[:, 0], labels), expected)
    assert ImageLoss()(logits, labels).item() == pytest.approx(expected.mean().item())


def test_smoothing_moves_labels_towards_a_half():
    """The smoothed loss is smallest at the smoothed label, not at infinity."""
    at = torch.logit(torch.tensor([0.05, 0.95])).requires_grad_()
    image_bce(at, torch.tensor([0.0, 1.0]), label_smoothing=0.1).sum().backward()
    assert at.grad.tolist() == pytest.approx([0, 0], abs=1e-6)


def test_unknown_labels_teach_nothing():
    logits = torch.tensor([[1.0], [-3.0], [2.0]], requires_grad=True)
    labels = torch.tensor([1.0, float("nan"), 0.0])
    loss = ImageLoss()(logits, labels)
    known = functional.binary_cross_entropy_with_logits(
        torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0])
    )
    assert loss.item() == pytest.approx(known.item())
    loss.backward()
    assert logits.grad[1].item() == 0
    assert (logits.grad[[0, 2]] != 0).all()


def test_a_batch_without_labels_costs_nothing():
    logits = torch.tensor([[1.0], [2.0]], requires_grad=True)
    loss = ImageLoss()(logits, torch.full((2,), float("nan")))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_integer_labels_and_half_precision_logits():
    logits = torch.tensor([[30.0], [-30.0]], dtype=torch.float16)
    losses = image_bce(logits, torch.tensor([0, 1]))
    assert losses.dtype == torch.float32
    assert losses.tolist() == pytest.approx([30, 30])
