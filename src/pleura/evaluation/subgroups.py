"""The same figures in parts of the cohort: where does the model do worse?"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pleura.evaluation.cohort import Cohort
from pleura.evaluation.report import Subgroup

UNKNOWN = "unknown"
TUBE_VISIBLE = "visible"
TUBE_NONE = "none"
AGE_EDGES = (0.0, 18.0, 40.0, 60.0, 80.0, np.inf)
AGE_BANDS = ("0-17", "18-39", "40-59", "60-79", "80 and over")
_TUBE = {1: TUBE_VISIBLE, 0: TUBE_NONE}
_TEXT_COLUMNS = (
    ("view", "view"),
    ("sex", "sex"),
    ("label source", "label_source"),
    ("image source", "pixels_from"),
)
_Levels = Iterator[tuple[str, str, NDArray[np.bool_], Literal["own", "all"]]]


def subgroup_figures(cohort: Cohort, threshold: float) -> tuple[Subgroup, ...]:
    """View, sex, age band, chest tube, sources of label and image, and size of the true mask.

    An attribute that the table does not have is left out; a value that is not known makes a
    subgroup of its own. Subgroups of true positives alone (mask size, positives by chest tube) are
    held against all negatives.

    Args:
        cohort: the predicted cases.
        threshold: of the selected operating point.
    """
    return tuple(
        _figures(cohort.part(chosen), attribute, level, negatives_from, threshold)
        for attribute, level, chosen, negatives_from in _levels(cohort)
    )


def tube_text(values: pd.Series) -> pd.Series:
    """`visible`, `none` or `unknown` for a column of 1, 0 and missing."""
    return pd.to_numeric(values, errors="coerce").map(_TUBE).fillna(UNKNOWN)


def _levels(cohort: Cohort) -> _Levels:
    table, label = cohort.table, cohort.label
    for attribute, column in _TEXT_COLUMNS:
        if column in table:
            yield from _by_text(attribute, table[column].fillna("").replace("", UNKNOWN))
    if "age_years" in table:
        age = pd.to_numeric(table["age_years"], errors="coerce")
        bands = pd.cut(age, list(AGE_EDGES), right=False, labels=list(AGE_BANDS))
        yield from _by_text("age in years", bands.astype(object).fillna(UNKNOWN))
    if "chest_tube" in table:
        tube = tube_text(table["chest_tube"])
        yield from _by_text("chest tube", tube)
        for level in sorted(set(tube[label])):
            chosen = (tube == level).to_numpy() & label
            yield "chest tube, positives", level, chosen | ~label, "all"
    if "true_area_fraction" in table:
        yield from _by_mask_size(cohort)


def _by_text(attribute: str, values: pd.Series) -> _Levels:
    for level in sorted(set(values), key=lambda text: (text == UNKNOWN, text)):
        yield attribute, str(level), (values == level).to_numpy(), "own"


def _by_mask_size(cohort: Cohort) -> _Levels:
    area = pd.to_numeric(cohort.table["true_area_fraction"], errors="coerce")
    size = area.to_numpy(dtype=np.float64)
    known = cohort.label & (size > 0)
    if np.count_nonzero(known) < 3:
        return
    first, second = np.quantile(size[known], [1 / 3, 2 / 3])
    attribute = "true mask, share of image"
    yield attribute, f"small, up to {first:.2%}", (known & (size <= first)) | ~cohort.label, "all"
    middle = known & (size > first) & (size <= second)
    yield attribute, f"medium, up to {second:.2%}", middle | ~cohort.label, "all"
    large = known & (size > second)
    yield attribute, f"large, up to {size[known].max():.2%}", large | ~cohort.label, "all"


def _figures(
    part: Cohort,
    attribute: str,
    level: str,
    negatives_from: Literal["own", "all"],
    threshold: float,
) -> Subgroup:
    called = part.probability >= threshold
    positives = int(np.count_nonzero(part.label))
    return Subgroup(
        attribute=attribute,
        level=level,
        negatives_from=negatives_from,
        n=part.n,
        positives=positives,
        negatives=part.n - positives,
        auc=part.auc(),
        sensitivity=part.share(called, among=part.label),
        specificity=part.share(~called, among=~part.label),
        dice_positives=part.mean(part.dice, among=part.has_mask),
    )
