"""Connected regions of a mask: where they lie, how large and how sure they are."""

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

_Stats = NDArray[np.int32]


class ImageSide(StrEnum):
    """Side of the image, not of the patient, whose left usually is on the right of the image."""

    LEFT = "left"
    RIGHT = "right"


class PatientSide(StrEnum):
    """Side of the patient, who knows best which is the left."""

    LEFT = "left"
    RIGHT = "right"


def patient_side(
    image_side: ImageSide, patient_orientation: tuple[str, str] | None
) -> PatientSide | None:
    """The patient's side that is seen on a side of the image.

    Args:
        image_side: half of the image.
        patient_orientation: PatientOrientation (0020,0020; PS3.3 C.7.6.1.1.1): the directions in
            the patient in which columns and rows count up, each with the main direction first, as
            in ("L", "F") of a usual frontal view; None when unknown.

    Returns:
        None when the columns do not mainly run between left and right.
    """
    towards = patient_orientation[0][:1] if patient_orientation else ""
    if towards not in ("L", "R"):
        return None
    right_half_is_left = towards == "L"
    at_right = image_side is ImageSide.RIGHT
    return PatientSide.LEFT if at_right == right_half_is_left else PatientSide.RIGHT


@dataclass(frozen=True, slots=True)
class Region:
    """One 8-connected region of a mask.

    Attributes:
        box: (top, left, bottom, right) in pixels, half-open: `mask[top:bottom, left:right]`.
        area_px: number of pixels.
        image_side: half of the image in which the centroid lies; exactly on the middle is `RIGHT`.
        score: mean of the probability map inside the region, in [0, 1]; 1 when no map was given.
    """

    box: tuple[int, int, int, int]
    area_px: int
    image_side: ImageSide
    score: float


def connected_regions(
    mask: NDArray[np.bool_], probability_map: NDArray[np.float32] | None = None
) -> tuple[Region, ...]:
    """Describe the 8-connected regions of a mask, largest first.

    Regions of one size come in the order of their boxes, then of their centroids.

    Args:
        mask: bool, (rows, columns).
        probability_map: float32 in [0, 1], (rows, columns), for the scores.

    Raises:
        ValueError: `mask` is not bool (rows, columns), or the map is on another grid.
    """
    if probability_map is not None and probability_map.shape != mask.shape:
        raise ValueError(f"map is {probability_map.shape}, mask is {mask.shape}")
    found, labels, stats, centroids = _components(mask)
    values = None if probability_map is None else probability_map[found]
    scores = _scores(labels, mask[found], stats, values)
    middle = (mask.shape[1] - 1) / 2
    return tuple(
        Region(
            box=(top, left, top + height, left + width),
            area_px=area,
            image_side=ImageSide.LEFT if centroids[label, 0] < middle else ImageSide.RIGHT,
            score=float(scores[label]),
        )
        for label in _largest_first(stats, centroids)
        for left, top, width, height, area in [stats[label].tolist()]
    )


def remove_small(
    mask: NDArray[np.bool_], min_area_px: float, keep_largest: bool = False
) -> NDArray[np.bool_]:
    """Drop the 8-connected regions that are smaller than an area.

    Args:
        mask: bool, (rows, columns).
        min_area_px: regions with fewer pixels are dropped.
        keep_largest: keep the first of `connected_regions` whatever its size, so that a positive
            finding is not left without a place.

    Returns:
        A new bool mask, (rows, columns).

    Raises:
        ValueError: `mask` is not bool (rows, columns).
    """
    found, labels, stats, centroids = _components(mask)
    keep = stats[:, cv2.CC_STAT_AREA] >= min_area_px
    if keep_largest and stats.shape[0] > 1:
        keep[_largest_first(stats, centroids)[0]] = True
    keep[0] = False
    if keep[1:].all():
        return mask.copy()
    kept = np.zeros_like(mask)
    kept[found] = keep[labels]
    return kept


def _components(
    mask: NDArray[np.bool_],
) -> tuple[tuple[slice, slice], NDArray[np.int32], _Stats, NDArray[np.float64]]:
    """Where the mask lies, labels there (0 outside), statistics and centroids, a row a label.

    Only the smallest box around the mask is searched, most often a small part of the image.
    Boxes and centroids (column, row) are those of the whole grid.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_ or mask.size == 0:
        raise ValueError(f"mask must be bool (rows, columns), not {mask.dtype} {mask.shape}")
    pixels = np.ascontiguousarray(mask).view(np.uint8)
    left, top, width, height = cv2.boundingRect(pixels)
    if width == 0:
        width, height = 1, 1  # an empty mask: one pixel of background
    found = slice(top, top + height), slice(left, left + width)
    _, labels, stats, centroids = cv2.connectedComponentsWithStats(
        np.ascontiguousarray(pixels[found]), connectivity=8, ltype=cv2.CV_32S
    )
    stats[:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP]] += [left, top]
    centroids += [left, top]
    return (
        found,
        np.asarray(labels, dtype=np.int32),
        np.asarray(stats, dtype=np.int32),
        np.asarray(centroids, dtype=np.float64),
    )


def _largest_first(stats: _Stats, centroids: NDArray[np.float64]) -> list[int]:
    left, top, width, height, area = stats[1:].T
    column, row = centroids[1:].T
    order = np.lexsort((column, row, width, height, left, top, -area))
    return [int(index) + 1 for index in order]


def _scores(
    labels: NDArray[np.int32],
    mask: NDArray[np.bool_],
    stats: _Stats,
    probability_map: NDArray[np.float32] | None,
) -> NDArray[np.float64]:
    if probability_map is None:
        return np.ones(stats.shape[0])
    sums = np.bincount(labels[mask], weights=probability_map[mask], minlength=stats.shape[0])
    return sums / np.maximum(stats[:, cv2.CC_STAT_AREA], 1)
