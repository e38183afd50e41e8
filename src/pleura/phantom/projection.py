"""Draws a phantom: anatomy to path lengths, path lengths to a picture."""

import numpy as np

from pleura.phantom import bones, lung
from pleura.phantom.anatomy import Anatomy, Array
from pleura.phantom.detector import collimate, develop, mark
from pleura.phantom.grid import Grid
from pleura.phantom.pointcloud import project
from pleura.phantom.spec import Phantom, PhantomSpec
from pleura.phantom.tissue import abdominal_gas, body, breasts


def draw(spec: PhantomSpec) -> Phantom:
    """Draws a phantom; the same spec gives the same picture.

    Args:
        spec: what to show.

    Returns:
        Pixels as stored in an 8-bit MONOCHROME2 file, and the exact mask of the gas.
    """
    anatomy = Anatomy.of(spec)
    grid = Grid.of(spec, anatomy)
    tissue = body(grid, anatomy)
    tissue += _unevenness(grid, spec.rng(8), tissue)
    tissue += breasts(grid, anatomy)
    tissue -= abdominal_gas(grid, spec.rng(3), anatomy)
    mask = np.zeros((spec.rows, spec.columns), np.bool_)
    for sign in (-1, 1):
        mask |= lung.carve(spec, anatomy, grid, sign, tissue)
    skeleton = bones.ribs(anatomy, spec.rng(4))
    skeleton += bones.spine(anatomy, spec.rng(5)) + bones.shoulders(anatomy, spec.rng(6))
    tissue += project(grid, skeleton, anatomy.rotation)
    tissue += project(grid, bones.airways(anatomy, spec.rng(7)), anatomy.rotation, 1.2)
    tissue = np.maximum(tissue, 0.0)
    collimate(tissue, grid, spec.rng(10))
    pixels = develop(tissue, grid, spec.rng(9))
    mark(pixels, grid, anatomy, spec.rng(11))
    return Phantom(pixels, mask, spec, spacing_mm=1.0 / grid.pixels_per_mm)


def _unevenness(grid: Grid, rng: np.random.Generator, depth: Array) -> Array:
    """Muscle and fat: tissue is not homogeneous on any scale."""
    total = np.zeros((grid.rows, grid.columns), np.float32)
    for sigma, amount in ((28.0, 4.0), (11.0, 1.9), (4.0, 0.7), (1.4, 0.25)):
        total += np.float32(amount) * grid.noise(rng, sigma)
    total *= np.clip(depth / 60.0, 0.0, 1.0)
    return total
