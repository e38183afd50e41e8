"""Logits -> calibrated probability, decision, mask on the file's own grid, regions."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.inference.manifest import Calibration, MaskRule
from pleura.masks import remove_small

_STEPS = 1000
_ABOVE_1 = 1.0 + 1e-6  # the upper end of a histogram is not part of it


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)), float32, without overflow at either end (through tanh)."""
    half = np.float32(0.5)
    return np.asarray(half * (np.float32(1.0) + np.tanh(half * logits)), dtype=np.float32)


def calibrated_probability(logit: float, calibration: Calibration) -> float:
    """Probability in [0, 1] for the classifier's logit; see `Calibration` for the four methods.

    It never falls with a rising logit, as long as the slope is positive.
    """
    if calibration.method == "isotonic":
        logits, probabilities = zip(*calibration.knots, strict=True)
        return float(np.interp(logit, logits, probabilities))
    if calibration.method in ("platt", "temperature"):
        logit = calibration.slope * logit + calibration.intercept
    return 0.5 * (1.0 + math.tanh(0.5 * logit))


def dice_threshold(probability_map: NDArray[np.float32]) -> float:
    """The threshold with the highest expected Dice, taking each pixel's probability at its word.

    For a threshold t that is 2 sum(p where p >= t) / (count(p >= t) + sum(p)): the expectations of
    overlap and areas, one over the other. The best threshold is half of the Dice that it reaches
    (Lipton et al., ECML 2014): an image with one clear pneumothorax is cut near 0.5, and one
    where the network is in doubt everywhere is cut lower.

    Args:
        probability_map: float32 in [0, 1], (rows, columns).

    Returns:
        in [0, 1], to 1 / 1000; of equal ones the highest.
    """
    counts = cv2.calcHist([probability_map], [0], None, [_STEPS], [0.0, _ABOVE_1])
    falling = counts.ravel()[::-1].astype(np.float64)
    middles = (np.arange(_STEPS)[::-1] + 0.5) / _STEPS
    overlap = np.cumsum(falling * middles)
    areas = np.cumsum(falling) + np.sum(probability_map, dtype=np.float64)
    expected = np.divide(2.0 * overlap, areas, out=np.zeros(_STEPS), where=areas > 0)
    return float((_STEPS - 1 - np.argmax(expected)) / _STEPS)


def threshold_for(probability_map: NDArray[np.float32], rule: MaskRule) -> np.float32:
    """The probability from which on a pixel of this map belongs to the mask."""
    if rule.method == "threshold":
        return np.float32(rule.threshold)
    return np.float32(max(dice_threshold(probability_map), rule.threshold))


def mask_from_map(probability_map: NDArray[np.float32], rule: MaskRule) -> NDArray[np.bool_]:
    """The mask of a positive finding: threshold, then small regions away, the largest kept.

    Args:
        probability_map: float32 in [0, 1], (rows, columns) of the file.
        rule: how the threshold is found, and the smallest area as a share of the image.

    Returns:
        bool, (rows, columns).
    """
    mask = probability_map >= threshold_for(probability_map, rule)
    min_area_px = math.ceil(rule.min_area_fraction * mask.size)
    if min_area_px <= 1:
        return mask
    return remove_small(mask, min_area_px, keep_largest=True)
