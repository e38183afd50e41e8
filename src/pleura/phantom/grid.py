"""Pixels of an image in the frame of the anatomy, and the few picture operations in use here."""

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.phantom.anatomy import Anatomy, Array
from pleura.phantom.spec import PhantomSpec

LEAST_PX: Final = 8
"""Shortest side of a part of an image: noise and blur need a few pixels to work on."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Where the pixels of an image lie in the frame of the anatomy.

    Attributes:
        rows: height in pixels.
        columns: width in pixels.
        pixels_per_mm: scale.
        centre: column and row of the frame's origin.
        tilt: rotation of the patient in the image plane, radians.
    """

    rows: int
    columns: int
    pixels_per_mm: float
    centre: tuple[float, float]
    tilt: float

    @classmethod
    def of(cls, spec: PhantomSpec, anatomy: Anatomy) -> "Grid":
        """Places the patient in the field of view as a radiographer would, not quite centred."""
        rng = spec.rng(2)
        span_mm = rng.uniform(365, 410) if not anatomy.ap else rng.uniform(345, 390)
        scale = max(spec.rows, spec.columns) / span_mm
        middle = 0.5 * anatomy.dome[0] + rng.uniform(20, 44)
        centre = (
            0.5 * spec.columns + rng.uniform(-9, 9) * scale,
            0.5 * spec.rows - middle * scale,
        )
        return cls(spec.rows, spec.columns, scale, centre, anatomy.tilt)

    def coordinates(self, factor: int = 1) -> tuple[Array, Array]:
        """x and y in millimetres of the pixel centres, on a grid coarser by `factor`."""
        rows, columns = -(-self.rows // factor), -(-self.columns // factor)
        offset = 0.5 * factor - 0.5
        u = (np.arange(columns) * factor + offset - self.centre[0]) / self.pixels_per_mm
        v = (np.arange(rows) * factor + offset - self.centre[1]) / self.pixels_per_mm
        c, s = np.cos(self.tilt), np.sin(self.tilt)
        x = (c * u[None, :] + s * v[:, None]).astype(np.float32)
        y = (-s * u[None, :] + c * v[:, None]).astype(np.float32)
        return x, y

    def window(
        self, x: tuple[float, float], y: tuple[float, float]
    ) -> tuple["Grid", tuple[slice, slice]]:
        """The part of the image that shows a rectangle of the anatomy, and where it lies.

        A rectangle that the image does not show, or hardly, gives the few pixels next to it.
        """
        corners = np.asarray([(a, b) for a in x for b in y], np.float32)
        u, v = self.to_pixels(corners[:, 0], corners[:, 1])
        left, right = np.clip([u.min() - 2, u.max() + 2], 0, self.columns).astype(int)
        top, bottom = np.clip([v.min() - 2, v.max() + 2], 0, self.rows).astype(int)
        left, top = min(left, self.columns - LEAST_PX), min(top, self.rows - LEAST_PX)
        right, bottom = max(right, left + LEAST_PX), max(bottom, top + LEAST_PX)
        part = replace(
            self,
            rows=int(bottom - top),
            columns=int(right - left),
            centre=(self.centre[0] - int(left), self.centre[1] - int(top)),
        )
        return part, (slice(int(top), int(bottom)), slice(int(left), int(right)))

    def to_pixels(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Columns and rows of points given in millimetres."""
        c, s = np.float32(np.cos(self.tilt)), np.float32(np.sin(self.tilt))
        k = np.float32(self.pixels_per_mm)
        return (c * x - s * y) * k + np.float32(self.centre[0]), (s * x + c * y) * k + np.float32(
            self.centre[1]
        )

    def blur(self, image: Array, sigma_mm: float) -> Array:
        """Gaussian blur by a width in millimetres."""
        return blurred(image, sigma_mm * self.pixels_per_mm)

    def noise(self, rng: np.random.Generator, sigma_mm: float) -> Array:
        """Smooth noise with unit variance and a grain of `sigma_mm`."""
        sigma = sigma_mm * self.pixels_per_mm
        factor = max(1, int(sigma / 1.5))
        shape = (-(-self.rows // factor) + 1, -(-self.columns // factor) + 1)
        grain = blurred(rng.standard_normal(shape, dtype=np.float32), sigma / factor)
        grain /= grain.std() + np.float32(1e-6)
        if factor > 1:
            size = (shape[1] * factor, shape[0] * factor)
            grain = np.asarray(cv2.resize(grain, size, interpolation=cv2.INTER_CUBIC), np.float32)
        return np.ascontiguousarray(grain[: self.rows, : self.columns])


def blurred(image: Array, sigma: float) -> Array:
    """Gaussian blur; none below a tenth of a pixel."""
    if sigma < 0.1:
        return image
    result = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return np.asarray(result, np.float32)


def resized(image: Array, rows: int, columns: int) -> Array:
    """Area average when smaller, linear interpolation when larger."""
    shrinks = rows < image.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (columns, rows), interpolation=method), np.float32)


def length(u: NDArray[np.floating], v: NDArray[np.floating]) -> Array:
    """Length of the vectors (u, v)."""
    return np.asarray(cv2.magnitude(u.astype(np.float32), v.astype(np.float32)), np.float32)


def dome_profile(u: Array, power: float = 2.0) -> Array:
    """Chord of a round body: 1 in the middle (u = 0), 0 from its edge (|u| = 1) outwards."""
    square = np.float32(1) - np.asarray(cv2.pow(np.abs(u), power), np.float32)
    return np.asarray(np.sqrt(np.maximum(square, np.float32(0))), np.float32)
