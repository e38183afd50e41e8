"""Closed-form 95 % intervals: for proportions (Wilson) and for the area under the ROC (DeLong)."""

from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pleura.inference.manifest import Estimate
from pleura.metrics import _checks
from pleura.metrics._checks import BoolArray, FloatArray
from pleura.metrics.ranking import roc_auc


def wilson_interval(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
    r"""Score interval of a proportion (Wilson, 1927).

    .. math:: \frac{p + z^2/2n \pm z \sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}

    Args:
        successes: number of successes, from 0 to n.
        n: number of trials; an effective number need not be whole.
        level: coverage, within (0, 1).

    Returns:
        (low, high) within [0, 1]; never of zero width.

    Raises:
        ValueError: there is no trial, or more successes than trials.
    """
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"need 0 <= successes <= n and n > 0, not {successes} of {n}")
    z = normal_quantile(level)
    share = successes / n
    centre = share + z * z / (2 * n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if successes == 0 else max(0.0, (centre - half) / scale)
    high = 1.0 if successes == n else min(1.0, (centre + half) / scale)
    return low, high


def proportion(outcomes: ArrayLike, groups: ArrayLike | None = None) -> Estimate:
    r"""Share of successes with Wilson's interval, widened where cases of one patient agree.

    With `groups`, n is divided by the design effect of the clusters,
    :math:`\sum_g (x_g - n_g p)^2 \cdot G/(G-1) \,/\, (n p (1-p))`, never below 1 (Rao and Scott,
    1992). When all outcomes agree, or all cases are of one group, the effect cannot be seen, and
    the number of groups stands for n.

    Args:
        outcomes: (n,) boolean or 0 and 1.
        groups: (n,) patient of each case; None when every case is its own.

    Raises:
        ValueError: there is no case, the lengths differ, or the outcomes are not binary.
    """
    outcome = _checks.labels(outcomes, name="outcomes")
    n = outcome.size
    share = float(outcome.mean())
    effective = float(n)
    if groups is not None:
        index = group_index(groups, n)
        sizes = np.bincount(index)
        count = sizes.size
        if share in (0.0, 1.0) or count == 1:
            effective = float(count)
        elif count < n:
            residual = np.bincount(index, outcome.astype(np.float64)) - sizes * share
            variance = float(residual @ residual) * count / (count - 1)
            effective = n / max(1.0, variance / (n * share * (1 - share)))
    low, high = wilson_interval(share * effective, effective)
    return Estimate(value=share, low=low, high=high, n=n)


def delong_interval(scores: ArrayLike, labels: ArrayLike, level: float = 0.95) -> Estimate:
    """Area under the ROC curve with the interval of DeLong, DeLong and Clarke-Pearson (1988).

    The variance comes from mid-ranks (Sun and Xu, 2014), in O(n log n). Cases are taken as
    independent: with several images of a patient, see `bootstrap_interval`. When the variance is
    estimated as zero (perfect separation), Wilson's interval on the smaller class is given instead
    of an interval of zero width.

    Args:
        scores: (n,) finite; higher means more likely positive.
        labels: (n,) boolean or 0 and 1.
        level: coverage, within (0, 1).

    Raises:
        ValueError: lengths differ, or a class has fewer than two cases.
    """
    score = _checks.scores(scores)
    label = _checks.labels(labels, score.size)
    of_positives, of_negatives = placements(score, label)
    m, n = of_positives.size, of_negatives.size
    area = roc_auc(score, label)
    variance = float(of_positives.var(ddof=1)) / m + float(of_negatives.var(ddof=1)) / n
    if variance > 0:
        half = normal_quantile(level) * sqrt(variance)
        low, high = max(0.0, area - half), min(1.0, area + half)
    else:
        low, high = wilson_interval(area * min(m, n), min(m, n), level)
    return Estimate(value=area, low=low, high=high, n=score.size)


def placements(score: FloatArray, label: BoolArray) -> tuple[FloatArray, FloatArray]:
    """DeLong's components of the AUC: what each case adds to it, by mid-ranks (Sun and Xu, 2014).

    Args:
        score: (m + n,) finite.
        label: (m + n,) of m positives and n negatives.

    Returns:
        (m,) for each positive the share of negatives below it, ties counting half; (n,) for each
        negative the share of positives above it. The mean of either is the AUC.

    Raises:
        ValueError: a class has fewer than two cases.
    """
    _checks.both_classes(label)
    positive, negative = score[label], score[~label]
    m, n = positive.size, negative.size
    if min(m, n) < 2:
        raise ValueError(f"each class needs two cases: {m} positive and {n} negative")
    overall = _midranks(np.concatenate([positive, negative]))
    of_positives = (overall[:m] - _midranks(positive)) / n
    of_negatives = 1.0 - (overall[m:] - _midranks(negative)) / m
    return of_positives, of_negatives


def group_index(groups: ArrayLike, n: int) -> NDArray[np.int64]:
    """Number each case's group from 0, (n,).

    Raises:
        ValueError: there is not one group per case.
    """
    array = np.asarray(groups)
    if array.shape != (n,):
        raise ValueError(f"groups must have one value per case: {array.shape} for {n} cases")
    _, index = np.unique(array, return_inverse=True)
    return index.astype(np.int64)


def _midranks(values: FloatArray) -> FloatArray:
    """Ranks from 1; ties share the mean of their ranks."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middle: FloatArray = last - (counts - 1) / 2.0
    return middle[index]


def normal_quantile(level: float) -> float:
    """Half-width of the central interval of the standard normal that covers `level`."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie within (0, 1), not be {level}")
    return NormalDist().inv_cdf(0.5 + level / 2)
