"""One pleural space: lung, vessels, gas and the pleural line between them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pleura.phantom import vessels
from pleura.phantom.anatomy import Anatomy, Array
from pleura.phantom.grid import Grid, blurred
from pleura.phantom.pneumothorax import PleuralOutline
from pleura.phantom.spec import PhantomSpec, Side
from pleura.phantom.tissue import pleural_space

LUNG_DENSITY: Final = 0.21
GAS_DENSITY: Final = 0.06
FIRST_STREAM: Final = {-1: 20, 1: 30}


def carve(
    spec: PhantomSpec, anatomy: Anatomy, whole_grid: Grid, sign: int, tissue: Array
) -> NDArray[np.bool_]:
    """Takes one side's lung and gas out of the tissue and puts its vessels in, in place.

    Args:
        spec: what to show.
        anatomy: the chest.
        whole_grid: the image.
        sign: -1 for the image's left side, +1 for its right.
        tissue: millimetres of water, (rows, columns), changed in place.

    Returns:
        Mask of the gas, (rows, columns).
    """
    gas = spec.pneumothorax
    if gas is not None and (gas.side is Side.LEFT) != (sign < 0):
        gas = None
    stream = FIRST_STREAM[sign]
    across = sorted((sign * 8.0, sign * (anatomy.half_width + 6.0)))
    grid, place = whole_grid.window((across[0], across[1]), (-4.0, anatomy.dome[1] + 80.0))
    x, y = grid.coordinates()
    chest = pleural_space(anatomy, sign, x, y)
    whole = PleuralOutline.of(anatomy, sign, None, spec.rng(stream))
    outline = PleuralOutline.of(anatomy, sign, gas, spec.rng(stream))

    distance, index = outline.polar(x, y)
    inside = (outline.visceral[index] - distance).astype(np.float32)
    width = (outline.parietal - outline.visceral)[index].astype(np.float32)
    detached = np.clip(width / 6.0, 0.0, 1.0)
    rounding = np.sqrt(1.0 - (1.0 - np.clip(inside / 18.0, 0.0, 1.0)) ** 2)
    lung = chest.cavity * (1.0 - detached * (1.0 - rounding))

    mottle = 1.0 + 0.02 * grid.noise(spec.rng(stream + 1), 0.8)
    mottle += 0.03 * grid.noise(spec.rng(stream + 2), 2.4)
    mottle += 0.06 * grid.noise(spec.rng(stream + 3), 14.0)
    density = LUNG_DENSITY * (1.0 + 0.9 * (gas.fraction if gas else 0.0))
    tree = vessels.grow(anatomy, whole, spec.rng(stream + 4))
    blood = blurred(vessels.draw(grid, outline, tree), 0.6)
    hilum = np.hypot(x - 0.86 * outline.centre[0], 0.62 * (y - outline.centre[1] - 2.0))
    blood += np.float32(13.0) * np.exp(-0.5 * (hilum / 12.0) ** 2) * np.clip(inside / 20.0, 0, 1)
    air = (chest.cavity - lung) * (1.0 - GAS_DENSITY) + lung * (1.0 - density * mottle)
    line = np.exp(-0.5 * ((inside - 0.3) / 0.5) ** 2) * np.clip((width - 1.0) / 3.0, 0.0, 1.0)

    part = tissue[place]
    part -= air.astype(np.float32)
    part += blood * np.clip(lung / 25.0, 0.0, 1.0)
    part += np.float32(15.0) * line * np.clip(chest.cavity / 40.0, 0.0, 1.0)
    mask = np.zeros(tissue.shape, np.bool_)
    mask[place] = (inside < 0) & (width > 0.6) & (distance < outline.parietal[index]) & chest.field
    return mask
