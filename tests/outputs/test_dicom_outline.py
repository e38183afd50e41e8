"""Outlines enclose the pixels of a region, whole, and no others."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pleura.masks import connected_regions
from pleura.outputs.dicom.outline import MOST_POINTS, outlines_of


def filled(shape: tuple[int, int], points: np.ndarray) -> np.ndarray:
    """Pixels whose centres a closed outline goes round, by counting its crossings to the left."""
    down = points[1:].astype(float)
    up = points[:-1].astype(float)
    winding = np.zeros(shape, dtype=int)
    columns = np.arange(shape[1]) + 0.5
    for (x0, y0), (x1, y1) in zip(up, down, strict=True):
        for row in range(shape[0]):
            if min(y0, y1) <= row + 0.5 < max(y0, y1):
                x = x0 + (row + 0.5 - y0) / (y1 - y0) * (x1 - x0)
                winding[row] += np.where(columns > x, 1 if y1 > y0 else -1, 0)
    return winding != 0


def without_holes(region: np.ndarray) -> np.ndarray:
    outside = np.pad(~region, 1, constant_values=True).astype(np.uint8)
    _, labels = cv2.connectedComponents(outside, connectivity=4)
    return (labels != labels[0, 0])[1:-1, 1:-1]


masks = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: arrays(np.bool_, shape)
)


@settings(max_examples=150, deadline=None)
@given(masks)
def test_an_outline_encloses_its_region_and_nothing_else(mask: np.ndarray) -> None:
    outlines = outlines_of(mask)
    regions = connected_regions(mask) if mask.any() else ()
    assert sorted(outlines) == sorted(region.box for region in regions)
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    found = [labels == label for label in range(1, count)]
    for region in found:
        rows, columns = np.nonzero(region)
        box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
        points = outlines[box]
        assert (points[0] == points[-1]).all()
        assert (filled(mask.shape, points) == without_holes(region)).all()


def test_one_pixel_is_a_square_from_its_corner() -> None:
    mask = np.zeros((4, 6), dtype=bool)
    mask[1, 4] = True
    points = outlines_of(mask)[1, 4, 2, 5]
    assert points.tolist() == [[4, 1], [5, 1], [5, 2], [4, 2], [4, 1]]


@pytest.mark.parametrize("period", [2, 3])
def test_a_long_outline_is_simplified_until_it_fits(period: int) -> None:
    """A comb has more corners than Graphic Data can hold."""
    mask = np.zeros((60, 9000), dtype=bool)
    mask[20:40] = True
    mask[10:20, ::period] = True
    (points,) = outlines_of(mask).values()
    assert 4 <= len(points) <= MOST_POINTS + 1
    assert 8 * len(points) < 65534
