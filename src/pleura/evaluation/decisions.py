"""Figures that hang on a threshold: decisions, and masks that are only shown above it."""

import math

import numpy as np
import pandas as pd

from pleura.evaluation.cohort import Cohort, optional
from pleura.evaluation.report import PointFigures, PredictiveValues
from pleura.inference.manifest import Estimate, OperatingPoint
from pleura.metrics import confusion_matrix, predictive_values, proportion

PREVALENCES = (0.01, 0.05, 0.1, 0.22)


def point_figures(
    cohort: Cohort, point: OperatingPoint, cases: pd.DataFrame, selected: bool
) -> PointFigures:
    """Decisions and end-to-end masks at one operating point.

    Args:
        cohort: the predicted cases.
        point: whose threshold decides.
        cases: all cases, those without a prediction too, for the line that counts them as negative.
        selected: whether the evaluation was asked for this point.
    """
    called = cohort.probability >= point.threshold
    label = cohort.label
    table = confusion_matrix(called, label)
    shown = called & (cohort.area > 0)
    has_mask = cohort.has_mask
    judged = has_mask | ~label
    kaggle = np.where(label, np.where(called, cohort.dice, 0.0), np.where(shown, 0.0, 1.0))
    right = (called & label).astype(np.float64)
    found, cleared = _as_negative(cases, point.threshold)
    sensitivity = cohort.share(called, among=label)
    specificity = cohort.share(~called, among=~label)
    return PointFigures(
        claimed=point,
        selected=selected,
        true_positives=table.true_positives,
        false_positives=table.false_positives,
        false_negatives=table.false_negatives,
        true_negatives=table.true_negatives,
        sensitivity=sensitivity,
        specificity=specificity,
        precision=cohort.share(label, among=called),
        negative_predictive_value=cohort.share(~label, among=~called),
        predictive_values=at_prevalences(sensitivity, specificity),
        f1=cohort.ratio(2 * right, called.astype(np.float64) + label),
        dice_positives=cohort.mean(np.where(called, cohort.dice, 0.0), among=has_mask),
        iou_positives=cohort.mean(np.where(called, cohort.iou, 0.0), among=has_mask),
        dice_kaggle=cohort.mean(kaggle, among=judged),
        normals_with_mask=cohort.share(shown, among=~label),
        sensitivity_not_predicted_as_negative=found,
        specificity_not_predicted_as_negative=cleared,
    )


def at_prevalences(
    sensitivity: Estimate | None, specificity: Estimate | None
) -> tuple[PredictiveValues, ...]:
    """Predictive values at each of `PREVALENCES`; empty when either share is unknown.

    Both values rise with sensitivity and with specificity, so their low limits together give the
    low limit and their high limits the high one. A predictive value can lie outside only when one
    of the two shares does, and the other does not make up for it, so the interval is on the wide
    side; unlike a bootstrap's it never has zero width.
    """
    if sensitivity is None or specificity is None:
        return ()
    found, cleared = sensitivity, specificity
    rows = []
    for prevalence in PREVALENCES:
        middle, low, high = (
            predictive_values(*pair, prevalence)
            for pair in (
                (found.value, cleared.value),
                (found.low, cleared.low),
                (found.high, cleared.high),
            )
        )
        positive, negative = (
            None
            if math.isnan(value)
            else Estimate(value=value, low=below, high=above, n=found.n + cleared.n)
            for value, below, above in zip(middle, low, high, strict=True)
        )
        rows.append(PredictiveValues(prevalence=prevalence, positive=positive, negative=negative))
    return tuple(rows)


def _as_negative(cases: pd.DataFrame, threshold: float) -> tuple[Estimate | None, Estimate | None]:
    """Sensitivity and specificity when a case without a prediction counts as called negative."""
    if (cases["status"] == "ok").all():
        return None, None
    # A case without a prediction has no probability, and NaN reaches no threshold.
    called = cases["probability"].to_numpy(dtype=np.float64, na_value=np.nan) >= threshold
    label = cases["label"].to_numpy(dtype=np.int64) == 1
    group = cases["group"].to_numpy(dtype=np.str_)
    found = optional(proportion, called[label], group[label])
    return found, optional(proportion, ~called[~label], group[~label])
