"""Augmentation that suits radiographs: what another detector, technician or archive might do.

Geometry moves image and mask together; tone, noise, blur and JPEG touch the image alone. JPEG and
blur are there for a reason of their own: images of one source may share a compression history, and
a network must not learn it.
"""

from typing import Annotated, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_Number = TypeVar("_Number", int, float)


def _ordered(limits: tuple[_Number, _Number]) -> tuple[_Number, _Number]:
    if limits[0] > limits[1]:
        raise ValueError(f"the lower limit comes first, not {limits}")
    return limits


Probability = Annotated[float, Field(ge=0, le=1)]
_Positive = Annotated[float, Field(gt=0)]
_Quality = Annotated[int, Field(ge=1, le=100)]
Factor = Annotated[tuple[_Positive, _Positive], AfterValidator(_ordered)]


class Augmentation(BaseModel):
    """Ranges of the random changes; a range of zero switches one off.

    Attributes:
        flip: probability of a horizontal flip.
        rotation_degrees: rotation to either side.
        scale: smallest and largest magnification.
        shift_fraction: shift along each axis, as a share of the side.
        crop_fraction: largest share cut off at each border, independently, which also changes
            the aspect.
        gamma: exponent on pixels in [0, 1], drawn log-uniformly.
        contrast: factor about mid-grey.
        brightness: added, to either side.
        noise: largest standard deviation of Gaussian noise, pixels in [0, 1].
        blur_sigma: largest standard deviation of the blur in pixels of the cache.
        jpeg: probability of a JPEG round trip.
        jpeg_quality: its lowest and highest quality.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    flip: Probability = 0.5
    rotation_degrees: float = Field(default=10.0, ge=0, le=45)
    scale: Factor = (0.9, 1.15)
    shift_fraction: float = Field(default=0.05, ge=0, lt=0.5)
    crop_fraction: float = Field(default=0.03, ge=0, lt=0.25)
    gamma: Factor = (0.7, 1.4)
    contrast: Factor = (0.8, 1.2)
    brightness: float = Field(default=0.08, ge=0, le=0.5)
    noise: float = Field(default=0.03, ge=0, le=0.5)
    blur_sigma: float = Field(default=1.0, ge=0, le=5)
    jpeg: Probability = 0.5
    jpeg_quality: Annotated[tuple[_Quality, _Quality], AfterValidator(_ordered)] = (50, 95)


NO_AUGMENTATION = Augmentation(
    flip=0,
    rotation_degrees=0,
    scale=(1, 1),
    shift_fraction=0,
    crop_fraction=0,
    gamma=(1, 1),
    contrast=(1, 1),
    brightness=0,
    noise=0,
    blur_sigma=0,
    jpeg=0,
)


def augment(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    settings: Augmentation,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """One random version of an image and its mask.

    Args:
        image: uint8, (size, size).
        mask: uint8 coverage, (size, size), 255 inside.
        settings: the ranges.
        rng: the only source of randomness.

    Returns:
        float32 in [0, 1], (size, size), and uint8 coverage on the same grid.
    """
    image = _degrade(image, settings, rng)
    matrix = _affine(image.shape[0], settings, rng)
    if matrix is not None:
        side = image.shape[0]
        image = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR)  # type: ignore[assignment]
        mask = cv2.warpAffine(mask, matrix, (side, side), flags=cv2.INTER_LINEAR)  # type: ignore[assignment]
    return _tone(image, settings, rng), mask


def _affine(
    side: int, settings: Augmentation, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """Matrix (2, 3) from the source to the result, in OpenCV's pixel-centre coordinates."""
    angle = np.deg2rad(rng.uniform(-1, 1) * settings.rotation_degrees)
    zoom = rng.uniform(*settings.scale)
    shift = rng.uniform(-1, 1, 2) * settings.shift_fraction * side
    low, high = rng.uniform(0, 1, (2, 2)) * settings.crop_fraction
    mirror = -1.0 if rng.uniform() < settings.flip else 1.0
    stretch = zoom / (1 - low - high)  # x, y
    cosine, sine = np.cos(angle), np.sin(angle)
    linear = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag(stretch * [mirror, 1.0])
    centre = (side - 1) / 2
    kept_centre = centre + (low - high) / 2 * side
    offset = np.array([centre, centre]) + shift - linear @ kept_centre
    matrix = np.column_stack([linear, offset])
    return None if np.array_equal(matrix, np.eye(2, 3)) else matrix


def _degrade(
    image: NDArray[np.uint8], settings: Augmentation, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """JPEG and blur, as an archive or another detector would."""
    sigma = rng.uniform(0, 1) * settings.blur_sigma
    quality = int(rng.integers(settings.jpeg_quality[0], settings.jpeg_quality[1] + 1))
    if rng.uniform() < settings.jpeg:
        _, stream = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = cv2.imdecode(stream, cv2.IMREAD_GRAYSCALE)  # type: ignore[assignment]
    if sigma > 0.3:  # below that the kernel is one pixel
        image = cv2.GaussianBlur(image, (0, 0), sigma)  # type: ignore[assignment]
    return image


def _tone(
    image: NDArray[np.uint8], settings: Augmentation, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Gamma, contrast and brightness through a table, then noise."""
    exponent = np.exp(rng.uniform(*np.log(settings.gamma)))
    contrast = rng.uniform(*settings.contrast)
    brightness = rng.uniform(-1, 1) * settings.brightness
    levels = np.linspace(0, 1, 256) ** exponent
    table = np.clip((levels - 0.5) * contrast + 0.5 + brightness, 0, 1).astype(np.float32)
    toned = np.asarray(cv2.LUT(image, table), dtype=np.float32)
    sigma = rng.uniform(0, 1) * settings.noise
    if sigma > 0:  # in place: this is the dearest step of the data path
        noise = rng.standard_normal(toned.shape, dtype=np.float32)
        noise *= np.float32(sigma)
        noise += toned
        toned = np.clip(noise, 0, 1, out=noise)
    return toned
