"""Setting the most doubtful cases aside: how the error falls with the share that is kept."""

import numpy as np
from numpy.typing import ArrayLike

from pleura.metrics import _checks
from pleura.metrics._checks import BoolArray, FloatArray


def kept_cases(doubts: ArrayLike, coverage: float) -> BoolArray:
    """The least doubtful cases that make up a share of all, bool (n,).

    Cases with equal doubt stand or fall together, so that more than the share may be kept; no case
    is kept whose doubt is above that of the ceil(coverage * n)-th.

    Args:
        doubts: (n,) finite; higher is set aside first.
        coverage: wanted share, in (0, 1].

    Raises:
        ValueError: a doubt is not finite, or the coverage lies outside its range.
    """
    doubt = _checks.scores(doubts, "doubts")
    if not 0.0 < coverage <= 1.0:
        raise ValueError(f"coverage must lie in (0, 1], not be {coverage}")
    # A product such as 0.55 * 20 may stand a digit above the whole number that is meant.
    wanted = max(1, int(np.ceil(coverage * doubt.size - 1e-9)))
    kept: BoolArray = doubt <= np.sort(doubt)[wanted - 1]
    return kept


def area_under_risk_coverage(errors: ArrayLike, doubts: ArrayLike) -> float:
    r"""Mean over k of the error rate among the k least doubtful cases (AURC).

    :math:`\frac{1}{n} \sum_{k=1}^{n} \frac{1}{k} \sum_{i \le k} e_{(i)}`, the risk-coverage
    curve of Geifman and El-Yaniv (2017) averaged as by Geifman, Uziel and El-Yaniv (2019). Lower is
    better; an order by chance has the error rate itself on average. Of cases with equal doubt, the
    mean over their orders is taken.

    Args:
        errors: (n,) boolean or 0 and 1: whether the decision is wrong.
        doubts: (n,) finite; higher is set aside first.

    Raises:
        ValueError: lengths differ, a doubt is not finite, or errors are not binary.
    """
    doubt = _checks.scores(doubts, "doubts")
    error = _checks.labels(errors, doubt.size, "errors")
    return float(weighted_risk_coverage_area(error, doubt, weights=np.ones((1, doubt.size)))[0])


def weighted_risk_coverage_area(
    errors: BoolArray, doubts: FloatArray, *, weights: FloatArray
) -> FloatArray:
    """`area_under_risk_coverage` for each row of whole, non-negative weights (b, n): (b,)."""
    order = np.argsort(doubts, kind="stable")
    first = np.flatnonzero(np.append(True, np.diff(doubts[order]) != 0))
    weight = weights[:, order]
    cases = np.add.reduceat(weight, first, axis=1)
    wrong = np.add.reduceat(weight * errors[order], first, axis=1)
    after = np.cumsum(cases, axis=1)
    before = after - cases
    rate = np.divide(wrong, cases, out=np.zeros_like(wrong), where=cases > 0)
    # Within a block of equal doubt the k-th rate is (W + r (k - B)) / k, with the errors W and the
    # cases B before it and its own rate r; summed over the block this takes harmonic numbers.
    offset = np.cumsum(wrong, axis=1) - wrong - rate * before
    total = after[:, -1]
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, int(total.max()) + 1))])
    steps = harmonic[after.astype(np.int64)] - harmonic[before.astype(np.int64)]
    area: FloatArray = (rate * cases + offset * steps).sum(axis=1) / total
    return area
