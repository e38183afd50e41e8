"""The detector, and the processing between it and the stored picture.

Attenuation follows Beer and Lambert; scatter, quantum noise, the logarithm, the equalisation of the
dynamic range, edge enhancement and the display curve come in the order in which they arise.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.phantom.anatomy import Anatomy, Array
from pleura.phantom.grid import Grid, blurred, resized

WATER_PER_MM: Final = 0.0165
WIDE_STEP: Final = 8


def _wide_blur(image: Array, sigma: float) -> Array:
    """Blur over many pixels, made on an eighth of the image's size."""
    rows, columns = image.shape
    small = blurred(resized(image, rows // WIDE_STEP, columns // WIDE_STEP), sigma / WIDE_STEP)
    return resized(small, rows, columns)


def develop(tissue: Array, grid: Grid, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The detector and the processing behind it.

    Args:
        tissue: millimetres of water that attenuate as much as the patient, (rows, columns).
        grid: the image.
        rng: exposure, noise and the look of the processing.

    Returns:
        uint8, (rows, columns), bone bright.
    """
    transmitted = np.exp(-WATER_PER_MM * tissue)
    veil = _wide_blur(transmitted, 30.0 * grid.pixels_per_mm)
    signal = transmitted + np.float32(rng.uniform(0.03, 0.07)) * veil
    photons = np.float32(np.exp(rng.uniform(np.log(1.6e4), np.log(6e4))))
    grain = rng.standard_normal(signal.shape, dtype=np.float32)
    signal = signal + np.sqrt(signal / photons) * blurred(grain, 0.5)
    density = -np.log(np.clip(signal, 1e-4, None))

    wide = _wide_blur(density, 14.0 * grid.pixels_per_mm)
    boost = np.float32(rng.uniform(0.25, 0.55))
    detail = np.float32(rng.uniform(0.2, 0.7))
    density = density + boost * (density - wide) + detail * (density - grid.blur(density, 1.2))
    half, steep = rng.uniform(2.2, 2.65), rng.uniform(1.8, 2.2)
    curve = 1.0 - np.exp(-((np.clip(density, 0.0, None) / half) ** steep))
    white = rng.uniform(220, 248)
    picture: NDArray[np.uint8] = np.clip(np.round(white * curve), 0, 255).astype(np.uint8)
    return picture


def collimate(tissue: Array, grid: Grid, rng: np.random.Generator) -> None:
    """Lead at the borders of the field, in place: hardly anything gets through it."""
    for axis, size in ((0, grid.rows), (1, grid.columns)):
        for end in (False, True):
            if rng.random() < 0.82:
                continue
            border = int(rng.uniform(0.004, 0.02) * size)
            strip = slice(size - border, size) if end else slice(0, border)
            tissue[(strip, slice(None)) if axis == 0 else (slice(None), strip)] = 400.0


def mark(
    picture: NDArray[np.uint8], grid: Grid, anatomy: Anatomy, rng: np.random.Generator
) -> None:
    """The side marker on the patient's left, and the word SYNTHETIC in the upper corner, in place.

    The lower corners are where overlays and viewers write, and would hide the word.
    """
    k = grid.pixels_per_mm / 2.6
    x = min(grid.columns - int(70 * k), int(grid.centre[0] + rng.uniform(150, 172) * 2.6 * k))
    y = max(int(34 * k), int(grid.centre[1] - rng.uniform(16, 40) * 2.6 * k))
    bright = int(rng.uniform(215, 250))
    font, line = cv2.FONT_HERSHEY_SIMPLEX, cv2.LINE_AA
    cv2.putText(picture, "L", (x, y), font, 1.1 * k, bright, max(1, round(3.5 * k)), line)
    text = "SYNTHETIC PORTABLE AP" if anatomy.ap else "SYNTHETIC"
    corner = (int(16 * k), int(28 * k))
    cv2.putText(picture, text, corner, font, 0.42 * k, bright, max(1, round(k)), line)
