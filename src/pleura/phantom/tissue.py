"""Soft tissue, lungs and gas: path lengths in millimetres along the beam, per pixel."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.phantom.anatomy import Anatomy, Array
from pleura.phantom.grid import Grid, blurred, dome_profile, length

COARSE: Final = 4


def body(grid: Grid, anatomy: Anatomy) -> Array:
    """Depth of the whole body, bones and lungs included, in millimetres."""
    rows, columns = -(-grid.rows // COARSE), -(-grid.columns // COARSE)
    margin = int(60 * grid.pixels_per_mm / COARSE)
    silhouette = np.zeros((rows + 2 * margin, columns + 2 * margin), np.uint8)

    def place(points: list[tuple[float, float]]) -> NDArray[np.int32]:
        xy = np.asarray(points, np.float32)
        u, v = grid.to_pixels(xy[:, 0], xy[:, 1])
        return np.round(np.stack([u, v], 1) / COARSE + margin).astype(np.int32)

    width = anatomy.half_width + anatomy.wall
    top = anatomy.shoulder_y
    for sign in (-1, 1):
        half = [
            (0.0, -400.0), (60.0, -400.0), (54.0, -85.0), (64.0, -62.0), (95.0, top - 48.0),
            (135.0, top - 28.0), (170.0, top - 8.0), (165.0, 60.0), (width + 10, 105.0),
            (width, 150.0), (width - 2, 220.0), (width - 6, 300.0), (width, 420.0), (0.0, 420.0),
        ]  # fmt: skip
        cv2.fillPoly(silhouette, [place([(sign * x, y) for x, y in half])], 1)
        elbow = 178.0 + anatomy.arm_spread
        arm = place([(sign * 163.0, top + 44.0), (sign * elbow, 250.0)])
        thickness = max(1, int(84 * grid.pixels_per_mm / COARSE))
        cv2.line(silhouette, arm[0].tolist(), arm[1].tolist(), 1, thickness)
    distance = cv2.distanceTransform(silhouette, cv2.DIST_L2, 5)
    distance = distance[margin : margin + rows, margin : margin + columns]
    distance = distance * np.float32(COARSE / grid.pixels_per_mm)
    x, y = grid.coordinates(COARSE)
    torso = 2.0 * (anatomy.at(anatomy.depth, y) + np.float32(1.25 * anatomy.wall))
    wall_x = anatomy.at(anatomy.outer, y)
    inside = np.clip((wall_x + 16.0 - np.abs(x)) / 40.0, 0.0, 1.0)
    level = np.clip((y - 20.0) / 140.0, 0.0, 1.0)
    shoulder = 112.0 + 30.0 * level
    neck = np.clip(1.0 - np.abs(x) / 75.0, 0.0, 1.0) * np.clip((40.0 - y) / 60.0, 0.0, 1.0)
    reach = shoulder + inside * np.clip(torso - shoulder, 0.0, None) + 18.0 * neck
    depth = reach * dome_profile(1.0 - np.clip(distance / 44.0, 0.0, 1.0), 2.2)
    depth = blurred(depth.astype(np.float32), 3.0 * grid.pixels_per_mm / COARSE)
    full = cv2.resize(depth, (columns * COARSE, rows * COARSE), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(full[: grid.rows, : grid.columns].clip(0.0, None))


@dataclass(frozen=True, slots=True, eq=False)
class Chest:
    """Path lengths of one side's pleural space.

    Attributes:
        cavity: millimetres of lung or gas above the diaphragm and beside the mediastinum.
        field: bool: the lung field that is not hidden by mediastinum, heart or diaphragm.
    """

    cavity: Array
    field: NDArray[np.bool_]


def pleural_space(anatomy: Anatomy, sign: int, x: Array, y: Array) -> Chest:
    """Path length through one pleural space, with the diaphragm's dome and the heart cut out."""
    side = x * np.float32(sign)
    outer = anatomy.at(anatomy.outer, y) * np.float32(anatomy.half_width_of(sign))
    inner = anatomy.at(anatomy.inner, y)
    depth = anatomy.at(anatomy.depth, y)
    u = (2.0 * side - outer - inner) / np.maximum(outer - inner, 1e-3)
    half = depth * np.where(u > 0, dome_profile(u, 2.4), dome_profile(u, 3.2))
    half = np.where(y > 0, half, 0.0).astype(np.float32)

    border = anatomy.at(anatomy.mediastinum[0 if sign < 0 else 1], y)
    heart_depth = depth * np.float32(0.68)
    hidden = heart_depth * dome_profile(side / border, 2.2)
    free = np.clip(half - hidden, 0.0, None)

    below = y - anatomy.dome_level(sign, side)
    reach = np.sqrt(np.clip(below, 0.0, None) / 58.0) * depth * 1.25
    front, back = 0.22 * depth + reach, 0.22 * depth - reach
    liver = np.clip(np.minimum(front, half) - np.maximum(back, -half), 0.0, None)
    share = np.clip(1.0 - liver / np.maximum(2.0 * half, 1e-3), 0.0, 1.0)
    cavity = (2.0 * free * np.where(below > 0, share, 1.0)).astype(np.float32)
    field = (half > 0) & (side > border) & (below < 0)
    return Chest(cavity, field)


def breasts(grid: Grid, anatomy: Anatomy) -> Array:
    """Extra millimetres of tissue below the slope of each breast, or of the pectoral muscle."""
    total = np.zeros((grid.rows, grid.columns), np.float32)
    size = 62.0 * (0.8 + 0.25 * anatomy.breast)
    for sign in (-1, 1):
        cx, cy = sign * 0.70 * anatomy.half_width, anatomy.dome[0] - 38.0 + 6.0 * sign
        part, place = grid.window((cx - 1.2 * size, cx + 1.2 * size), (cy - size, cy + size))
        x, y = part.coordinates()
        u, v = (x - cx) / np.float32(size * 1.12), (y - cy) / np.float32(size)
        shape = dome_profile(length(u, v), 3.0)
        shape *= np.clip(0.55 + 0.6 * v, 0.0, 1.0)
        amount = np.float32(54.0 * anatomy.breast)
        total[place] += amount * part.blur(shape, 0.8 if anatomy.breast > 0.4 else 6.0)
    return total


def abdominal_gas(grid: Grid, rng: np.random.Generator, anatomy: Anatomy) -> Array:
    """Millimetres of gas in the stomach and the left colic flexure."""
    total = np.zeros((grid.rows, grid.columns), np.float32)
    top = anatomy.dome[1]
    spots = [(rng.uniform(48, 76), top + 20.0, rng.uniform(22, 36), rng.uniform(8, 13), 50.0)]
    for _ in range(int(rng.integers(1, 6))):
        across, down = rng.uniform(60, 110), rng.uniform(38, 90)
        spots.append((across, top + down, rng.uniform(9, 19), rng.uniform(8, 15), 26.0))
    for cx, cy, rx, ry, gas in spots:
        part, place = grid.window((cx - rx, cx + rx), (cy - 1.6 * ry, cy + 1.6 * ry))
        x, y = part.coordinates()
        u = (x - cx) / np.float32(rx)
        v = (y - cy - 0.1 * (x - cx)) / np.float32(ry)
        depth = np.float32(gas * rng.uniform(0.5, 1.0)) * dome_profile(length(u, v), 2.4)
        total[place] = np.maximum(total[place], depth)
    return grid.blur(total, 0.9)
