"""Two models on the same cases: what they share cancels, so smaller differences show."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from pleura.inference.manifest import Estimate
from pleura.metrics import _checks
from pleura.metrics.intervals import normal_quantile, placements

_NO_VARIANCE = 1e-15


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Second minus first, with its interval, and the two-sided p of no difference."""

    difference: Estimate
    p_value: float


@dataclass(frozen=True, slots=True)
class Discordance:
    """Decisions of two models on the same cases.

    Attributes:
        both: right in both.
        only_first, only_second: right in one alone.
        neither: wrong in both.
        p_value: exact two-sided p of McNemar's test, in [0, 1].
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float


def delong_difference(
    first: ArrayLike, second: ArrayLike, labels: ArrayLike, level: float = 0.95
) -> PairedDifference:
    r"""Difference of two areas under the ROC curve on the same cases.

    DeLong, DeLong and Clarke-Pearson (1988): the variance is
    :math:`s^2(V_{10}^b - V_{10}^a) / m + s^2(V_{01}^b - V_{01}^a) / n` with the components V of the
    m positives and n negatives (`pleura.metrics.intervals.placements`), and the difference over its
    standard error is taken as standard normal. Cases are taken as independent: with several images
    of a patient, see `bootstrap_interval`.

    Args:
        first, second: (m + n,) finite scores of the two models; higher means more likely positive.
        labels: (m + n,) boolean or 0 and 1.
        level: coverage, within (0, 1).

    Returns:
        AUC of the second minus AUC of the first. Two models that rank alike differ by 0 with an
        interval of zero width and p = 1.

    Raises:
        ValueError: lengths differ, a class has fewer than two cases, or the areas differ and the
            variance is estimated as zero.
    """
    one, other = _checks.scores(first, "first"), _checks.scores(second, "second")
    if one.size != other.size:
        raise ValueError(f"the models must have the same cases: {one.size} and {other.size}")
    label = _checks.labels(labels, one.size)
    parts = [b - a for a, b in zip(placements(one, label), placements(other, label), strict=True)]
    difference = float(parts[0].mean())
    variance = sum(float(part.var(ddof=1)) / part.size for part in parts)
    if variance <= _NO_VARIANCE:
        if abs(difference) > math.sqrt(_NO_VARIANCE):
            raise ValueError("the areas differ, and the variance is estimated as zero")
        return PairedDifference(Estimate(value=0.0, low=0.0, high=0.0, n=label.size), 1.0)
    error = math.sqrt(variance)
    half = normal_quantile(level) * error
    low, high = max(-1.0, difference - half), min(1.0, difference + half)
    p_value = 2.0 * NormalDist().cdf(-abs(difference) / error)
    return PairedDifference(Estimate(value=difference, low=low, high=high, n=label.size), p_value)


def mcnemar_exact(first: ArrayLike, second: ArrayLike) -> Discordance:
    """Do two models get the same share of cases right? The exact test of McNemar (1947).

    Where they are equally good, each of the d cases that only one gets right falls to either with
    probability 1/2, so the p is that of a binomial test. Cases on which they agree say nothing.
    Cases are taken as independent.

    Args:
        first: (n,) boolean or 0 and 1: whether the first model is right.
        second: (n,) likewise.

    Raises:
        ValueError: lengths differ, or there is no case.
    """
    from scipy.stats import binomtest  # most of a second, for one command

    one = _checks.labels(first, name="first")
    other = _checks.labels(second, one.size, name="second")
    only_first, only_second = (int(np.count_nonzero(x)) for x in (one & ~other, other & ~one))
    discordant = only_first + only_second
    return Discordance(
        both=int(np.count_nonzero(one & other)),
        only_first=only_first,
        only_second=only_second,
        neither=int(np.count_nonzero(~one & ~other)),
        p_value=float(binomtest(only_first, discordant).pvalue) if discordant else 1.0,
    )
