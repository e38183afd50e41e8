"""Dice and intersection over union of masks, with the convention for empty masks named."""

from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from pleura.metrics import _checks
from pleura.metrics._checks import BoolArray, FloatArray


class EmptyConvention(StrEnum):
    """What an image without a true mask counts as.

    `KAGGLE`: an empty prediction on an empty truth scores 1, any pixel on an empty truth scores 0
    (the rule of the SIIM-ACR Pneumothorax Segmentation challenge, 2019). With four normals in five
    images, a model that always says "nothing" scores 0.8.
    `POSITIVES`: only images with a true mask count; the others score NaN and leave the mean.
    """

    KAGGLE = "kaggle"
    POSITIVES = "positives"


def dice(predicted: ArrayLike, true: ArrayLike, convention: EmptyConvention) -> FloatArray:
    r"""Dice coefficient of each image: :math:`2 |P \cap T| / (|P| + |T|)` (Dice, 1945).

    Args:
        predicted: masks (..., rows, columns), boolean or 0 and 1.
        true: masks of the same shape.
        convention: what an image without a true mask counts as.

    Returns:
        float64 (...), each in [0, 1], NaN where `POSITIVES` leaves an image out.

    Raises:
        ValueError: the shapes differ, or the values are not binary.
    """
    intersection, predicted_area, true_area = _areas(predicted, true)
    total = predicted_area + true_area
    score = np.divide(2.0 * intersection, total, out=np.ones(total.shape), where=total > 0)
    return _apply(convention, score, true_area)


def iou(predicted: ArrayLike, true: ArrayLike, convention: EmptyConvention) -> FloatArray:
    r"""Intersection over union of each image: :math:`|P \cap T| / |P \cup T|` (Jaccard, 1901).

    Args:
        predicted: masks (..., rows, columns), boolean or 0 and 1.
        true: masks of the same shape.
        convention: what an image without a true mask counts as.

    Returns:
        float64 (...), each in [0, 1], NaN where `POSITIVES` leaves an image out.

    Raises:
        ValueError: the shapes differ, or the values are not binary.
    """
    intersection, predicted_area, true_area = _areas(predicted, true)
    union = predicted_area + true_area - intersection
    score = np.divide(intersection, union, out=np.ones(union.shape), where=union > 0)
    return _apply(convention, score, true_area)


def mean_dice(predicted: ArrayLike, true: ArrayLike, convention: EmptyConvention) -> float:
    """Mean over images of `dice`.

    Raises:
        ValueError: as `dice`, or no image counts under the convention.
    """
    return _mean(dice(predicted, true, convention), convention)


def mean_iou(predicted: ArrayLike, true: ArrayLike, convention: EmptyConvention) -> float:
    """Mean over images of `iou`.

    Raises:
        ValueError: as `iou`, or no image counts under the convention.
    """
    return _mean(iou(predicted, true, convention), convention)


def _areas(predicted: ArrayLike, true: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    first: BoolArray = _checks.binary(predicted, "predicted")
    second: BoolArray = _checks.binary(true, "true")
    if first.shape != second.shape:
        raise ValueError(f"masks must have one shape, not {first.shape} and {second.shape}")
    if first.ndim < 2 or first.size == 0:
        raise ValueError(f"masks must be (..., rows, columns) and not empty, not {first.shape}")
    count = [np.count_nonzero(mask, axis=(-2, -1)) for mask in (first & second, first, second)]
    intersection, predicted_area, true_area = (np.asarray(c, dtype=np.float64) for c in count)
    return intersection, predicted_area, true_area


def _apply(convention: EmptyConvention, score: FloatArray, true_area: FloatArray) -> FloatArray:
    if convention is EmptyConvention.KAGGLE:
        return score
    return np.where(true_area > 0, score, np.nan)


def _mean(score: FloatArray, convention: EmptyConvention) -> float:
    counted = score[~np.isnan(score)]
    if counted.size == 0:
        raise ValueError(f"no image counts under the convention '{convention}'")
    return float(counted.mean())
