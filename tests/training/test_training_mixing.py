import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pleura.training.mixing import cut_mix, mix, mixed_batch


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
    made = mixed_batch(batch, mixup, cutmix)
    assert torch.equal(made["image"], image) == (mixup == cutmix == 0)
