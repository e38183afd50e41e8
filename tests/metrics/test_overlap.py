"""Dice and IoU against torchmetrics and against counting pixel by pixel."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scored import quick
from torchmetrics.functional.classification import binary_f1_score, binary_jaccard_index

from pleura.metrics import EmptyConvention, OverlapAccumulator, dice, iou, mean_dice, mean_iou

KAGGLE, POSITIVES = EmptyConvention.KAGGLE, EmptyConvention.POSITIVES
shapes = array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6)


@st.composite
def mask_pairs(draw):
    shape = draw(shapes)
    masks = [draw(arrays(np.bool_, shape)) for _ in range(2)]
    for mask in masks:
        if draw(st.booleans()):
            mask[0] = False
    return masks


def counted(predicted, true, convention):
    """Dice and IoU of one image, a pixel at a time."""
    both = either = sum_of_areas = true_area = 0
    for p, t in zip(predicted.ravel(), true.ravel(), strict=True):
        both += int(p and t)
        either += int(p or t)
        sum_of_areas += int(p) + int(t)
        true_area += int(t)
    if convention is POSITIVES and true_area == 0:
        return np.nan, np.nan
    if either == 0:
        return 1.0, 1.0
    return 2 * both / sum_of_areas, both / either


@quick
@given(mask_pairs(), st.sampled_from(EmptyConvention))
def test_scores_equal_counting_pixels(masks, convention):
    predicted, true = masks
    expected = [counted(p, t, convention) for p, t in zip(predicted, true, strict=True)]
    np.testing.assert_allclose(dice(predicted, true, convention), [d for d, _ in expected])
    np.testing.assert_allclose(iou(predicted, true, convention), [j for _, j in expected])


@quick
@given(mask_pairs())
def test_scores_equal_torchmetrics(masks):
    """Dice is the F1 of the pixels."""
    scores = zip(*masks, dice(*masks, KAGGLE), iou(*masks, KAGGLE), strict=True)
    for predicted, true, f1, jaccard in scores:
        pixels = [torch.from_numpy(mask.astype(np.int64)) for mask in (predicted, true)]
        if predicted.any() or true.any():
            assert f1 == pytest.approx(float(binary_f1_score(*pixels)), rel=1e-6)
            assert jaccard == pytest.approx(float(binary_jaccard_index(*pixels)), rel=1e-6)
        else:
            assert (f1, jaccard) == (1.0, 1.0)


@quick
@given(mask_pairs())
def test_iou_follows_from_dice(masks):
    score = dice(*masks, KAGGLE)
    np.testing.assert_allclose(iou(*masks, KAGGLE), score / (2 - score))


def test_the_conventions_differ_on_normals_only():
    true = np.zeros((3, 2, 2), dtype=bool)
    true[0, 0, 0] = True
    predicted = np.zeros_like(true)
    predicted[0, 0] = True
    predicted[1, 0, 0] = True
    np.testing.assert_allclose(dice(predicted, true, KAGGLE), [2 / 3, 0.0, 1.0])
    np.testing.assert_allclose(dice(predicted, true, POSITIVES), [2 / 3, np.nan, np.nan])
    assert mean_dice(predicted, true, KAGGLE) == pytest.approx(5 / 9)
    assert mean_dice(predicted, true, POSITIVES) == pytest.approx(2 / 3)
    assert mean_iou(predicted, true, POSITIVES) == pytest.approx(1 / 2)


def test_one_image_gives_one_number():
    mask = np.eye(4, dtype=bool)
    assert dice(mask, mask, POSITIVES).shape == ()
    assert float(dice(mask.astype(np.uint8), mask, KAGGLE)) == 1.0


@pytest.mark.parametrize(
    ("predicted", "true", "sentence"),
    [
        (np.zeros((2, 2), bool), np.zeros((2, 3), bool), "one shape"),
        (np.zeros(4, bool), np.zeros(4, bool), "rows, columns"),
        (np.full((2, 2), 0.4), np.zeros((2, 2), bool), "predicted must hold 0 and 1"),
        (np.zeros((2, 2), bool), np.full((2, 2), 2), "true must hold 0 and 1"),
        (np.full((2, 2), "a"), np.zeros((2, 2), bool), "boolean"),
        (np.zeros((0, 2), bool), np.zeros((0, 2), bool), "not empty"),
    ],
)
def test_bad_masks_are_refused(predicted, true, sentence):
    with pytest.raises(ValueError, match=sentence):
        dice(predicted, true, KAGGLE)


def test_a_mean_over_no_image_is_refused():
    empty = np.zeros((2, 3, 3), bool)
    with pytest.raises(ValueError, match="positives"):
        mean_dice(empty, empty, POSITIVES)
    with pytest.raises(ValueError, match="no image counts"):
        OverlapAccumulator(POSITIVES).compute()


@quick
@given(mask_pairs(), st.sampled_from(EmptyConvention))
def test_batches_accumulate_to_the_whole(masks, convention):
    predicted, true = masks
    accumulator = OverlapAccumulator(convention)
    accumulator.update(predicted[:1], true[:1])
    if len(true) > 1:
        accumulator.update(predicted[1:], true[1:])
    counts = dice(predicted, true, convention)
    assert accumulator.n == np.count_nonzero(~np.isnan(counts))
    if accumulator.n:
        computed = accumulator.compute()
        assert computed["dice"] == pytest.approx(mean_dice(predicted, true, convention))
        assert computed["iou"] == pytest.approx(mean_iou(predicted, true, convention))
    accumulator.reset()
    assert accumulator.n == 0
