"""From the table of cases to every figure of the report; no model and no file in sight."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pleura.errors import DataError
from pleura.evaluation.cases import LATENCY_PREFIX
from pleura.evaluation.cohort import Cohort, optional
from pleura.evaluation.decision_curve import decision_curve
from pleura.evaluation.decisions import point_figures
from pleura.evaluation.report import (
    CalibrationFigures,
    CaseLine,
    Counts,
    Discrimination,
    Figures,
    NotPredicted,
    ReliabilityBin,
    Segmentation,
    StageLatency,
    WorstErrors,
)
from pleura.evaluation.selective import selective_figures
from pleura.evaluation.subgroups import subgroup_figures, tube_text
from pleura.evaluation.tube import tube_question
from pleura.inference import Stage
from pleura.inference.manifest import Estimate, OperatingPoint
from pleura.metrics import (
    delong_interval,
    reliability_bins,
    wilson_interval,
)

WORST_LISTED = 12


def summarise(
    cases: pd.DataFrame,
    operating_points: Sequence[OperatingPoint],
    selected: str,
    *,
    calibrated_for: float | None = None,
    rows: int | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Figures:
    """Every figure of the report from a table with one row an image.

    Args:
        cases: columns image_id, group, status, label (0 or 1), probability, dice and iou of the
            forced mask (NaN without a true mask); and where known predicted_area_fraction,
            true_area_fraction, view, sex, age_years, chest_tube, label_source, pixels_from,
            uncertainty, error_code, error_message, `ms_` columns. See
            `pleura.evaluation.cases.predict_cases`.
        operating_points: to measure.
        selected: name of the one that subgroups and lists of errors go by.
        calibrated_for: prevalence that the probabilities are meant for, if known.
        rows: rows that were asked for, those without a label too; None for `len(cases)`.
        n_resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        DataError: a column is missing, nothing was predicted, or there is no such point.
    """
    point = next((point for point in operating_points if point.name == selected), None)
    if point is None:
        raise DataError(f"There is no operating point '{selected}' to go by.")
    cohort = Cohort.of(cases, n_resamples, seed)
    has_mask = cohort.has_mask
    return Figures(
        counts=_counts(cohort, cases, rows),
        not_predicted=_not_predicted(cases),
        discrimination=_discrimination(cohort, cases),
        calibration=_calibration(cohort, calibrated_for),
        segmentation=Segmentation(
            dice_positives=cohort.mean(cohort.dice, among=has_mask),
            iou_positives=cohort.mean(cohort.iou, among=has_mask),
        ),
        operating_points=tuple(
            point_figures(cohort, each, cases, each.name == selected) for each in operating_points
        ),
        subgroups=subgroup_figures(cohort, point.threshold),
        worst_errors=_worst_errors(cohort, point.threshold),
        decision_curve=decision_curve(cohort),
        chest_tube_question=tube_question(cohort),
        selective=selective_figures(cohort, point.threshold),
        latency=_latency(cohort.table),
        n_resamples=n_resamples,
        seed=seed,
    )


def _counts(cohort: Cohort, cases: pd.DataFrame, rows: int | None) -> Counts:
    asked = len(cases) if rows is None else rows
    positives = int(np.count_nonzero(cohort.label))
    with_mask = int(np.count_nonzero(cohort.has_mask))
    return Counts(
        rows=asked,
        without_label=asked - len(cases),
        evaluated=cohort.n,
        positives=positives,
        negatives=cohort.n - positives,
        patients=np.unique(cohort.group).size,
        not_predicted=len(cases) - cohort.n,
        positives_with_mask=with_mask,
        masks_left_out=positives - with_mask,
    )


def _not_predicted(cases: pd.DataFrame) -> tuple[NotPredicted, ...]:
    left_out = cases[cases["status"] != "ok"]
    return tuple(
        NotPredicted(
            image_id=str(row["image_id"]),
            label=int(row["label"]),
            status=str(row["status"]),
            code=str(row.get("error_code", "")),
            message=str(row.get("error_message", "")),
        )
        for row in left_out.to_dict("records")
    )


def _discrimination(cohort: Cohort, cases: pd.DataFrame) -> Discrimination:
    as_negative = None
    if cohort.n < len(cases):
        everyone = Cohort.of(
            cases.assign(status="ok", probability=cases["probability"].fillna(0.0)),
            cohort.n_resamples,
            cohort.seed,
        )
        as_negative = everyone.auc()
    return Discrimination(
        auc=optional(delong_interval, cohort.probability, cohort.label),
        auc_clustered=cohort.auc(),
        auc_not_predicted_as_negative=as_negative,
        average_precision=cohort.average_precision(),
    )


def _calibration(cohort: Cohort, calibrated_for: float | None) -> CalibrationFigures:
    probability, label = cohort.probability, cohort.label
    squared = (probability - label) ** 2
    brier_reweighted = error_reweighted = None
    if calibrated_for is not None and 0 < calibrated_for < 1 and 0 < label.mean() < 1:
        brier_reweighted = cohort.mean_at(squared, calibrated_for)
        error_reweighted = cohort.calibration_error(calibrated_for)
    return CalibrationFigures(
        prevalence=float(label.mean()),
        calibrated_for=calibrated_for,
        brier=cohort.mean(squared),
        expected_calibration_error=cohort.calibration_error(),
        brier_reweighted=brier_reweighted,
        expected_calibration_error_reweighted=error_reweighted,
        bins=_bins(cohort),
    )


def _bins(cohort: Cohort) -> tuple[ReliabilityBin, ...]:
    table = reliability_bins(cohort.probability, cohort.label)
    bins = []
    for place in np.flatnonzero(table.counts):
        n, observed = int(table.counts[place]), float(table.observed[place])
        low, high = wilson_interval(observed * n, n)
        bins.append(
            ReliabilityBin(
                low=float(table.edges[place]),
                high=float(table.edges[place + 1]),
                n=n,
                mean_probability=float(table.mean_probability[place]),
                observed=Estimate(value=observed, low=low, high=high, n=n),
            )
        )
    return tuple(bins)


def _worst_errors(cohort: Cohort, threshold: float) -> WorstErrors:
    called = cohort.probability >= threshold

    def lines(chosen: np.ndarray, badness: np.ndarray) -> tuple[CaseLine, ...]:
        places = np.flatnonzero(chosen)
        ranked = places[np.argsort(badness[places], kind="stable")][:WORST_LISTED]
        return tuple(_line(cohort, int(place)) for place in ranked)

    return WorstErrors(
        missed=lines(cohort.label & ~called, cohort.probability),
        false_alarms=lines(~cohort.label & called, -cohort.probability),
        masks=lines(cohort.has_mask, cohort.dice),
    )


def _line(cohort: Cohort, place: int) -> CaseLine:
    row = cohort.table.iloc[place]
    area = row.get("true_area_fraction")
    dice = cohort.dice[place]
    tube = tube_text(cohort.table["chest_tube"]) if "chest_tube" in cohort.table else None
    return CaseLine(
        image_id=str(row["image_id"]),
        probability=float(cohort.probability[place]),
        dice=None if np.isnan(dice) else float(dice),
        true_area_fraction=None if pd.isna(area) else float(area),
        view=str(row.get("view", "")),
        chest_tube="" if tube is None else str(tube.iloc[place]),
    )


def _latency(table: pd.DataFrame) -> tuple[StageLatency, ...]:
    stages = []
    for stage in Stage:
        if f"{LATENCY_PREFIX}{stage}" not in table:
            continue
        taken = table[f"{LATENCY_PREFIX}{stage}"].dropna().to_numpy(dtype=np.float64)
        if taken.size:
            median, high = np.quantile(taken, [0.5, 0.95])
            stages.append(
                StageLatency(
                    stage=stage.value,
                    median_ms=float(median),
                    p95_ms=float(high),
                    mean_ms=float(taken.mean()),
                    n=taken.size,
                )
            )
    return tuple(stages)
