"""Figures of merit: pure functions on arrays, their intervals, and accumulators over batches."""

from pleura.metrics.accumulators import OverlapAccumulator, ProbabilityAccumulator
from pleura.metrics.bootstrap import (
    AVERAGE_PRECISION,
    MEAN,
    RATIO,
    ROC_AUC,
    WeightedStatistic,
    bootstrap_interval,
)
from pleura.metrics.calibration import (
    ReliabilityBins,
    brier_score,
    expected_calibration_error,
    prevalence_weighted_mean,
    prevalence_weights,
    reliability_bins,
)
from pleura.metrics.confusion import ConfusionMatrix, confusion_matrix, confusion_matrix_at
from pleura.metrics.intervals import delong_interval, proportion, wilson_interval
from pleura.metrics.overlap import EmptyConvention, dice, iou, mean_dice, mean_iou
from pleura.metrics.ranking import (
    PrecisionRecallCurve,
    RocCurve,
    average_precision,
    precision_recall_curve,
    roc_auc,
    roc_curve,
)

__all__ = [
    "AVERAGE_PRECISION",
    "MEAN",
    "RATIO",
    "ROC_AUC",
    "ConfusionMatrix",
    "EmptyConvention",
    "OverlapAccumulator",
    "PrecisionRecallCurve",
    "ProbabilityAccumulator",
    "ReliabilityBins",
    "RocCurve",
    "WeightedStatistic",
    "average_precision",
    "bootstrap_interval",
    "brier_score",
    "confusion_matrix",
    "confusion_matrix_at",
    "delong_interval",
    "dice",
    "expected_calibration_error",
    "iou",
    "mean_dice",
    "mean_iou",
    "precision_recall_curve",
    "prevalence_weighted_mean",
    "prevalence_weights",
    "proportion",
    "reliability_bins",
    "roc_auc",
    "roc_curve",
    "wilson_interval",
]
