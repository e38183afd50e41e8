"""The grid search against the predictor's own way from a map to a mask."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pleura.evaluation import choose_mask_rule
from pleura.inference.manifest import MaskRule
from pleura.inference.postprocess import mask_from_map
from pleura.metrics import EmptyConvention, mean_dice

AREAS = (0.0, 0.004, 0.02, 0.3)
CUTS = [MaskRule(threshold=threshold) for threshold in (0.3, 0.5, 0.7)]
CUTS += [MaskRule(method="expected_dice", threshold=floor) for floor in (0.1, 0.4)]


def made_case(generator, shape=(40, 32)):
    noise = cv2.GaussianBlur(generator.random(shape).astype(np.float32), (0, 0), 2.0)
    noise = (noise - noise.min()) / (noise.max() - noise.min())
    true = np.zeros(shape, bool)
    true[5:20, 8:20] = True
    return np.clip(0.6 * noise + 0.4 * true, 0, 1).astype(np.float32), true


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_the_grid_equals_the_predictors_own_masks(seed):
    generator = np.random.default_rng(seed)
    cases = [made_case(generator) for _ in range(3)]
    choice = choose_mask_rule(
        cases, thresholds=(0.3, 0.5, 0.7), floors=(0.1, 0.4), min_area_fractions=AREAS
    )
    assert list(choice.cuts) == CUTS
    true = np.stack([mask for _, mask in cases])
    for row, cut in enumerate(CUTS):
        for column, area in enumerate(AREAS):
            rule = cut.model_copy(update={"min_area_fraction": area})
            predicted = np.stack([mask_from_map(values, rule) for values, _ in cases])
            expected = mean_dice(predicted, true, EmptyConvention.POSITIVES)
            assert choice.mean_dice[row, column] == pytest.approx(expected)
    best = choice.mean_dice.max()
    assert choice.dice.value == pytest.approx(best)
    cut = choice.rule.model_copy(update={"min_area_fraction": 0.0})
    place = (CUTS.index(cut), AREAS.index(choice.rule.min_area_fraction))
    assert choice.mean_dice[place] == best
    assert choice.dice.n == 3


def test_specks_are_dropped_and_the_largest_region_stays():
    true = np.zeros((50, 50), bool)
    true[10:30, 10:30] = True
    values = np.where(true, 0.9, 0.0).astype(np.float32)
    values[40:43:2, 40:49:2] = 0.9
    areas = (0.0, 0.01, 0.9)
    choice = choose_mask_rule(
        [(values, true)], thresholds=[0.5], floors=(), min_area_fractions=areas
    )
    assert choice.rule == MaskRule(threshold=0.5, min_area_fraction=0.01)
    np.testing.assert_allclose(choice.mean_dice[0, 1:], 1.0)
    assert choice.mean_dice[0, 0] < 1.0


def test_a_map_on_a_coarser_grid_is_brought_to_the_masks():
    true = np.zeros((64, 64), bool)
    true[16:48, 16:48] = True
    coarse = cv2.resize(true.astype(np.float32), (32, 32), interpolation=cv2.INTER_AREA)
    choice = choose_mask_rule([(coarse, true)], thresholds=[0.5], min_area_fractions=[0.0])
    assert choice.dice.value > 0.97


def test_nothing_above_the_threshold_scores_nothing():
    true = np.ones((4, 4), bool)
    values = np.full((4, 4), 0.4, np.float32)
    choice = choose_mask_rule(
        [(values, true)], thresholds=[0.3, 0.5], floors=(), min_area_fractions=[0.0]
    )
    np.testing.assert_allclose(choice.mean_dice[:, 0], [1.0, 0.0])


def test_what_cannot_be_searched_is_refused():
    empty = np.zeros((4, 4), np.float32), np.zeros((4, 4), bool)
    with pytest.raises(ValueError, match="true mask that is not empty"):
        choose_mask_rule([empty])
    with pytest.raises(ValueError, match="at least one case"):
        choose_mask_rule([])
    with pytest.raises(ValueError, match="at least one threshold"):
        choose_mask_rule([empty], thresholds=[], floors=[])
