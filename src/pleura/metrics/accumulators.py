"""Metrics over batches: thin state around the pure functions, for a validation loop."""

import numpy as np
from numpy.typing import ArrayLike

from pleura.metrics import _checks
from pleura.metrics._checks import BoolArray, FloatArray
from pleura.metrics.confusion import ConfusionMatrix, confusion_matrix_at
from pleura.metrics.overlap import EmptyConvention, dice, iou
from pleura.metrics.ranking import average_precision, roc_auc


class OverlapAccumulator:
    """Mean Dice and IoU over batches of masks, holding two numbers per image."""

    def __init__(self, convention: EmptyConvention) -> None:
        self.convention = convention
        self.reset()

    def reset(self) -> None:
        """Forget every image."""
        self._dice: list[FloatArray] = []
        self._iou: list[FloatArray] = []

    def update(self, predicted: ArrayLike, true: ArrayLike) -> None:
        """Add masks (..., rows, columns).

        Raises:
            ValueError: the shapes differ, or the values are not binary.
        """
        self._dice.append(np.ravel(dice(predicted, true, self.convention)))
        self._iou.append(np.ravel(iou(predicted, true, self.convention)))

    @property
    def n(self) -> int:
        """Number of images that count under the convention."""
        return int(sum(np.count_nonzero(~np.isnan(scores)) for scores in self._dice))

    def compute(self) -> dict[str, float]:
        """`dice` and `iou`, each the mean over the images that count.

        Raises:
            ValueError: no image counts.
        """
        if not self.n:
            raise ValueError(f"no image counts under the convention '{self.convention}'")
        return {
            "dice": float(np.nanmean(np.concatenate(self._dice))),
            "iou": float(np.nanmean(np.concatenate(self._iou))),
        }


class ProbabilityAccumulator:
    """Image-level probabilities and labels over batches."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget every case."""
        self._probabilities: list[FloatArray] = []
        self._labels: list[BoolArray] = []

    def update(self, probabilities: ArrayLike, labels: ArrayLike) -> None:
        """Add a batch: (n,) probabilities in [0, 1] and (n,) labels.

        Raises:
            ValueError: lengths differ, or values lie outside their range.
        """
        batch = _checks.probabilities(probabilities)
        truth = _checks.labels(labels, batch.size)
        self._probabilities.append(batch)
        self._labels.append(truth)

    @property
    def n(self) -> int:
        """Number of cases."""
        return sum(batch.size for batch in self._labels)

    def compute(self) -> dict[str, float]:
        """`auc` and `average_precision` over all cases.

        Raises:
            ValueError: there is no case, or only one class.
        """
        probability, label = self._gathered()
        return {
            "auc": roc_auc(probability, label),
            "average_precision": average_precision(probability, label),
        }

    def confusion_matrix(self, threshold: float) -> ConfusionMatrix:
        """Decisions at `probability >= threshold` against labels.

        Raises:
            ValueError: there is no case.
        """
        return confusion_matrix_at(*self._gathered(), threshold)

    def _gathered(self) -> tuple[FloatArray, BoolArray]:
        if not self._labels:
            raise ValueError("no case has been added")
        return np.concatenate(self._probabilities), np.concatenate(self._labels)
