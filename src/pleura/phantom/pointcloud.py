"""Projection of tubular structures: bones, airways and vessels as clouds of weighted points.

A cloud whose points carry volume projects to path length when it is summed over the pixels: no ray
needs to be traced, edges seen tangentially come out bright by themselves, and overlaps add up.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pleura.phantom.anatomy import Array
from pleura.phantom.grid import Grid, blurred

GOLDEN: Final = 0.6180339887498949
SHORT: Final = 6


@dataclass(frozen=True, slots=True, eq=False)
class Tube:
    """A bent tube with an elliptical cross-section.

    Attributes:
        path: (points, 3), x, y and z in millimetres.
        radii: (2,) or (points, 2): semi-axis across (along `across`), semi-axis in the third
            direction.
        across: direction of the first semi-axis, (3,) or (points, 3); made normal to the path.
        wall: millimetres of wall, times its density.
        core: density of the inside; negative for air.
        fade: (points,), factor on wall and core along the path; None for 1.
    """

    path: NDArray[np.float64]
    radii: NDArray[np.float64]
    across: NDArray[np.float64]
    wall: float
    core: float
    fade: NDArray[np.float64] | None = None


def _frames(tube: Tube, step: float) -> tuple[Array, ...]:
    """Cross-sections `step` apart: centre, both semi-axes as vectors, their lengths, weight."""
    path = tube.path
    legs = np.diff(path, axis=0)
    along = np.sqrt((legs * legs).sum(1))
    travelled = np.concatenate([[0.0], np.cumsum(along)])
    count = max(4, int(travelled[-1] / step))
    s = (np.arange(count) + 0.5) * (travelled[-1] / count)
    leg = np.minimum(np.searchsorted(travelled, s, side="right") - 1, len(legs) - 1)
    part = ((s - travelled[leg]) / along[leg])[:, None]

    def between(values: NDArray[np.float64]) -> NDArray[np.float64]:
        if values.ndim == 1:
            return values[None, :]
        mixed: NDArray[np.float64] = values[leg] * (1.0 - part) + values[leg + 1] * part
        return mixed

    directions = legs / along[:, None]
    bent = np.concatenate(
        [directions[:1], 0.5 * (directions[1:] + directions[:-1]), directions[-1:]]
    )
    tangent = between(bent)
    across = between(tube.across)
    first = across - (across * tangent).sum(1, keepdims=True) * tangent
    first /= np.sqrt((first * first).sum(1, keepdims=True)) + 1e-9
    second = (
        tangent[:, (1, 2, 0)] * first[:, (2, 0, 1)] - tangent[:, (2, 0, 1)] * first[:, (1, 2, 0)]
    )
    radii = np.broadcast_to(between(tube.radii), (count, 2))
    fade = np.ones((1, 1)) if tube.fade is None else between(tube.fade[:, None])
    weight = np.broadcast_to(fade[:, 0] * (travelled[-1] / count), (count,))
    return tuple(
        values.astype(np.float32)
        for values in (between(path), radii[:, :1] * first, radii[:, 1:] * second, radii, weight)
    )


def cloud(tube: Tube, pixels_per_mm: float, rotation: float) -> tuple[Array, Array, Array]:
    """Points of one tube in a patient turned by `rotation` about the long axis.

    Args:
        tube: what to fill with points.
        pixels_per_mm: the points lie about a pixel apart.
        rotation: radians, small.

    Returns:
        x and y in millimetres, and volume times density in cubic millimetres, of each point.
    """
    path, first, second, radii, ds = _frames(tube, 1.0 / pixels_per_mm)
    turned = np.array([[1.0, 0.0, rotation], [0.0, 1.0, 0.0]], np.float32).T
    middle, first, second = path @ turned, first @ turned, second @ turned

    perimeter = np.float32(np.pi) * (radii[:, 0] + radii[:, 1])
    shell = int(np.clip(perimeter.max() * pixels_per_mm * 0.85, 10, 130))
    plate = len(path) <= SHORT
    inner = 0 if tube.core == 0 else int(np.clip((4.0 if plate else 0.55) * shell, 8, 600))
    wall = np.float32(tube.wall / shell) * perimeter * ds
    mass = np.repeat(wall[:, None], shell, axis=1)
    start = np.random.default_rng(len(path)).random((len(path), 1), dtype=np.float32)
    k = np.arange(shell, dtype=np.float32)
    cosine, sine = _circle(k / np.float32(shell) + start)
    if inner:
        k = np.arange(inner, dtype=np.float32)
        fill = np.sqrt((k + np.mod(start * np.float32(7), 1)) / np.float32(inner))
        parts = _circle(k * np.float32(GOLDEN) + start)
        cosine = np.concatenate([cosine, parts[0] * fill], axis=1)
        sine = np.concatenate([sine, parts[1] * fill], axis=1)
        core = np.float32(tube.core * np.pi / inner) * radii[:, 0] * radii[:, 1] * ds
        mass = np.concatenate([mass, np.repeat(core[:, None], inner, axis=1)], axis=1)
    x, y = (
        middle[:, i, None] + cosine * first[:, i, None] + sine * second[:, i, None]
        for i in range(2)
    )
    return x.ravel(), y.ravel(), mass.ravel()


def _circle(turns: Array) -> tuple[Array, Array]:
    angle = turns * np.float32(2 * np.pi)
    return np.cos(angle), np.sin(angle)


def splat(grid: Grid, x: Array, y: Array, mass: Array) -> Array:
    """Path length per pixel, (rows, columns), in millimetres times density.

    Args:
        grid: the image.
        x: columns' direction, millimetres.
        y: rows' direction, millimetres.
        mass: volume times density of each point, cubic millimetres.
    """
    u, v = grid.to_pixels(x, y)
    column, row = (u + np.float32(0.5)).astype(np.int32), (v + np.float32(0.5)).astype(np.int32)
    inside = (column >= 0) & (row >= 0) & (column < grid.columns) & (row < grid.rows)
    flat = row[inside] * grid.columns + column[inside]
    total = np.bincount(flat, weights=mass[inside], minlength=grid.rows * grid.columns)
    image = total.reshape(grid.rows, grid.columns).astype(np.float32)
    return image * np.float32(grid.pixels_per_mm**2)


def project(grid: Grid, tubes: list[Tube], rotation: float, sigma_px: float = 0.85) -> Array:
    """Summed path lengths of tubes in a patient turned by `rotation` about the long axis."""
    clouds = [cloud(tube, grid.pixels_per_mm, rotation) for tube in tubes]
    x, y, mass = (np.concatenate(parts) for parts in zip(*clouds, strict=True))
    return blurred(splat(grid, x, y, mass), sigma_px)
