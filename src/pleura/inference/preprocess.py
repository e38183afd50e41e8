"""Radiograph -> network input. Training and inference both call this and see the same grid.

Nothing here needs torch: the radiograph is letterboxed to a square by area averaging
(`pleura.masks.Letterbox`) and standardised with the two numbers that travel in the manifest.
"""

import numpy as np
from numpy.typing import NDArray

from pleura.inference.manifest import Preprocessing
from pleura.masks import Letterbox
from pleura.radiograph import Radiograph


def letterbox_for(shape: tuple[int, int], preprocessing: Preprocessing) -> Letterbox:
    """The letterbox that takes a grid of `shape` (rows, columns) to the network's square."""
    rows, columns = shape
    return Letterbox(rows, columns, preprocessing.size)


def to_network_grid(
    pixels: NDArray[np.float32], preprocessing: Preprocessing
) -> NDArray[np.float32]:
    """Letterbox pixels in [0, 1] to the network's square, still in [0, 1].

    Args:
        pixels: float32, (rows, columns), in [0, 1].
        preprocessing: the side of the square and the value around the radiograph.

    Returns:
        float32, (size, size), in [0, 1].
    """
    rows, columns = pixels.shape
    letterbox = letterbox_for((rows, columns), preprocessing)
    return letterbox.apply(pixels, pad_value=preprocessing.pad_value)


def standardise(grid: NDArray[np.float32], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """(grid - mean) / std, in float32, any shape."""
    mean, std = np.float32(preprocessing.mean), np.float32(preprocessing.std)
    return np.asarray((grid - mean) / std, dtype=np.float32)


def prepare(
    radiograph: Radiograph, preprocessing: Preprocessing
) -> tuple[NDArray[np.float32], Letterbox]:
    """The network's input for one radiograph, and the way back to the radiograph's own grid.

    Returns:
        float32, (1, 1, size, size), standardised; and the letterbox, whose `invert` takes a map of
        the network to (rows, columns) of the file.
    """
    letterbox = letterbox_for(radiograph.shape, preprocessing)
    grid = letterbox.apply(radiograph.pixels, pad_value=preprocessing.pad_value)
    return np.ascontiguousarray(standardise(grid, preprocessing)[None, None]), letterbox
