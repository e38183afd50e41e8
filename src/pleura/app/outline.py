"""A shape that a reader drew, as a mask on the grid of the film."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def filled(points: Sequence[tuple[float, float]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose centre lies inside a polygon, by the even-odd rule.

    Args:
        points: x and y of its corners, in pixels from the upper left corner of the film.
        shape: rows and columns.

    Returns:
        bool, (rows, columns).
    """
    rows, columns = shape
    mask = np.zeros(shape, dtype=np.bool_)
    corners = np.asarray(points, dtype=np.float64)
    start, end = corners, np.roll(corners, -1, axis=0)
    low = np.minimum(start[:, 1], end[:, 1])
    high = np.maximum(start[:, 1], end[:, 1])
    first = max(0, int(np.floor(low.min())))
    for row in range(first, min(rows, int(np.ceil(high.max())))):
        centre = row + 0.5
        # Half-open edges: a corner on the line counts for one of its two edges.
        crossed = (low <= centre) & (centre < high)
        (x0, y0), (x1, y1) = start[crossed].T, end[crossed].T
        crossings = np.sort(x0 + (centre - y0) / (y1 - y0) * (x1 - x0))
        edges = np.clip(np.ceil(crossings - 0.5), 0, columns).astype(np.int64)
        for left, right in edges.reshape(-1, 2):
            mask[row, left:right] = True
    return mask
