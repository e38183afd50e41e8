"""The few statistics behind the alarms, exact where counts are small."""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray


def wilson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson, 1927); (0, 1) where nothing was seen.

    Raises:
        ValueError: not 0 <= successes <= n.
    """
    _check_counts(successes, n)
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, spread = successes / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    low = 0.0 if successes == 0 else max(centre - half, 0.0)
    high = 1.0 if successes == n else min(centre + half, 1.0)
    return low, high


def at_least(successes: int, n: int, share: float) -> float:
    """Probability of so many successes or more among n, each of probability `share` (binomial).

    Raises:
        ValueError: not 0 <= successes <= n, or not 0 < share < 1.
    """
    _check_counts(successes, n)
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, not {share}")
    if successes == 0:
        return 1.0
    k = np.arange(successes, n + 1)
    logs = _log_choose(n, k, _log_factorials(n))
    logs += k * math.log(share) + (n - k) * math.log1p(-share)
    return min(float(np.exp(logs).sum()), 1.0)


def fisher(first: int, n_first: int, second: int, n_second: int) -> float:
    """Two-sided p-value of Fisher's exact test that two shares are the same.

    Tables as likely as the observed one or less are summed up. The test is conservative: it
    rejects a true equality at most as often as its level says, however small the counts.

    Raises:
        ValueError: more successes than cases.
    """
    _check_counts(first, n_first)
    _check_counts(second, n_second)
    successes, n = first + second, n_first + n_second
    k = np.arange(max(0, successes - n_second), min(successes, n_first) + 1)
    factorials = _log_factorials(n)
    logs = _log_choose(n_first, k, factorials) + _log_choose(n_second, successes - k, factorials)
    logs -= logs.max()
    weights = np.exp(logs)
    observed = weights[first - int(k[0])]
    within = weights <= observed * (1 + 1e-7)  # equal ones differ by rounding
    return min(float(weights[within].sum() / weights.sum()), 1.0)


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p-value of McNemar's exact test: are both kinds of disagreement as frequent?"""
    n = only_first + only_second
    return 1.0 if n == 0 else min(2 * at_least(max(only_first, only_second), n, 0.5), 1.0)


def spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Rank correlation of pairs, ties at their mean rank; None where one side is constant."""
    ranks = _ranks(first), _ranks(second)
    if any(np.ptp(rank) == 0 for rank in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def ks_distance(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Largest distance of two cumulative distributions, in [0, 1] (Kolmogorov-Smirnov).

    Args:
        first: cases by bin.
        second: cases by the same bins.

    Raises:
        ValueError: one of them has no cases, or they have different bins.
    """
    if first.shape != second.shape:
        raise ValueError("both must have the same bins")
    n_first, n_second = int(first.sum()), int(second.sum())
    if n_first == 0 or n_second == 0:
        raise ValueError("both need cases")
    apart = np.cumsum(first) / n_first - np.cumsum(second) / n_second
    return float(np.abs(apart).max())


def ks_p(distance: float, n_first: int, n_second: int) -> float:
    """Probability of such a distance or a larger one between samples of one distribution.

    Kolmogorov's limit; for small samples and for scores with ties it is too large, never too small
    by much, so that alarms are rarer than stated and not more frequent.
    """
    reach = distance * math.sqrt(n_first * n_second / (n_first + n_second))
    if reach < 0.2:  # the series converges slowly here, and the answer is 1 - 5e-13
        return 1.0
    j = np.arange(1, 101)
    terms = np.where(j % 2 == 1, 1.0, -1.0) * np.exp(-2.0 * (j * reach) ** 2)
    return min(max(2.0 * float(terms.sum()), 0.0), 1.0)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle: NDArray[np.float64] = np.cumsum(counts) - (counts - 1) / 2
    return middle[place]


def _check_counts(successes: int, n: int) -> None:
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes among {n} cases")


def _log_factorials(n: int) -> NDArray[np.float64]:
    """The logarithm of k! for k = 0 ... n."""
    return np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, n + 1, dtype=np.float64)))))


def _log_choose(
    n: int, k: NDArray[np.int64], factorials: NDArray[np.float64]
) -> NDArray[np.float64]:
    chosen: NDArray[np.float64] = factorials[n] - factorials[k] - factorials[n - k]
    return chosen
