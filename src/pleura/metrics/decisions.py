"""What a decision is worth: predictive values at a stated prevalence, and net benefit."""

import numpy as np
from numpy.typing import ArrayLike

from pleura.metrics import _checks
from pleura.metrics._checks import FloatArray


def predictive_values(
    sensitivity: float, specificity: float, prevalence: float
) -> tuple[float, float]:
    r"""Positive and negative predictive value by Bayes' rule.

    .. math:: PPV = \frac{s q}{s q + (1 - c)(1 - q)}, \quad
              NPV = \frac{c (1 - q)}{c (1 - q) + (1 - s) q}

    with the sensitivity s, the specificity c and the prevalence q. Both rise with s and with c.

    Args:
        sensitivity: in [0, 1].
        specificity: in [0, 1].
        prevalence: share of positives where the test is used, in (0, 1).

    Returns:
        (PPV, NPV), each in [0, 1]; NaN where no case would be called so.

    Raises:
        ValueError: an argument lies outside its range.
    """
    if not (0.0 <= sensitivity <= 1.0 and 0.0 <= specificity <= 1.0):
        raise ValueError("sensitivity and specificity must lie in [0, 1]")
    if not 0.0 < prevalence < 1.0:
        raise ValueError(f"prevalence must lie within (0, 1), not be {prevalence}")
    found, missed = sensitivity * prevalence, (1.0 - sensitivity) * prevalence
    cleared, alarmed = specificity * (1.0 - prevalence), (1.0 - specificity) * (1.0 - prevalence)
    return _share(found, alarmed), _share(cleared, missed)


def net_benefit_of_cases(
    probabilities: ArrayLike, labels: ArrayLike, thresholds: ArrayLike
) -> FloatArray:
    r"""What each case adds to the net benefit at each threshold, (n, k); the mean is the benefit.

    Vickers and Elkin (2006): :math:`\frac{TP}{n} - \frac{FP}{n} \cdot \frac{t}{1 - t}` for
    cases called at `probability >= t`. A true positive counts 1, a false positive the negative odds
    of the threshold, a case that is not called 0. Treating nobody has the net benefit 0.

    Args:
        probabilities: (n,) in [0, 1].
        labels: (n,) boolean or 0 and 1.
        thresholds: (k,) each in [0, 1).

    Raises:
        ValueError: lengths differ, or values lie outside their range.
    """
    probability = _checks.probabilities(probabilities)
    label = _checks.labels(labels, probability.size)
    threshold = _thresholds(thresholds)
    worth = np.where(label[:, None], 1.0, -threshold / (1.0 - threshold))
    return np.where(probability[:, None] >= threshold, worth, 0.0)


def net_benefit_of_all(prevalence: float, thresholds: ArrayLike) -> FloatArray:
    r"""Net benefit of treating everybody, (k,): :math:`q - (1 - q) \frac{t}{1 - t}`.

    Args:
        prevalence: share of positives, in [0, 1].
        thresholds: (k,) each in [0, 1).

    Raises:
        ValueError: values lie outside their range.
    """
    if not 0.0 <= prevalence <= 1.0:
        raise ValueError(f"prevalence must lie in [0, 1], not be {prevalence}")
    threshold = _thresholds(thresholds)
    benefit: FloatArray = prevalence - (1.0 - prevalence) * threshold / (1.0 - threshold)
    return benefit


def _thresholds(values: ArrayLike) -> FloatArray:
    array = _checks.probabilities(values, "thresholds")
    if array.max() >= 1.0:
        raise ValueError("thresholds must lie in [0, 1): at 1 no odds are defined")
    return array


def _share(right: float, wrong: float) -> float:
    return right / (right + wrong) if right + wrong > 0 else float("nan")
