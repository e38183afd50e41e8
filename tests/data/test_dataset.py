from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from pleura.data.augment import Augmentation
from pleura.data.dataset import BalancedSampler, Draw, Examples, RadiographDataset
from pleura.inference.manifest import Preprocessing

PREPROCESSING = Preprocessing(size=32, mean=0.4, std=0.2)


def _examples(positives=4, negatives=12, synthetic=0, side=48):
    rng = np.random.default_rng(0)
    count = positives + negatives + synthetic
    images = rng.integers(0, 256, (count, side, side), dtype=np.uint8)
    masks = np.zeros((count, side, side), np.uint8)
    masks[:positives, 6:18, 30:42] = 255
    labels = np.zeros(count, np.float32)
    labels[:positives] = 1
    weights = np.linspace(0.5, 1, count, dtype=np.float32)
    synthetic = np.arange(count) >= positives + negatives
    one_sided = (labels == 0) & ~synthetic & (np.arange(count) % 2 == 1)
    return Examples(
        images, masks, labels, weights, synthetic, one_sided, np.zeros(len(labels), bool)
    )


def _sampler(examples, fraction=0.5, sizes=(32,), seed=0, synthetic=0.0, rank=0, world_size=1):
    positions = np.arange(len(examples))
    return BalancedSampler(
        examples, positions, (fraction,), sizes, seed, synthetic, rank, world_size
    )


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_shapes_and_types(stride):
    dataset = RadiographDataset(_examples(), PREPROCESSING, stride)
    sample = dataset[2]
    assert sample["image"].shape == (1, 32, 32)
    assert sample["mask"].shape == (1, 32 // stride, 32 // stride)
    assert {sample[key].dtype for key in ("image", "mask", "label", "mask_weight")} == {
        torch.float32
    }
    assert sample["label"].shape == sample["mask_weight"].shape == ()
    assert sample["position"] == 2
    assert 0 <= sample["mask"].min() <= sample["mask"].max() <= 1
    assert len(dataset) == 16


def test_a_plain_example_is_the_cached_image_standardised():
    examples = _examples(side=32)
    sample = RadiographDataset(examples, PREPROCESSING, 1)[3]
    expected = (examples.images[3] / 255 - 0.4) / 0.2
    np.testing.assert_allclose(sample["image"][0], expected, atol=1e-5)
    np.testing.assert_array_equal(sample["mask"][0], examples.masks[3] / np.float32(255))
    assert sample["label"] == 1
    assert sample["mask_weight"] == examples.mask_weights[3]


def test_the_coarse_mask_is_the_covered_share():
    """48 pixels to 32 / 4 = 8: each cell is the mean of a block of 6 x 6."""
    examples = _examples()
    mask = RadiographDataset(examples, PREPROCESSING, 4)[0]["mask"][0].numpy()
    expected = examples.masks[0].reshape(8, 6, 8, 6).mean((1, 3)) / 255
    np.testing.assert_allclose(mask, expected, atol=1e-6)


def test_a_draw_chooses_position_size_and_version():
    dataset = RadiographDataset(_examples(), PREPROCESSING, 2, Augmentation())
    first, again = dataset[Draw(5, 11, 64)], dataset[Draw(5, 11, 64)]
    other = dataset[Draw(5, 12, 64)]
    assert first["image"].shape == (1, 64, 64)
    assert first["mask"].shape == (1, 32, 32)
    assert first["position"] == 5
    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["image"], other["image"])


def test_positions_choose_and_order():
    dataset = RadiographDataset(_examples(), PREPROCESSING, 1, positions=np.array([9, 0, 4]))
    assert [sample["position"] for sample in (dataset[i] for i in range(len(dataset)))] == [9, 0, 4]


def test_batches_through_a_loader_have_the_size_of_the_epoch():
    examples = _examples()
    sampler = _sampler(examples, sizes=(32, 64))
    dataset = RadiographDataset(examples, PREPROCESSING, 4, Augmentation())
    loader = DataLoader(dataset, batch_size=4, sampler=sampler)
    for epoch, size in enumerate((32, 64, 64)):
        sampler.set_epoch(epoch)
        batches = list(loader)
        assert {tuple(batch["image"].shape) for batch in batches} == {(4, 1, size, size)}
        assert {tuple(batch["mask"].shape) for batch in batches} == {(4, 1, size // 4, size // 4)}
        assert batches[0]["position"].shape == batches[0]["label"].shape == (4,)


@given(
    positives=st.integers(1, 30),
    negatives=st.integers(1, 30),
    synthetic=st.integers(1, 10),
    fraction=st.floats(0.1, 0.9),
    share=st.floats(0, 0.45),
)
@settings(max_examples=60, deadline=None)
def test_shares(positives, negatives, synthetic, fraction, share):
    examples = _examples(positives, negatives, synthetic, side=1)
    sampler = _sampler(examples, fraction, synthetic=share)
    drawn = np.array([draw.position for draw in sampler])
    total = positives + negatives
    assert len(drawn) == len(sampler)
    assert abs(len(drawn) - total) <= 1  # rounding of two shares
    phantoms = examples.synthetic[drawn]
    assert abs(phantoms.sum() - share * total) <= 1
    real = drawn[~phantoms]
    assert abs((examples.labels[real] == 1).sum() - fraction * len(real)) <= 1.5


@given(positives=st.integers(1, 12), negatives=st.integers(1, 12), epoch=st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_none_is_drawn_twice_before_all_of_its_class_were(positives, negatives, epoch):
    examples = _examples(positives, negatives, side=1)
    sampler = _sampler(examples)
    sampler.set_epoch(epoch)
    times = Counter(draw.position for draw in sampler)
    for members in (range(positives), range(positives, positives + negatives)):
        counts = [times[position] for position in members]
        assert max(counts) - min(counts) <= 1


def test_an_epoch_is_reproducible_by_itself():
    examples = _examples(side=1)
    straight = _sampler(examples)
    epochs = []
    for epoch in range(3):
        straight.set_epoch(epoch)
        epochs.append(list(straight))
    resumed = _sampler(examples)
    resumed.set_epoch(2)
    assert list(resumed) == epochs[2]
    started_late = BalancedSampler(examples, np.arange(len(examples)), (0.5,), (32,), 0, epoch=2)
    assert list(started_late) == epochs[2]
    assert epochs[0] != epochs[1]
    assert list(_sampler(examples, seed=1)) != epochs[0]


def test_no_two_draws_share_a_seed():
    draws = list(_sampler(_examples(side=1)))
    assert len({draw.seed for draw in draws}) == len(draws)


@given(world_size=st.integers(1, 5), epoch=st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_ranks_are_disjoint_and_together_what_one_process_draws(world_size, epoch):
    examples = _examples(side=1)
    whole = _sampler(examples)
    whole.set_epoch(epoch)
    ranks = []
    for rank in range(world_size):
        sampler = _sampler(examples, rank=rank, world_size=world_size)
        sampler.set_epoch(epoch)
        ranks.append(list(sampler))
        assert len(ranks[-1]) == len(sampler) == len(whole) // world_size
    together = [draw for rank in ranks for draw in rank]
    assert len(set(together)) == len(together)  # a draw's seed is its own
    used = len(whole) // world_size * world_size
    assert sorted(together) == sorted(list(whole)[:used])


def test_only_the_training_positions_are_drawn():
    examples = _examples(side=1)
    positions = np.array([0, 2, 5, 7, 9])
    sampler = BalancedSampler(examples, positions, (0.5,), (32,), 0)
    assert {draw.position for draw in sampler} <= set(positions.tolist())
    assert len(sampler) in (4, 5)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_images_of_one_sided_sources_have_their_share_of_their_class(share):
    examples = _examples(positives=8, negatives=32)
    sampler = BalancedSampler(
        examples, np.arange(len(examples)), (0.5,), (32,), 0, one_sided_fraction=share
    )
    drawn = np.array([draw.position for draw in sampler])
    negatives = drawn[examples.labels[drawn] == 0]
    assert len(drawn) == 40
    assert len(negatives) == 20
    assert examples.one_sided[negatives].mean() == pytest.approx(share)


def test_a_class_with_one_kind_of_source_is_drawn_as_it_is():
    """Positives come from two-sided sources alone, whatever share is asked for."""
    examples = _examples(positives=8, negatives=32)
    asked = BalancedSampler(examples, np.arange(8), (0.5,), (32,), 0, one_sided_fraction=0.25)
    assert len(list(asked)) == 4


def test_what_a_teacher_labelled_has_a_share_of_its_own():
    examples = _examples(positives=8, negatives=32)
    taught = np.zeros(len(examples), bool)
    taught[-10:] = True
    examples = replace(examples, taught=taught)
    sampler = BalancedSampler(
        examples, np.arange(len(examples)), (0.5,), (32,), 0, taught_fraction=0.4
    )
    drawn = np.array([draw.position for draw in sampler])
    assert len(drawn) == 30  # an epoch is as long as there are images with a label of their own
    assert examples.taught[drawn].sum() == 12
    own = drawn[~examples.taught[drawn]]
    assert examples.labels[own].mean() == pytest.approx(0.5)
    without = BalancedSampler(examples, np.arange(len(examples)), (0.5,), (32,), 0)
    assert not any(examples.taught[draw.position] for draw in without)


def test_the_share_of_positives_moves_from_epoch_to_epoch_and_the_length_stays():
    examples = _examples(positives=8, negatives=33)
    sampler = BalancedSampler(examples, np.arange(len(examples)), (0.8, 0.5, 0.2), (32,), 0)
    for epoch, share in enumerate((0.8, 0.5, 0.2, 0.2)):
        sampler.set_epoch(epoch)
        drawn = np.array([draw.position for draw in sampler])
        assert len(drawn) == len(sampler) == 41
        assert examples.labels[drawn].sum() == round(41 * share)


def test_examples_join_in_order():
    one, other = _examples(), _examples(positives=1, negatives=2)
    joined = one.joined(other)
    assert len(joined) == len(one) + 3
    np.testing.assert_array_equal(joined.images[: len(one)], one.images)
    np.testing.assert_array_equal(joined.masks[len(one) :], other.masks)
    np.testing.assert_array_equal(joined.labels, [*one.labels, *other.labels])
