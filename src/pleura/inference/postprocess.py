"""Logits -> calibrated probability, decision, mask on the file's own grid, regions."""

import math

import numpy as np
from numpy.typing import NDArray

from pleura.inference.manifest import Calibration, MaskRule
from pleura.masks import remove_small


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


def mask_from_map(probability_map: NDArray[np.float32], rule: MaskRule) -> NDArray[np.bool_]:
    """The mask of a positive finding: threshold, then small regions away, the largest kept.

    Args:
        probability_map: float32 in [0, 1], (rows, columns) of the file.
        rule: threshold and smallest area as a share of the image.

    Returns:
        bool, (rows, columns).
    """
    mask = probability_map >= np.float32(rule.threshold)
    min_area_px = math.ceil(rule.min_area_fraction * mask.size)
    if min_area_px <= 1:
        return mask
    return remove_small(mask, min_area_px, keep_largest=True)
