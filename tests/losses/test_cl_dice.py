import pytest
import torch

from pleura.losses import cl_dice_loss


def line(*columns: int) -> torch.Tensor:
    """(1, 1, 16, 16) with a horizontal line three pixels wide in some columns."""
    target = torch.zeros(1, 1, 16, 16)
    target[..., 6:9, list(columns)] = 1
    return target


WHOLE = line(*range(2, 14))


def test_the_same_line_costs_nothing_and_another_line_everything():
    assert cl_dice_loss(WHOLE, WHOLE).item() == pytest.approx(0, abs=1e-6)
    elsewhere = WHOLE.roll(7, dims=2)
    assert cl_dice_loss(elsewhere, WHOLE, smooth=1e-6).item() == pytest.approx(1, abs=1e-4)


def test_half_a_line_by_hand():
    """Its skeleton lies in the target, of whose skeleton it covers a share: 2 / (1 + 1 / share)."""
    half = line(*range(2, 8))
    loss = cl_dice_loss(half, WHOLE, smooth=1e-6).item()
    skeleton = WHOLE.clone()
    skeleton[..., [6, 8], :] = 0
    skeleton[..., [2, 13]] = 0  # an erosion by three pixels shortens a line by one at either end
    share = (skeleton * half).sum() / skeleton.sum()
    assert loss == pytest.approx(1 - 2 / (1 + 1 / share.item()), abs=1e-5)


def test_a_line_too_thick_is_no_gap():
    """Dice falls to 0.75 with two more rows; the centre-line stays inside."""
    thick = WHOLE.clone()
    thick[..., 5, 2:14] = thick[..., 9, 2:14] = 1
    gap = WHOLE.clone()
    gap[..., 6:9] = 0
    assert cl_dice_loss(thick, WHOLE).item() < 0.05 < cl_dice_loss(gap, WHOLE).item()


def test_each_image_by_itself_and_a_gradient_that_lowers_it():
    generator = torch.Generator().manual_seed(4)
    targets = torch.cat([WHOLE, line(3, 4), line(8)])
    probabilities = torch.rand(3, 1, 16, 16, generator=generator, requires_grad=True)
    losses = cl_dice_loss(probabilities, targets)
    alone = [cl_dice_loss(probabilities[i : i + 1], targets[i : i + 1])[0] for i in range(3)]
    torch.testing.assert_close(losses, torch.stack(alone))
    losses.sum().backward()
    with torch.no_grad():
        moved = (probabilities - 0.1 * probabilities.grad).clamp(0, 1)
        assert cl_dice_loss(moved, targets).sum() < losses.sum()
