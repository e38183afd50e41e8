"""How well scores rank positives above negatives: ROC and precision-recall curves and their areas.

The functions with `weights` take a matrix (b, n) of case weights, a row for each resample of a
bootstrap, and give (b,) areas at once; a row in which only one class has weight gives NaN.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pleura.metrics import _checks
from pleura.metrics._checks import BoolArray, FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """A point for each distinct threshold, from (0, 0) at infinity to (1, 1)."""

    false_positive_rate: FloatArray
    true_positive_rate: FloatArray
    thresholds: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class PrecisionRecallCurve:
    """A point for each distinct threshold, from the highest (low recall) to the lowest."""

    precision: FloatArray
    recall: FloatArray
    thresholds: FloatArray


def roc_curve(scores: ArrayLike, labels: ArrayLike) -> RocCurve:
    """True and false positive rate for `score >= threshold` at every distinct score.

    Raises:
        ValueError: lengths differ, scores are not finite, or only one class occurs.
    """
    score, label = _ranked(scores, labels)
    thresholds, true_positives, called = _cumulate(score, label)
    positives = int(label.sum())
    rate = true_positives / positives
    false_rate = (called - true_positives) / (label.size - positives)
    return RocCurve(
        false_positive_rate=np.concatenate([[0.0], false_rate]),
        true_positive_rate=np.concatenate([[0.0], rate]),
        thresholds=np.concatenate([[np.inf], thresholds]),
    )


def precision_recall_curve(scores: ArrayLike, labels: ArrayLike) -> PrecisionRecallCurve:
    """Precision and recall for `score >= threshold` at every distinct score.

    Raises:
        ValueError: lengths differ, scores are not finite, or only one class occurs.
    """
    score, label = _ranked(scores, labels)
    thresholds, true_positives, called = _cumulate(score, label)
    return PrecisionRecallCurve(true_positives / called, true_positives / label.sum(), thresholds)


def roc_auc(scores: ArrayLike, labels: ArrayLike) -> float:
    r"""Area under the ROC curve: :math:`P(s_+ > s_-) + P(s_+ = s_-) / 2`.

    A tie between a positive and a negative counts half (Hanley and McNeil, 1982).

    Args:
        scores: (n,) finite; higher means more likely positive.
        labels: (n,) boolean or 0 and 1.

    Raises:
        ValueError: lengths differ, scores are not finite, or only one class occurs.
    """
    score, label = _ranked(scores, labels)
    return float(weighted_roc_auc(score, label, weights=np.ones((1, score.size)))[0])


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    r"""Area under the precision-recall steps: :math:`\sum_k (R_k - R_{k-1}) P_k`.

    No interpolation, which would flatter (Davis and Goadrich, 2006). Depends on the prevalence.

    Raises:
        ValueError: lengths differ, scores are not finite, or only one class occurs.
    """
    score, label = _ranked(scores, labels)
    return float(weighted_average_precision(score, label, weights=np.ones((1, score.size)))[0])


def weighted_roc_auc(scores: FloatArray, labels: BoolArray, *, weights: FloatArray) -> FloatArray:
    """`roc_auc` for each row of case weights (b, n), as float64 (b,)."""
    positive, negative = _by_threshold(scores, labels, weights)
    below = np.cumsum(negative[:, ::-1], axis=1)[:, ::-1] - negative
    won = (positive * (below + 0.5 * negative)).sum(axis=1)
    return _quotient(won, positive.sum(axis=1) * negative.sum(axis=1))


def weighted_average_precision(
    scores: FloatArray, labels: BoolArray, *, weights: FloatArray
) -> FloatArray:
    """`average_precision` for each row of case weights (b, n), as float64 (b,)."""
    positive, negative = _by_threshold(scores, labels, weights)
    true_positives = np.cumsum(positive, axis=1)
    called = true_positives + np.cumsum(negative, axis=1)
    gained = (positive * _quotient(true_positives, called, empty=0.0)).sum(axis=1)
    area = _quotient(gained, positive.sum(axis=1))
    area[negative.sum(axis=1) == 0] = np.nan
    return area


def _ranked(scores: ArrayLike, labels: ArrayLike) -> tuple[FloatArray, BoolArray]:
    score = _checks.scores(scores)
    label = _checks.labels(labels, score.size)
    _checks.both_classes(label)
    return score, label


def _cumulate(score: FloatArray, label: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Distinct scores downwards, with the positives and the cases at or above each."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    true_positives = np.cumsum(label[order])[last].astype(np.float64)
    return score[order][last], true_positives, (last + 1).astype(np.float64)


def _by_threshold(
    scores: FloatArray, labels: BoolArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weight of positives and of negatives at each distinct score, downwards: twice (b, k)."""
    order = np.argsort(-scores, kind="stable")
    first = np.flatnonzero(np.append(True, np.diff(scores[order]) != 0))
    weight = weights[:, order]
    positive = np.add.reduceat(weight * labels[order], first, axis=1)
    negative = np.add.reduceat(weight * ~labels[order], first, axis=1)
    return positive, negative


def _quotient(above: FloatArray, below: FloatArray, empty: float = float("nan")) -> FloatArray:
    quotient: FloatArray = np.full(above.shape, empty)
    np.divide(above, below, out=quotient, where=below > 0)
    return quotient
