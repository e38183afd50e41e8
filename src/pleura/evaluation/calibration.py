"""Fitting a probability to a classifier's logits, for a stated prevalence."""

import logging

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pleura.metrics import prevalence_weights

_MAX_STEPS = 100
_TOLERANCE = 1e-10
_log = logging.getLogger(__name__)


def fit_platt(
    logits: ArrayLike, labels: ArrayLike, prevalence: float | None = None
) -> tuple[float, float]:
    """Slope and intercept of probability = sigmoid(slope * logit + intercept).

    Platt (1999): weighted maximum likelihood with the targets (N+ + 1) / (N+ + 2) and 1 / (N- + 2)
    in the place of 1 and 0, so that separable logits too have a finite answer. Cases are weighted
    to the stated prevalence. Newton's method with step halving (Lin, Lin and Weng, 2007);
    deterministic.

    Args:
        logits: (n,) finite numbers of the classifier, on cases that it was not trained on.
        labels: (n,) boolean or 0 and 1, both classes present.
        prevalence: share of positives, in (0, 1), to calibrate for; None for the cases' own.

    Returns:
        (slope, intercept). A slope that is not positive means that the logits do not tell the
        classes apart; it is logged as a warning.

    Raises:
        ValueError: lengths differ, only one class occurs, or all logits are equal.
    """
    logit = np.asarray(logits, dtype=np.float64)
    weight = prevalence_weights(labels, 0.5 if prevalence is None else prevalence)
    if prevalence is None:
        weight = np.ones_like(weight)
    label = np.asarray(labels, dtype=np.float64)
    if logit.shape != label.shape or not np.isfinite(logit).all():
        raise ValueError("logits must be finite, one for each label")
    centre, spread = float(logit.mean()), float(logit.std())
    if spread == 0.0:
        raise ValueError("all logits are equal")
    positives = float(label.sum())
    negatives = label.size - positives
    target = np.where(label == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.stack([(logit - centre) / spread, np.ones_like(logit)], axis=1)
    slope, intercept = _maximise(design, target, weight / weight.sum())
    if slope <= 0:
        _log.warning("the fitted slope is %.3g: the logits do not tell the classes apart", slope)
    return slope / spread, intercept - slope * centre / spread


def _maximise(
    design: NDArray[np.float64], target: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, float]:
    """Newton's method on the weighted cross entropy, which is convex."""

    def loss(at: NDArray[np.float64]) -> float:
        score = design @ at
        return float(weight @ (np.logaddexp(0.0, score) - target * score))

    place = np.zeros(2)
    current = loss(place)
    for _ in range(_MAX_STEPS):
        probability = 0.5 * (1.0 + np.tanh(0.5 * (design @ place)))
        gradient = design.T @ (weight * (probability - target))
        curvature = design.T @ (design * (weight * probability * (1 - probability))[:, None])
        step = np.linalg.solve(curvature + 1e-12 * np.eye(2), gradient)
        scale = 1.0
        while loss(place - scale * step) > current and scale > _TOLERANCE:
            scale *= 0.5
        place = place - scale * step
        current = loss(place)
        if float(np.abs(scale * step).max()) < _TOLERANCE:
            break
    return float(place[0]), float(place[1])
