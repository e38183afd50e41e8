"""The threshold of an image's own against a search over every pixel's value."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pleura.inference.manifest import MaskRule
from pleura.inference.postprocess import dice_threshold, mask_from_map


def expected_dice(values, threshold):
    kept = values >= threshold
    return 2 * values[kept].sum() / (kept.sum() + values.sum())


@given(seed=st.integers(0, 10_000), sharpness=st.floats(0.2, 8))
@settings(max_examples=60, deadline=None)
def test_no_threshold_promises_a_higher_dice(seed, sharpness):
    generator = np.random.default_rng(seed)
    values = generator.random((24, 18), dtype=np.float32) ** np.float32(sharpness)
    best = max(expected_dice(values.astype(np.float64), each) for each in np.unique(values))
    threshold = dice_threshold(values)
    assert expected_dice(values.astype(np.float64), threshold) == pytest.approx(best, abs=2e-3)
    # Lipton et al.: the best threshold is half of the best value.
    assert threshold == pytest.approx(best / 2, abs=0.06)


def test_a_clear_map_is_cut_at_its_edge_and_a_doubtful_one_lower():
    clear = np.zeros((20, 20), np.float32)
    clear[5:10, 5:10] = 1
    assert dice_threshold(clear) > 0.9
    assert np.array_equal(mask_from_map(clear, MaskRule(method="expected_dice")), clear == 1)
    doubtful = np.full((20, 20), 0.01, np.float32)
    doubtful[5:10, 5:10] = 0.3
    assert 0.01 < dice_threshold(doubtful) <= 0.3
    low = MaskRule(method="expected_dice", threshold=0.05)
    assert np.array_equal(mask_from_map(doubtful, low), doubtful > 0.2)


def test_the_floor_holds_and_nothing_stays_nothing():
    doubtful = np.full((20, 20), 0.01, np.float32)
    doubtful[5:10, 5:10] = 0.3
    assert not mask_from_map(doubtful, MaskRule(method="expected_dice", threshold=0.4)).any()
    empty = np.zeros((4, 4), np.float32)
    assert not mask_from_map(empty, MaskRule(method="expected_dice", threshold=0.01)).any()
