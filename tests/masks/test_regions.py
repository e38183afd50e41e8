"""Connected regions: found, measured, ordered and dropped as by a plain flood fill."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pleura.masks import (
    ImageSide,
    PatientSide,
    connected_regions,
    patient_side,
    remove_small,
)

Mask = NDArray[np.bool_]
masks = hnp.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def flood_fill(mask: Mask) -> list[set[tuple[int, int]]]:
    """Pixels of each 8-connected region, by walking from neighbour to neighbour."""
    left_over = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    regions = []
    while left_over:
        front = [left_over.pop()]
        region = set(front)
        while front:
            row, column = front.pop()
            near = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left_over
            left_over -= near
            region |= near
            front += near
        regions.append(region)
    return regions


@given(mask=masks, data=st.data())
def test_equals_a_flood_fill(mask: Mask, data: st.DataObject) -> None:
    probabilities = data.draw(
        hnp.arrays(np.float32, mask.shape, elements=st.floats(0, 1, width=16))
    )
    expected: list[object] = []
    sizes: list[int] = []
    for pixels in flood_fill(mask):
        rows, columns = zip(*pixels, strict=True)
        middle = np.mean(columns) - (mask.shape[1] - 1) / 2
        score = np.mean([float(probabilities[pixel]) for pixel in pixels])
        box = (min(rows), min(columns), max(rows) + 1, max(columns) + 1)
        side = "right" if middle > -1e-9 else "left"
        sizes.append(len(pixels))
        expected.append((len(pixels), box, side, pytest.approx(score, abs=1e-6)))
    found = connected_regions(mask, probabilities)
    assert [region.area_px for region in found] == sorted(sizes, reverse=True)
    for region in found:
        described = (region.area_px, region.box, str(region.image_side), region.score)
        # By search, not by order: regions of one size may share everything but the score.
        assert described in expected


@given(mask=masks, min_area=st.integers(0, 20), keep_largest=st.booleans())
def test_remove_small_equals_a_flood_fill(mask: Mask, min_area: int, keep_largest: bool) -> None:
    kept = remove_small(mask, min_area, keep_largest)
    regions = flood_fill(mask)
    large = [region for region in regions if len(region) >= min_area]
    if keep_largest and regions and not large:
        largest = connected_regions(mask)[0]
        assert kept.sum() == largest.area_px == max(map(len, regions))
        assert len(flood_fill(kept)) == 1
        assert connected_regions(kept)[0].box == largest.box
        assert not (kept & ~mask).any()
    else:
        expected = {pixel for region in large for pixel in region}
        assert {(int(row), int(column)) for row, column in np.argwhere(kept)} == expected


def test_largest_first_then_by_box() -> None:
    mask = np.zeros((9, 9), dtype=np.bool_)
    mask[8, 0] = mask[0, 4] = mask[4, 8] = True
    mask[5:7, 2:4] = True
    boxes = [region.box for region in connected_regions(mask)]
    assert boxes == [(5, 2, 7, 4), (0, 4, 1, 5), (4, 8, 5, 9), (8, 0, 9, 1)]


def test_side_is_where_the_centroid_lies() -> None:
    mask = np.zeros((6, 8), dtype=np.bool_)
    mask[0, 0:6] = True
    mask[2, 3] = True
    mask[4, 4] = True
    sides = {region.box[0]: region.image_side for region in connected_regions(mask)}
    assert sides == {0: ImageSide.LEFT, 2: ImageSide.LEFT, 4: ImageSide.RIGHT}


def test_diagonal_neighbours_are_one_region() -> None:
    assert [region.area_px for region in connected_regions(np.eye(5, dtype=np.bool_))] == [5]


def test_score_without_a_map_is_one() -> None:
    assert connected_regions(np.ones((2, 3), dtype=np.bool_))[0].score == 1.0


def test_an_empty_mask_has_no_regions() -> None:
    empty = np.zeros((5, 4), dtype=np.bool_)
    assert connected_regions(empty) == ()
    assert not remove_small(empty, 3, keep_largest=True).any()


def test_remove_small_leaves_its_argument_alone() -> None:
    mask = np.eye(4, dtype=np.bool_)
    for min_area in (0, 100):
        result = remove_small(mask, min_area)
        assert not np.shares_memory(result, mask)
    assert mask.sum() == 4


def test_refuses_another_grid_or_type() -> None:
    mask = np.ones((4, 4), dtype=np.bool_)
    with pytest.raises(ValueError, match="map is"):
        connected_regions(mask, np.ones((4, 5), dtype=np.float32))
    with pytest.raises(ValueError, match="mask must be bool"):
        remove_small(mask.astype(np.uint8), 1)


@pytest.mark.parametrize(
    ("orientation", "at_left", "at_right"),
    [
        (("L", "F"), PatientSide.RIGHT, PatientSide.LEFT),
        (("R", "F"), PatientSide.LEFT, PatientSide.RIGHT),  # a mirrored film
        (("LP", "F"), PatientSide.RIGHT, PatientSide.LEFT),
        (("RAF", "FR"), PatientSide.LEFT, PatientSide.RIGHT),
        (("R", "H"), PatientSide.LEFT, PatientSide.RIGHT),  # upside down
        (("F", "L"), None, None),  # turned by 90 degrees: the halves are not sides
        (("A", "F"), None, None),  # lateral
        (("", ""), None, None),
        (None, None, None),
    ],
)
def test_the_patient_side_follows_the_direction_of_the_columns(orientation, at_left, at_right):
    assert patient_side(ImageSide.LEFT, orientation) is at_left
    assert patient_side(ImageSide.RIGHT, orientation) is at_right
