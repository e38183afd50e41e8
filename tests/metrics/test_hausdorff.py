import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_hausdorff_distance

from pleura.metrics import hausdorff_95


def blobs(seed):
    generator = np.random.default_rng(seed)
    mask = np.zeros((40, 30), bool)
    for top, left in generator.integers(0, 26, (generator.integers(1, 4), 2)):
        height, width = generator.integers(1, 14, 2)
        mask[top : top + height, left : left + width] = True
    return mask


@given(seed=st.integers(0, 10_000), row=st.floats(0.1, 3), column=st.floats(0.1, 3))
@settings(max_examples=60, deadline=None)
def test_equals_monais(seed, row, column):
    predicted, true = blobs(seed), blobs(seed + 1)
    channels = [torch.from_numpy(mask)[None, None].float() for mask in (predicted, true)]
    expected = compute_hausdorff_distance(
        *channels, include_background=True, percentile=95, spacing=[row, column]
    )
    assert hausdorff_95(predicted, true, (row, column)) == pytest.approx(float(expected), rel=1e-5)


def test_what_it_says_of_a_shifted_square_and_of_a_stray_pixel():
    square = np.zeros((60, 60), bool)
    square[10:30, 10:30] = True
    assert hausdorff_95(square, square) == 0
    assert hausdorff_95(np.roll(square, 5, 1), square, (1.0, 0.2)) == pytest.approx(1.0)
    stray = square.copy()
    stray[59, 59] = True
    assert hausdorff_95(stray, square) == 0  # one pixel of 77 is beyond the percentile


def test_without_an_edge_there_is_no_distance():
    mask = np.ones((3, 4), bool)
    assert np.isnan(hausdorff_95(mask, ~mask))
    assert np.isnan(hausdorff_95(~mask, mask))
    with pytest.raises(ValueError, match="rows, columns"):
        hausdorff_95(mask, mask[:2])
    with pytest.raises(ValueError, match="rows, columns"):
        hausdorff_95(mask[None], mask[None])
