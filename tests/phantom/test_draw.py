"""What a phantom must show, whatever its seed."""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pleura.phantom import Kind, Phantom, PhantomSpec, Pneumothorax, Side, draw, spec_for
from pleura.phantom.anatomy import Anatomy
from pleura.phantom.grid import Grid
from pleura.phantom.lung import carve
from pleura.phantom.tissue import pleural_space

SIZE = 384
SEEDS = (3, 10, 13)


@cache
def drawn(seed: int, gas: Pneumothorax | None = None, size: int = SIZE) -> Phantom:
    return draw(replace(spec_for(seed, False), rows=size, columns=size, pneumothorax=gas))


@cache
def gas_mask(seed: int, gas: Pneumothorax) -> NDArray[np.bool_]:
    """The mask alone, without the cost of the skeleton; equal to the drawn one (tested below)."""
    spec = replace(spec_for(seed, False), rows=SIZE, columns=SIZE, pneumothorax=gas)
    anatomy = Anatomy.of(spec)
    grid = Grid.of(spec, anatomy)
    tissue = np.zeros((SIZE, SIZE), np.float32)
    return carve(spec, anatomy, grid, -1, tissue) | carve(spec, anatomy, grid, 1, tissue)


def fine_detail(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is left of a picture beside everything wider than a vessel."""
    return cv2.GaussianBlur(image, (0, 0), 0.7) - cv2.GaussianBlur(image, (0, 0), 3.0)


def lung_field(spec: PhantomSpec, sign: int) -> NDArray[np.bool_]:
    anatomy = Anatomy.of(spec)
    x, y = Grid.of(spec, anatomy).coordinates()
    return pleural_space(anatomy, sign, x, y).field


def test_the_same_spec_gives_the_same_picture() -> None:
    gas = Pneumothorax(Side.LEFT, Kind.APICAL, 0.1)
    again = draw(drawn(3, gas).spec)
    assert np.array_equal(again.pixels, drawn(3, gas).pixels)
    assert np.array_equal(again.mask, drawn(3, gas).mask)


def test_other_seeds_give_other_patients() -> None:
    pictures = [drawn(seed).pixels.astype(float) for seed in SEEDS]
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert np.abs(one - other).mean() > 5.0


@pytest.mark.parametrize(("rows", "columns"), [(300, 240), (240, 300), (129, 131)])
def test_pixels_and_mask_have_the_asked_size(rows: int, columns: int) -> None:
    gas = Pneumothorax(Side.RIGHT, Kind.LARGE, 0.3)
    phantom = draw(PhantomSpec(5, gas, rows=rows, columns=columns))
    assert phantom.pixels.shape == phantom.mask.shape == (rows, columns)
    assert phantom.pixels.dtype == np.uint8
    assert phantom.mask.dtype == np.bool_
    assert phantom.mask.any()


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("rows", "columns"), [(512, 128), (128, 512), (128, 1024)])
def test_a_narrow_image_cuts_the_patient(rows: int, columns: int, seed: int) -> None:
    """What lies beside the image is left out, wherever the image ends."""
    phantom = draw(PhantomSpec(seed, rows=rows, columns=columns))
    assert phantom.pixels.shape == phantom.mask.shape == (rows, columns)


def test_every_part_of_an_image_lies_in_it() -> None:
    grid = Grid(128, 512, 1.0, (64.0, 64.0), 0.03)
    for x in (-900.0, -60.0, 440.0, 900.0):
        for y in (-900.0, -60.0, 60.0, 900.0):
            part, place = grid.window((x, x + 9.0), (y, y + 9.0))
            assert np.empty((128, 512))[place].shape == (part.rows, part.columns)
            assert min(part.rows, part.columns) >= 8


def test_the_same_patient_at_twice_the_size_covers_the_same_field() -> None:
    gas = Pneumothorax(Side.LEFT, Kind.LARGE, 0.25)
    small, large = drawn(3, gas, SIZE // 2), drawn(3, gas)
    assert large.spacing_mm == pytest.approx(small.spacing_mm / 2)
    assert large.mask.mean() == pytest.approx(small.mask.mean(), rel=0.05)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_gas_no_mask(seed: int) -> None:
    assert not drawn(seed).mask.any()


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("side", list(Side))
def test_gas_lies_in_the_lung_field_of_its_side(kind: Kind, side: Side) -> None:
    phantom = drawn(10, Pneumothorax(side, kind, "medium"))
    field = lung_field(phantom.spec, -1 if side is Side.LEFT else 1)
    assert np.array_equal(phantom.mask, gas_mask(10, Pneumothorax(side, kind, "medium")))
    assert phantom.mask.any()
    assert not (phantom.mask & ~field).any()
    columns = np.nonzero(phantom.mask)[1]
    assert (columns < SIZE / 2).all() if side is Side.LEFT else (columns > SIZE / 2).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_apical_gas_lies_higher_than_lateral_gas(seed: int) -> None:
    apical = gas_mask(seed, Pneumothorax(Side.RIGHT, Kind.APICAL, 0.1))
    lateral = gas_mask(seed, Pneumothorax(Side.RIGHT, Kind.LATERAL, 0.1))
    assert np.nonzero(apical)[0].mean() < np.nonzero(lateral)[0].mean() - 0.08 * SIZE


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("seed", SEEDS)
def test_masks_grow_with_the_extent_and_stay_within_real_sizes(seed: int, kind: Kind) -> None:
    shares = [
        gas_mask(seed, Pneumothorax(Side.LEFT, kind, extent)).mean()
        for extent in ("small", "medium", "large")
    ]
    assert 0.0015 < shares[0] < shares[1] < shares[2] < 0.06
    assert shares[2] > 3 * shares[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_mask_is_one_region_without_holes(seed: int) -> None:
    mask = gas_mask(seed, Pneumothorax(Side.LEFT, Kind.LARGE, "medium")).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    assert stats[1:, cv2.CC_STAT_AREA].max() > 0.97 * mask.sum()
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    holes = [c for c, h in zip(contours, hierarchy[0], strict=True) if h[3] >= 0]
    assert sum(cv2.contourArea(hole) for hole in holes) < 0.01 * mask.sum()


@pytest.mark.parametrize("seed", SEEDS)
def test_gas_is_darker_than_the_lung_that_was_there(seed: int) -> None:
    gas = drawn(seed, Pneumothorax(Side.LEFT, Kind.LARGE, 0.25))
    core = cv2.erode(gas.mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    change = gas.pixels[core].astype(float).mean() - drawn(seed).pixels[core].astype(float).mean()
    assert -60 < change < -4


@pytest.mark.parametrize("seed", SEEDS)
def test_no_vessels_in_the_gas(seed: int) -> None:
    """Before the ribs are laid over it, the gas is smooth where the normal lung has its vessels."""
    gas = Pneumothorax(Side.LEFT, Kind.LARGE, 0.3)
    spec = replace(spec_for(seed, False), rows=768, columns=768, pneumothorax=gas)
    anatomy = Anatomy.of(spec)
    grid = Grid.of(spec, anatomy)
    carved, normal = np.zeros((2, 768, 768), np.float32)
    mask = carve(spec, anatomy, grid, -1, carved)
    assert not carve(replace(spec, pneumothorax=None), anatomy, grid, -1, normal).any()
    core = cv2.erode(mask.astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
    assert core.sum() > 2000
    assert fine_detail(carved)[core].std() < 0.35 * fine_detail(normal)[core].std()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bright_line_bounds_the_lung(seed: int) -> None:
    """Across the lung's surface the picture goes dark, bright line, lung."""
    gas = drawn(seed, Pneumothorax(Side.LEFT, Kind.LARGE, 0.25), 768)
    lung = lung_field(gas.spec, -1) & ~gas.mask
    out = cv2.distanceTransform(gas.mask.astype(np.uint8), cv2.DIST_L2, 5)
    into = cv2.distanceTransform((~gas.mask).astype(np.uint8), cv2.DIST_L2, 5)
    wide = cv2.distanceTransform(lung.astype(np.uint8), cv2.DIST_L2, 5) > 12
    near = cv2.dilate(wide.astype(np.uint8), np.ones((31, 31), np.uint8)) > 0
    line = gas.pixels[lung & near & (into <= 2)].mean()
    outside = gas.pixels[near & (out > 4) & (out < 8)].mean()
    inside = gas.pixels[lung & (into > 5) & (into < 10)].mean()
    assert line > outside + 5
    assert line > inside


@pytest.mark.parametrize("seed", SEEDS)
def test_grey_levels_are_those_of_a_chest_radiograph(seed: int) -> None:
    phantom = drawn(seed)
    lung = np.median(phantom.pixels[lung_field(phantom.spec, -1)])
    heart = np.median(phantom.pixels[SIZE // 2 : SIZE * 6 // 10, SIZE // 2 : SIZE * 54 // 100])
    assert 25 < lung < 150
    assert heart > lung + 50
    assert np.percentile(phantom.pixels, 2) < 15


def test_the_gas_changes_nothing_on_the_other_side() -> None:
    gas = drawn(13, Pneumothorax(Side.LEFT, Kind.LARGE, 0.3)).pixels.astype(int)
    normal = drawn(13).pixels.astype(int)
    assert np.abs(gas - normal)[:, SIZE * 2 // 3 :].mean() < 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_the_picture_says_that_it_is_synthetic_where_no_overlay_writes(seed: int) -> None:
    """Letters are as sharp as nothing else in the upper corner; overlays fill the lower one."""
    size = 768
    pixels = drawn(seed, size=size).pixels.astype(np.float32)
    sharp = np.abs(fine_detail(pixels))
    upper = sharp[: size // 25, : size // 6]
    lower = sharp[-size // 25 :, : size // 6]
    assert upper.max() > 40
    assert lower.max() < 20
