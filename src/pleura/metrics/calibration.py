"""Whether a probability means what it says."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pleura.metrics import _checks
from pleura.metrics._checks import BoolArray, FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class ReliabilityBins:
    """Cases by predicted probability, in bins of equal width; empty bins hold NaN.

    Attributes:
        edges: (bins + 1,), from 0 to 1.
        counts: (bins,) number of cases.
        weights: (bins,) sum of the case weights; equal to `counts` when none were given.
        mean_probability: (bins,) what was said.
        observed: (bins,) share of positives: what was so.
    """

    edges: FloatArray
    counts: FloatArray
    weights: FloatArray
    mean_probability: FloatArray
    observed: FloatArray


def prevalence_weights(labels: ArrayLike, prevalence: float) -> FloatArray:
    """Case weights (n,) that give the cohort the stated prevalence and sum to n.

    Args:
        labels: (n,) boolean or 0 and 1, both classes present.
        prevalence: share of positives to pretend, in (0, 1).

    Raises:
        ValueError: only one class occurs, or the prevalence is not within (0, 1).
    """
    label = _checks.labels(labels)
    _checks.both_classes(label)
    if not 0.0 < prevalence < 1.0:
        raise ValueError(f"prevalence must lie within (0, 1), not be {prevalence}")
    share = float(label.mean())
    return np.where(label, prevalence / share, (1.0 - prevalence) / (1.0 - share))


def prevalence_weighted_mean(
    values: FloatArray, labels: BoolArray, prevalence: float, *, weights: FloatArray
) -> FloatArray:
    """Mean of `values` (n,) at a stated prevalence, for each row of case weights (b, n): (b,).

    The weighted mean of the positives counts `prevalence`, that of the negatives the rest; NaN for
    a row on which a class has no weight.
    """

    def mean(chosen: BoolArray) -> FloatArray:
        total = weights @ chosen
        share: FloatArray = np.full(total.shape, np.nan)
        np.divide(weights @ (values * chosen), total, out=share, where=total > 0)
        return share

    return prevalence * mean(labels) + (1.0 - prevalence) * mean(~labels)


def brier_score(
    probabilities: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> float:
    r"""Mean squared error of the probability: :math:`\sum w_i (p_i - y_i)^2 / \sum w_i`.

    Brier (1950). 0 is perfect; always saying the prevalence q scores q (1 - q).

    Raises:
        ValueError: lengths differ, or values lie outside their range.
    """
    probability = _checks.probabilities(probabilities)
    label = _checks.labels(labels, probability.size)
    weight = _checks.weights(weights, probability.size)
    return float(np.average((probability - label) ** 2, weights=weight))


def reliability_bins(
    probabilities: ArrayLike,
    labels: ArrayLike,
    bins: int = 10,
    weights: ArrayLike | None = None,
) -> ReliabilityBins:
    """Sort cases into `bins` of equal width; the last bin includes 1.

    Raises:
        ValueError: lengths differ, values lie outside their range, or there is no bin.
    """
    probability = _checks.probabilities(probabilities)
    label = _checks.labels(labels, probability.size)
    weight = _checks.weights(weights, probability.size)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    place = np.minimum((probability * bins).astype(np.int64), bins - 1)
    total = np.bincount(place, weight, bins).astype(np.float64)

    def mean(values: FloatArray) -> FloatArray:
        summed = np.bincount(place, weight * values, bins)
        share: FloatArray = np.full(bins, np.nan)
        np.divide(summed, total, out=share, where=total > 0)
        return share

    return ReliabilityBins(
        edges=np.linspace(0.0, 1.0, bins + 1),
        counts=np.bincount(place, minlength=bins).astype(np.float64),
        weights=total,
        mean_probability=mean(probability),
        observed=mean(label.astype(np.float64)),
    )


def expected_calibration_error(
    probabilities: ArrayLike,
    labels: ArrayLike,
    bins: int = 10,
    weights: ArrayLike | None = None,
) -> float:
    r"""Mean distance of said and seen: :math:`\sum_b \frac{w_b}{w} |\bar y_b - \bar p_b|`.

    Naeini, Cooper and Hauskrecht (2015), bins of equal width. Positive by chance alone in small
    cohorts, so read it next to the reliability diagram.

    Raises:
        ValueError: as `reliability_bins`.
    """
    table = reliability_bins(probabilities, labels, bins, weights)
    filled = table.weights > 0
    gap = np.abs(table.observed[filled] - table.mean_probability[filled])
    return float(np.average(gap, weights=table.weights[filled]))
