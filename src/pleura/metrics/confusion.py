"""The table of decisions against labels, and the proportions that are read from it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pleura.metrics import _checks


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """Counts of cases by decision and label; every proportion is NaN when its denominator is 0.

    Attributes:
        true_positives: positive, called positive.
        false_positives: negative, called positive.
        false_negatives: positive, called negative.
        true_negatives: negative, called negative.
    """

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def n(self) -> int:
        """Number of cases."""
        return self.positives + self.negatives

    @property
    def positives(self) -> int:
        """Cases with a positive label: TP + FN."""
        return self.true_positives + self.false_negatives

    @property
    def negatives(self) -> int:
        """Cases with a negative label: TN + FP."""
        return self.true_negatives + self.false_positives

    @property
    def sensitivity(self) -> float:
        """Recall, true positive rate: TP / (TP + FN)."""
        return _ratio(self.true_positives, self.positives)

    @property
    def recall(self) -> float:
        """The same as `sensitivity`."""
        return self.sensitivity

    @property
    def specificity(self) -> float:
        """True negative rate: TN / (TN + FP)."""
        return _ratio(self.true_negatives, self.negatives)

    @property
    def precision(self) -> float:
        """Positive predictive value at the cohort's prevalence: TP / (TP + FP)."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def negative_predictive_value(self) -> float:
        """Negative predictive value at the cohort's prevalence: TN / (TN + FN)."""
        return _ratio(self.true_negatives, self.true_negatives + self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN)."""
        errors = self.false_positives + self.false_negatives
        return _ratio(2 * self.true_positives, 2 * self.true_positives + errors)

    @property
    def accuracy(self) -> float:
        """Share of right decisions: (TP + TN) / n."""
        return _ratio(self.true_positives + self.true_negatives, self.n)

    @property
    def youden(self) -> float:
        """Youden's index: sensitivity + specificity - 1 (Youden, 1950)."""
        return self.sensitivity + self.specificity - 1.0

    def __add__(self, other: "ConfusionMatrix") -> "ConfusionMatrix":
        return ConfusionMatrix(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
            self.true_negatives + other.true_negatives,
        )


def confusion_matrix(decisions: ArrayLike, labels: ArrayLike) -> ConfusionMatrix:
    """Count decisions against labels.

    Args:
        decisions: (n,) boolean or 0 and 1: what was called.
        labels: (n,) boolean or 0 and 1: what is true.

    Raises:
        ValueError: the lengths differ, there is no case, or the values are not binary.
    """
    called = _checks.labels(decisions, name="decisions")
    true = _checks.labels(labels, called.size)
    return ConfusionMatrix(
        true_positives=int(np.count_nonzero(called & true)),
        false_positives=int(np.count_nonzero(called & ~true)),
        false_negatives=int(np.count_nonzero(~called & true)),
        true_negatives=int(np.count_nonzero(~called & ~true)),
    )


def confusion_matrix_at(
    probabilities: ArrayLike, labels: ArrayLike, threshold: float
) -> ConfusionMatrix:
    """Count cases called positive at `probability >= threshold`.

    Raises:
        ValueError: as `confusion_matrix`, or a probability lies outside [0, 1].
    """
    return confusion_matrix(_checks.probabilities(probabilities) >= threshold, labels)


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else float("nan")
