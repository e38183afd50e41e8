"""Letterbox: to the square and back to the place one came from."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pleura.masks import Letterbox

Mask = NDArray[np.bool_]
Map = NDArray[np.float32]

sides = st.integers(20, 400)
sizes = st.sampled_from([32, 64, 96, 128])


def dice(first: Mask, second: Mask) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def centroid(weights: Map) -> tuple[float, float]:
    """(row, column) of the centre of mass, pixel centres at i + 0.5."""
    total = weights.sum(dtype=np.float64)
    rows = (weights.sum(axis=1, dtype=np.float64) * (np.arange(weights.shape[0]) + 0.5)).sum()
    columns = (weights.sum(axis=0, dtype=np.float64) * (np.arange(weights.shape[1]) + 0.5)).sum()
    return rows / total, columns / total


def ellipse(box: Letterbox, row: float, column: float, height: float, width: float) -> Mask:
    """An ellipse whose centre and half-axes are given as shares of the file's sides."""
    y = (np.arange(box.rows) + 0.5)[:, None] / box.rows
    x = (np.arange(box.columns) + 0.5)[None, :] / box.columns
    return ((y - row) / height) ** 2 + ((x - column) / width) ** 2 <= 1


def coarser(square: Map, stride: int) -> Map:
    side = square.shape[0] // stride
    mean = square.reshape(side, stride, side, stride).mean(axis=(1, 3))
    return np.ascontiguousarray(mean, dtype=np.float32)


def naive_invert(box: Letterbox, square: Map) -> Map:
    """Bilinear sampling pixel by pixel, with the samples kept inside the content."""
    top, left, bottom, right = box.content_box
    result = np.zeros((box.rows, box.columns), dtype=np.float64)
    for row in range(box.rows):
        for column in range(box.columns):
            y = (row + 0.5) * (bottom - top) / box.rows - 0.5
            x = (column + 0.5) * (right - left) / box.columns - 0.5
            y = top + min(max(y, 0), bottom - top - 1)
            x = left + min(max(x, 0), right - left - 1)
            i, j = min(int(y), bottom - 1), min(int(x), right - 1)
            i2, j2 = min(i + 1, bottom - 1), min(j + 1, right - 1)
            upper = square[i, j] * (1 - x + j) + square[i, j2] * (x - j)
            lower = square[i2, j] * (1 - x + j) + square[i2, j2] * (x - j)
            result[row, column] = upper * (1 - y + i) + lower * (y - i)
    return result.astype(np.float32)


def naive_area_mean(pixels: Map, rows: int, columns: int) -> Map:
    """Mean over the exact part of each source pixel that a target pixel covers."""

    def overlap(source: int, target: int) -> NDArray[np.float64]:
        edges = np.arange(target + 1) * source / target
        cells = np.arange(source)
        low = np.maximum(edges[:-1, None], cells)
        high = np.minimum(edges[1:, None], cells + 1)
        share: NDArray[np.float64] = np.clip(high - low, 0, None) * target / source
        return share

    return (overlap(pixels.shape[0], rows) @ pixels @ overlap(pixels.shape[1], columns).T).astype(
        np.float32
    )


@given(rows=sides, columns=sides, size=sizes)
def test_content_keeps_the_aspect_and_is_centred(rows: int, columns: int, size: int) -> None:
    top, left, bottom, right = Letterbox(rows, columns, size).content_box
    scale = size / max(rows, columns)
    assert max(bottom - top, right - left) == size
    assert abs((bottom - top) - rows * scale) <= 0.5
    assert abs((right - left) - columns * scale) <= 0.5
    assert 0 <= (size - bottom) - top <= 1
    assert 0 <= (size - right) - left <= 1


def test_a_needle_keeps_one_pixel() -> None:
    assert Letterbox(4000, 1, 64).content_box == (0, 31, 64, 32)


@pytest.mark.parametrize(("rows", "columns"), [(50, 50), (64, 40), (31, 70), (129, 128)])
def test_shrinking_is_the_area_mean(rows: int, columns: int) -> None:
    box = Letterbox(rows, columns, 24)
    pixels = np.random.default_rng(0).random((rows, columns), dtype=np.float32)
    top, left, bottom, right = box.content_box
    square = box.apply(pixels, pad_value=0.25)
    np.testing.assert_allclose(
        square[top:bottom, left:right],
        naive_area_mean(pixels, bottom - top, right - left),
        atol=2e-5,
    )
    border = np.ones_like(square, dtype=np.bool_)
    border[top:bottom, left:right] = False
    assert (square[border] == np.float32(0.25)).all()
    assert square.dtype == np.float32


@settings(max_examples=30)
@given(
    rows=st.integers(3, 40),
    columns=st.integers(3, 40),
    size=st.sampled_from([8, 16, 32]),
    seed=st.integers(0, 99),
)
def test_inverse_is_bilinear_at_pixel_centres(
    rows: int, columns: int, size: int, seed: int
) -> None:
    box = Letterbox(rows, columns, size)
    square = np.random.default_rng(seed).random((size, size), dtype=np.float32)
    np.testing.assert_allclose(box.invert(square), naive_invert(box, square), atol=1e-5)


@settings(max_examples=30)
@given(
    rows=st.integers(3, 40),
    columns=st.integers(3, 40),
    factor=st.integers(1, 5),
    border=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_exact_when_enlarged_by_a_whole_factor(
    rows: int, columns: int, factor: int, border: int, seed: int
) -> None:
    box = Letterbox(rows, columns, factor * max(rows, columns))
    mask = np.random.default_rng(seed).random((rows, columns)) < 0.5
    mask[:border] = True
    np.testing.assert_array_equal(box.invert(box.apply_mask(mask)) >= 0.5, mask)


@settings(max_examples=60)
@given(
    rows=sides,
    columns=sides,
    size=sizes,
    stride=st.sampled_from([1, 2, 4]),
    row=st.floats(0.3, 0.7),
    column=st.floats(0.3, 0.7),
    height=st.floats(0.1, 0.28),
    width=st.floats(0.1, 0.28),
)
def test_a_mask_returns_where_it_came_from(
    rows: int,
    columns: int,
    size: int,
    stride: int,
    row: float,
    column: float,
    height: float,
    width: float,
) -> None:
    box = Letterbox(rows, columns, size)
    mask = ellipse(box, row, column, height, width)
    pixel = max(1.0, stride * max(rows, columns) / size)  # side of a map pixel, in file pixels
    thin = 2 * min(height * rows, width * columns) / pixel  # thickness in map pixels
    assume(thin >= 3)
    returned = box.invert(coarser(box.apply_mask(mask), stride))
    # A displaced edge costs Dice about its displacement over the thickness.
    assert dice(returned >= 0.5, mask) >= 1 - 0.6 / thin
    (y, x), (true_y, true_x) = centroid(returned), centroid(mask.astype(np.float32))
    assert abs(y - true_y) < 0.25 * pixel
    assert abs(x - true_x) < 0.25 * pixel


@pytest.mark.parametrize("shape", [(1024, 1024), (1024, 840), (700, 1024), (300, 301)])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_no_systematic_shift(shape: tuple[int, int], stride: int) -> None:
    """Over many masks the mean error vanishes; half a pixel off would be about 4 file pixels."""
    box = Letterbox(*shape, 128)
    generator = np.random.default_rng(1)
    errors = []
    for _ in range(12):
        row, column, height, width = generator.uniform([0.3, 0.3, 0.1, 0.1], [0.7, 0.7, 0.25, 0.25])
        mask = ellipse(box, row, column, height, width)
        returned = box.invert(coarser(box.apply_mask(mask), stride))
        errors.append(np.subtract(centroid(returned), centroid(mask.astype(np.float32))))
    assert np.abs(np.mean(errors, axis=0)).max() < 0.03 * stride * max(shape) / 128


@settings(max_examples=60)
@given(rows=sides, columns=sides, size=sizes, at=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_single_points_return_within_half_a_model_pixel(
    rows: int, columns: int, size: int, at: tuple[float, float]
) -> None:
    box = Letterbox(rows, columns, size)
    assume(
        min(box.content_box[2] - box.content_box[0], box.content_box[3] - box.content_box[1]) > 4
    )
    model_pixel = max(rows, columns) / size
    # A whole model pixel off the border, where the map cannot spread on all sides.
    margin = math.ceil(1.5 * max(model_pixel, 1))
    row = margin + int(at[0] * (rows - 1 - 2 * margin))
    column = margin + int(at[1] * (columns - 1 - 2 * margin))
    mask = np.zeros((rows, columns), dtype=np.bool_)
    mask[row, column] = True
    y, x = centroid(box.invert(box.apply_mask(mask)))
    assert abs(y - (row + 0.5)) <= 0.5 * max(model_pixel, 1)
    assert abs(x - (column + 0.5)) <= 0.5 * max(model_pixel, 1)


@pytest.mark.parametrize("shape", [(300, 300), (300, 200), (180, 333), (20, 30)])
@pytest.mark.parametrize("corner", [(0, 0), (0, -1), (-1, 0), (-1, -1)])
def test_corners_return_to_corners(shape: tuple[int, int], corner: tuple[int, int]) -> None:
    box = Letterbox(*shape, 64)
    top, left, bottom, right = box.content_box
    mask = np.zeros(shape, dtype=np.bool_)
    mask[corner] = True
    square = box.apply_mask(mask)
    in_content = square[top:bottom, left:right]
    assert np.argmax(in_content) == np.ravel_multi_index(
        (corner[0] % in_content.shape[0], corner[1] % in_content.shape[1]), in_content.shape
    )
    assert square.sum() == pytest.approx(in_content.sum())
    returned = box.invert(square)
    assert returned[corner] == returned.max() > 0


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_a_ramp_returns_as_the_ramp(stride: int) -> None:
    """A linear map is kept by averaging and by interpolation, so any shift would show in full."""
    box = Letterbox(600, 410, 128)
    ramp = np.tile(np.arange(410, dtype=np.float32), (600, 1))
    square = box.apply(ramp)
    _, left, _, right = box.content_box
    square[:, :left], square[:, right:] = np.float32(0), np.float32(409)
    inner = slice(3 * 5 * stride, -3 * 5 * stride)
    returned = box.invert(coarser(square, stride))[inner, inner]
    np.testing.assert_allclose(returned, ramp[inner, inner], atol=0.3)


def test_identity() -> None:
    box = Letterbox(64, 64, 64)
    pixels = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    assert box.is_identity
    for result in (box.apply(pixels), box.invert(pixels)):
        np.testing.assert_array_equal(result, pixels)
        assert not np.shares_memory(result, pixels)
    assert not Letterbox(64, 63, 64).is_identity
    assert not Letterbox(64, 64, 32).is_identity


def test_bytes_stay_bytes() -> None:
    square = Letterbox(60, 40, 30).apply(np.full((60, 40), 200, dtype=np.uint8), pad_value=7)
    assert square.dtype == np.uint8
    assert set(np.unique(square).tolist()) == {7, 200}


def test_coverage_of_a_full_mask_is_one_inside_and_zero_outside() -> None:
    box = Letterbox(333, 127, 100)
    coverage = box.apply_mask(np.ones((333, 127), dtype=np.bool_))
    top, left, bottom, right = box.content_box
    assert coverage.max() <= 1
    np.testing.assert_allclose(coverage[top:bottom, left:right], 1, atol=1e-5)
    assert coverage.sum() == pytest.approx((bottom - top) * (right - left), rel=1e-5)


def test_refuses_another_grid_or_type() -> None:
    box = Letterbox(60, 40, 30)
    with pytest.raises(ValueError, match="pixels are"):
        box.apply(np.zeros((40, 60), dtype=np.float32))
    with pytest.raises(ValueError, match="uint8 or float32"):
        box.apply(np.zeros((60, 40), dtype=np.float64))  # type: ignore[type-var]
    with pytest.raises(ValueError, match="mask must be bool"):
        box.apply_mask(np.zeros((60, 40), dtype=np.uint8))
    with pytest.raises(ValueError, match="map must be"):
        box.invert(np.zeros((30, 20), dtype=np.float32))
    with pytest.raises(ValueError, match="positive"):
        Letterbox(0, 40, 30)
