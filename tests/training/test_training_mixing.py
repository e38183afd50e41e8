import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pleura.training.mixing import Mixing, cut_mix, mix, transplant


def test_mixup_mixes_every_part_with_the_same_partner():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((6, 1, 4, 4), generator=generator)
    label = torch.arange(6.0) / 10
    batch = {
        "image": image,
        "mask": image.round(),
        "label": label,
        "mask_weight": torch.tensor([1.0, 1.0, 0.0, 0.7, 1.0, 1.0]),
        "position": torch.arange(6),
    }
    mixed = mix(batch, 0.75)
    for i in range(6):
        other = round(float((mixed["label"][i] - 0.75 * label[i]) / 0.25 * 10))
        torch.testing.assert_close(mixed["image"][i], 0.75 * image[i] + 0.25 * image[other])
        torch.testing.assert_close(
            mixed["mask"][i], 0.75 * batch["mask"][i] + 0.25 * batch["mask"][other]
        )
        expected = min(batch["mask_weight"][i], batch["mask_weight"][other])
        assert mixed["mask_weight"][i] == expected
    unchanged = mix(batch, 1.0)
    assert torch.equal(unchanged["image"], image)
    assert torch.equal(unchanged["label"], label)


def test_an_unknown_label_is_unknown_in_the_mixture(monkeypatch):
    monkeypatch.setattr(torch, "randperm", lambda n: torch.tensor([1, 0, 2]))
    image = torch.zeros(3, 1, 2, 2)
    label = torch.tensor([1.0, torch.nan, 0.0])
    batch = {
        "image": image,
        "mask": image,
        "label": label,
        "mask_weight": torch.ones(3),
        "position": torch.arange(3),
    }
    assert torch.isnan(mix(batch, 0.6)["label"]).tolist() == [True, True, False]


@given(
    share=st.floats(0, 1),
    stride=st.sampled_from([1, 2, 4]),
    count=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_cutmix_puts_in_one_box_of_one_partner_and_weighs_the_label_by_its_area(
    share, stride, count, seed
):
    torch.manual_seed(seed)
    names = torch.arange(1.0, count + 1)
    mask = names[:, None, None, None].expand(count, 1, 6, 6)
    image = mask.repeat_interleave(stride, 2).repeat_interleave(stride, 3)
    batch = {
        "image": image,
        "mask": mask,
        "label": names,
        "mask_weight": names,
        "position": torch.arange(count),
    }
    cut = cut_mix(batch, share)
    coarse = cut["image"][..., ::stride, ::stride]
    assert torch.equal(coarse, cut["mask"])
    assert torch.equal(
        cut["image"], coarse.repeat_interleave(stride, 2).repeat_interleave(stride, 3)
    )
    for name, patched, label, weight in zip(
        names, cut["mask"][:, 0], cut["label"], cut["mask_weight"], strict=True
    ):
        rows, columns = torch.nonzero(patched != name, as_tuple=True)
        if not len(rows):
            assert label == pytest.approx(name)
            continue
        box = patched[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert box.unique().numel() == 1
        assert abs(box.numel() / 36 - (1 - share)) <= 2 * 0.5 / 6 + 1 / 144
        assert label == pytest.approx(float(patched.mean()))
        assert weight == min(name, box[0, 0])


@pytest.mark.parametrize(("share", "stays"), [(1.0, True), (0.0, False)])
def test_cutmix_of_nothing_and_of_everything(monkeypatch, share, stays):
    monkeypatch.setattr(torch, "randperm", lambda n: torch.tensor([1, 0]))
    image = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)])
    batch = {
        "image": image,
        "mask": image,
        "label": torch.tensor([0.0, 1.0]),
        "mask_weight": torch.ones(2),
        "position": torch.arange(2),
    }
    cut = cut_mix(batch, share)
    expected = image if stays else image.flip(0)
    assert torch.equal(cut["image"], expected)
    assert torch.equal(cut["mask"], expected)
    assert torch.equal(cut["label"], expected[:, 0, 0, 0])


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0), (0.0, 0.0)])
def test_what_is_switched_off_leaves_the_batch_alone(mixup, cutmix):
    torch.manual_seed(3)
    image = torch.rand(4, 1, 8, 8)
    batch = {
        "image": image,
        "mask": image,
        "label": torch.arange(4.0),
        "mask_weight": torch.ones(4),
        "position": torch.arange(4),
    }
    made = Mixing(mixup=mixup, cutmix=cutmix)(batch)
    assert torch.equal(made["image"], image) == (mixup == cutmix == 0)


def _negatives_and_positives(seed, stride, negatives=5, positives=3, side=24):
    """Masks are a block each; the air of a positive is 2 darker than what lies around it."""
    generator = torch.Generator().manual_seed(seed)
    count = negatives + positives
    grey = torch.rand(count, generator=generator)[:, None, None, None]
    mask = torch.zeros(count, 1, side, side)
    for number in range(positives):
        mask[negatives + number, :, 4 + number : 10 + number, 6:15] = 1
    air = mask.repeat_interleave(stride, 2).repeat_interleave(stride, 3)
    return {
        "image": grey - 2 * air,
        "mask": mask,
        "label": (torch.arange(count) >= negatives).float(),
        "mask_weight": torch.where(torch.arange(count) < negatives, 1.0, 0.8),
        "position": torch.arange(count),
    }


@given(seed=st.integers(0, 999), stride=st.sampled_from([1, 2, 4]))
@settings(max_examples=30, deadline=None)
def test_a_negative_gets_the_pneumothorax_of_a_positive_and_stays_itself_elsewhere(seed, stride):
    torch.manual_seed(seed)
    batch = _negatives_and_positives(seed, stride)
    made = transplant(batch, 1.0)
    assert torch.equal(made["label"], torch.ones(8))
    for name in ("image", "mask", "mask_weight"):
        assert torch.equal(made[name][5:], batch[name][5:])
    for before, after, mask, weight in zip(
        batch["image"][:5],
        made["image"][:5],
        made["mask"][:5],
        made["mask_weight"][:5],
        strict=True,
    ):
        assert any(torch.equal(mask, donor) for donor in batch["mask"][5:])
        assert weight == pytest.approx(0.8)
        inside = torch.nonzero(mask[0]) * stride
        own = before[0, 0, 0]
        torch.testing.assert_close(after[0, 0, 0], own)
        torch.testing.assert_close(after[0, -1, -1], own)
        top, left = inside.min(0).values
        bottom, right = inside.max(0).values + stride
        # The patch is as much darker than the negative as it was than the positive.
        middle = after[0, (top + bottom) // 2, (left + right) // 2]
        torch.testing.assert_close(middle, own - 2, atol=0.75, rtol=0)


def test_half_of_the_negatives_are_changed_and_no_positive_is_needed_for_none():
    torch.manual_seed(1)
    batch = _negatives_and_positives(0, 2, negatives=400)
    assert transplant(batch, 0.5)["label"][:400].mean() == pytest.approx(0.5, abs=0.1)
    alone = _negatives_and_positives(0, 2, positives=0)
    assert transplant(alone, 1.0) is alone
    untrusted = {**batch, "mask_weight": torch.zeros(403)}
    assert transplant(untrusted, 1.0) is untrusted
