"""Pulmonary vessels: trees that branch from the hilum and taper towards the pleura."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pleura.phantom.anatomy import Anatomy, Array
from pleura.phantom.grid import Grid
from pleura.phantom.pneumothorax import PleuralOutline
from pleura.phantom.pointcloud import splat

GENERATIONS = 9
POINTS = 14


@dataclass(frozen=True, slots=True, eq=False)
class Branches:
    """Curved branches: (branches, points) of x and y in millimetres, and the radius."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    radius: NDArray[np.float64]


def grow(anatomy: Anatomy, outline: PleuralOutline, rng: np.random.Generator) -> list[Branches]:
    """Grows one lung's vessels, generation by generation, to just below the pleura.

    Daughters obey Murray's law (the cubes of the radii add up to the mother's).

    Args:
        anatomy: the chest.
        outline: the fully expanded lung.
        rng: random numbers.
    """
    sign = outline.sign
    roots = 13
    size = anatomy.half_width / 130.0
    heading = np.radians(np.linspace(-82, 84, roots) + rng.uniform(-14, 14, roots))
    x = sign * (21.0 + rng.uniform(-6, 12, roots))
    y = outline.centre[1] + np.linspace(-16, 26, roots) + rng.uniform(-7, 7, roots)
    radius = rng.uniform(1.9, 3.6, roots) * size
    length = rng.uniform(24, 38, roots) * size
    generations = []
    for _ in range(GENERATIONS):
        t = np.linspace(0, 1, POINTS)
        bend = rng.normal(0, 0.42, len(x))
        angle = heading[:, None] + bend[:, None] * (t - 0.3)
        step = (length / (POINTS - 1))[:, None]
        dx = np.concatenate([np.zeros((len(x), 1)), np.cumsum(np.cos(angle[:, 1:]) * step, 1)], 1)
        dy = np.concatenate([np.zeros((len(x), 1)), np.cumsum(np.sin(angle[:, 1:]) * step, 1)], 1)
        taper = radius[:, None] * (1 - 0.16 * t)
        generations.append(Branches(x[:, None] + sign * dx, y[:, None] + dy, taper))
        tip_x, tip_y = generations[-1].x[:, -1], generations[-1].y[:, -1]
        inside = outline.relative(tip_x, tip_y) < 0.97
        tip_x, tip_y, heading, radius = (
            values[inside] for values in (tip_x, tip_y, angle[:, -1], taper[:, -1])
        )
        outward = np.arctan2(tip_y - outline.centre[1], sign * (tip_x - outline.centre[0]))
        heading = heading + 0.25 * np.sin(outward - heading)
        count = len(tip_x)
        share = rng.uniform(0.5, 0.82, count)
        spread = rng.uniform(0.22, 0.62, count) * rng.choice([-1.0, 1.0], count)
        mother = radius**3
        radius = np.concatenate([(mother * share) ** (1 / 3), (mother * (1 - share)) ** (1 / 3)])
        heading = np.concatenate([heading - spread * (1 - share), heading + spread * share * 1.3])
        x, y = np.tile(tip_x, 2), np.tile(tip_y, 2)
        length = np.clip(9.0 * size * radius**0.55, 4.0, None) * rng.uniform(0.7, 1.5, 2 * count)
    return generations


def draw(grid: Grid, outline: PleuralOutline, generations: list[Branches]) -> Array:
    """Path length through the vessels, in millimetres, moved inwards with a collapsed lung."""
    total = np.zeros((grid.rows, grid.columns), np.float32)
    for branches in generations:
        x, y = outline.collapse(branches.x, branches.y)
        span = np.hypot(np.diff(x, axis=1), np.diff(y, axis=1)).sum(1)
        dense = int(np.clip(np.percentile(span, 90) * grid.pixels_per_mm / 0.5, POINTS, 160))
        at = np.linspace(0, POINTS - 1 - 1e-6, dense)
        low = at.astype(int)
        part = at - low

        def along(
            v: NDArray[np.float64],
            low: NDArray[np.int64] = low,
            part: NDArray[np.float64] = part,
        ) -> NDArray[np.float64]:
            values: NDArray[np.float64] = v[:, low] * (1 - part) + v[:, low + 1] * part
            return values

        px, py, pr = along(x), along(y), along(branches.radius)
        inside = outline.inside_lung(px, py)
        tx, ty = np.gradient(px, axis=1), np.gradient(py, axis=1)
        ds = np.hypot(tx, ty)
        across = int(np.clip(2 * float(np.median(pr)) * grid.pixels_per_mm / 0.45, 4, 40))
        e = (np.arange(across) + 0.5) * 2 / across - 1
        chord = np.sqrt(1 - e**2)
        chord /= chord.sum()
        nx, ny = -ty / (ds + 1e-9), tx / (ds + 1e-9)
        mass = np.where(inside, np.pi * pr**2 * ds * (1.2 + 1.0 / (pr + 0.4)), 0.0)
        total += splat(
            grid,
            (px[..., None] + (nx * pr)[..., None] * e).astype(np.float32).ravel(),
            (py[..., None] + (ny * pr)[..., None] * e).astype(np.float32).ravel(),
            (mass[..., None] * chord).astype(np.float32).ravel(),
        )
    return total
