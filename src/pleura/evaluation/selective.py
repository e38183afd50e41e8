"""Setting doubtful cases aside: how the error falls with the share of cases that is kept."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pleura.evaluation.cohort import Cohort
from pleura.evaluation.report import CoveragePoint, RiskCoverage, SelectiveFigures
from pleura.metrics import kept_cases

COVERAGES = tuple(round(1.0 - 0.05 * step, 2) for step in range(20))
SPREAD_COLUMN = "uncertainty"
_LEAST = 1e-12


def selective_figures(cohort: Cohort, threshold: float) -> SelectiveFigures:
    """Risk and coverage at a threshold (Geifman and El-Yaniv, 2017), by two measures of doubt.

    Args:
        cohort: the predicted cases; the column `uncertainty` has the spread of the probability
            over the views of an image, if the model looks at several.
        threshold: of the selected operating point.
    """
    called = cohort.probability >= threshold
    wrong = called != cohort.label
    margin = -np.abs(_logit(cohort.probability) - _logit(np.array(threshold)))
    spread = _spread(cohort.table)
    missing = _why_missing(spread)
    by_spread = difference = None
    if spread is not None and not missing:
        by_spread = _risk_coverage(cohort, wrong, spread)
        difference = cohort.risk_coverage_difference(wrong, spread, margin)
    return SelectiveFigures(
        error_rate=cohort.share(wrong),
        by_margin=_risk_coverage(cohort, wrong, margin),
        by_spread=by_spread,
        area_difference=difference,
        spread_missing=missing,
    )


def _risk_coverage(
    cohort: Cohort, wrong: NDArray[np.bool_], doubt: NDArray[np.float64]
) -> RiskCoverage:
    points: list[CoveragePoint] = []
    for wanted in COVERAGES:
        kept = kept_cases(doubt, wanted)
        share = float(kept.mean())
        if points and share == points[-1].coverage:
            continue
        points.append(
            CoveragePoint(
                coverage=share,
                error_rate=cohort.share(wrong, among=kept),
                sensitivity=cohort.share(~wrong, among=kept & cohort.label),
                specificity=cohort.share(~wrong, among=kept & ~cohort.label),
            )
        )
    return RiskCoverage(area=cohort.risk_coverage_area(wrong, doubt), points=tuple(points))


def _spread(table: pd.DataFrame) -> NDArray[np.float64] | None:
    if SPREAD_COLUMN not in table:
        return None
    return pd.to_numeric(table[SPREAD_COLUMN], errors="coerce").to_numpy(dtype=np.float64)


def _why_missing(spread: NDArray[np.float64] | None) -> str:
    if spread is None:
        return f"The table of cases has no column '{SPREAD_COLUMN}'."
    unknown = int(np.count_nonzero(~np.isfinite(spread)))
    if unknown == spread.size:
        return "The model looks at one view of each image, so that no spread is known."
    return f"The spread of {unknown} of {spread.size} cases is not known." if unknown else ""


def _logit(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(probability, _LEAST, 1.0 - _LEAST)
    return np.asarray(np.log(inside) - np.log1p(-inside))
