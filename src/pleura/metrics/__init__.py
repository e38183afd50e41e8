"""Figures of merit: pure functions on arrays, their intervals, and accumulators over batches."""

from pleura.metrics.accumulators import OverlapAccumulator, ProbabilityAccumulator
from pleura.metrics.bootstrap import (
    AVERAGE_PRECISION,
    MEAN,
    RATIO,
    RISK_COVERAGE_AREA,
    ROC_AUC,
    WeightedStatistic,
    bootstrap_interval,
    bootstrap_means,
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
from pleura.metrics.decisions import (
    net_benefit_of_all,
    net_benefit_of_cases,
    predictive_values,
)
from pleura.metrics.intervals import delong_interval, proportion, wilson_interval
from pleura.metrics.overlap import EmptyConvention, dice, iou, mean_dice, mean_iou
from pleura.metrics.paired import (
    Discordance,
    PairedDifference,
    delong_difference,
    mcnemar_exact,
)
from pleura.metrics.ranking import (
    PrecisionRecallCurve,
    RocCurve,
    average_precision,
    precision_recall_curve,
    roc_auc,
    roc_curve,
)
from pleura.metrics.selective import area_under_risk_coverage, kept_cases
from pleura.metrics.surface import hausdorff_95

__all__ = [
    "AVERAGE_PRECISION",
    "MEAN",
    "RATIO",
    "RISK_COVERAGE_AREA",
    "ROC_AUC",
    "ConfusionMatrix",
    "Discordance",
    "EmptyConvention",
    "OverlapAccumulator",
    "PairedDifference",
    "PrecisionRecallCurve",
    "ProbabilityAccumulator",
    "ReliabilityBins",
    "RocCurve",
    "WeightedStatistic",
    "area_under_risk_coverage",
    "average_precision",
    "bootstrap_interval",
    "bootstrap_means",
    "brier_score",
    "confusion_matrix",
    "confusion_matrix_at",
    "delong_difference",
    "delong_interval",
    "dice",
    "expected_calibration_error",
    "hausdorff_95",
    "iou",
    "kept_cases",
    "mcnemar_exact",
    "mean_dice",
    "mean_iou",
    "net_benefit_of_all",
    "net_benefit_of_cases",
    "precision_recall_curve",
    "predictive_values",
    "prevalence_weighted_mean",
    "prevalence_weights",
    "proportion",
    "reliability_bins",
    "roc_auc",
    "roc_curve",
    "wilson_interval",
]
