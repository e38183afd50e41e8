"""The outline of each region of a mask, along the edges of its pixels.

Spatial coordinates of DICOM count pixels from the upper left corner of the upper left pixel, so
that pixel (row, column) is the square from (column, row) to (column + 1, row + 1) (PS3.3
C.18.6.1.1): the outline encloses the region's pixels, whole, and no others.
"""

from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 4000
"""Of an outline: Graphic Data may hold 8,191 points, since an FL has 65,534 bytes at most."""
Box = tuple[int, int, int, int]
_Vertex = tuple[int, int]
# Steps (down, right) clockwise, with the region on the right hand.
_RIGHT, _DOWN, _LEFT, _UP = range(4)
_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def outlines_of(mask: NDArray[np.bool_]) -> MappingProxyType[Box, NDArray[np.float32]]:
    """Outer outlines of the 8-connected regions of a mask, by the regions' boxes.

    No two regions have one box: a way from left to right cuts every way from top to bottom. Holes
    are not outlined. An outline of more than `MOST_POINTS` points is simplified, by as little as
    will do, from half a pixel on.

    Args:
        mask: bool, (rows, columns).

    Returns:
        For each box (top, left, bottom, right), half-open: float32, (n, 2), columns and rows of the
        points, clockwise; the last one is the first.
    """
    found = {}
    for loop in _loops(mask):
        points = np.array(loop, dtype=np.int64)
        if _doubled_area(points) > 0:  # a hole runs the other way round
            (top, left), (bottom, right) = points.min(axis=0), points.max(axis=0)
            found[int(top), int(left), int(bottom), int(right)] = _closed(points)
    return MappingProxyType(found)


def _loops(mask: NDArray[np.bool_]) -> list[list[_Vertex]]:
    """Closed ways along pixel edges, as the vertices at which they turn."""
    leaving = _edges(mask)
    loops = []
    while leaving:
        start = next(iter(leaving))
        vertex, heading = start, leaving[start][0]
        loop: list[_Vertex] = []
        first = heading
        while True:
            choices = leaving[vertex]
            # Where two pixels touch at a corner, the left turn keeps them in one region.
            turn = next(
                direction
                for direction in ((heading - 1) % 4, heading, (heading + 1) % 4)
                if direction in choices
            )
            if turn != heading or not loop:
                loop.append(vertex)
            choices.remove(turn)
            if not choices:
                del leaving[vertex]
            heading = turn
            vertex = (vertex[0] + _STEPS[turn][0], vertex[1] + _STEPS[turn][1])
            if vertex == start and not (start in leaving and first in leaving[start]):
                break
        loops.append(loop)
    return loops


def _edges(mask: NDArray[np.bool_]) -> dict[_Vertex, list[int]]:
    """Directions in which edges between region and background leave each vertex."""
    padded = np.pad(mask, 1)
    inside, above, beside = padded[1:, 1:], padded[:-1, 1:], padded[1:, :-1]
    leaving: dict[_Vertex, list[int]] = {}
    for edges, direction, (down, right) in (
        (inside & ~above, _RIGHT, (0, 0)),
        (above & ~inside, _LEFT, (0, 1)),
        (beside & ~inside, _DOWN, (0, 0)),
        (inside & ~beside, _UP, (1, 0)),
    ):
        for row, column in zip(*(axis.tolist() for axis in np.nonzero(edges)), strict=True):
            leaving.setdefault((row + down, column + right), []).append(direction)
    return leaving


def _doubled_area(points: NDArray[np.int64]) -> int:
    rows, columns = points[:, 0], points[:, 1]
    return int(np.sum(columns * np.roll(rows, -1) - np.roll(columns, -1) * rows))


def _closed(points: NDArray[np.int64]) -> NDArray[np.float32]:
    turned = points[:, ::-1].astype(np.float32)
    tolerance = 0.5
    while len(turned) >= MOST_POINTS:
        simpler = cv2.approxPolyDP(turned[:, None], tolerance, closed=True)
        turned = np.asarray(simpler[:, 0], dtype=np.float32)
        tolerance *= 1.5
    return np.concatenate([turned, turned[:1]])
