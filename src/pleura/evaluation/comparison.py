"""Two models on the same images: paired differences, their intervals, and paired tests.

A difference is that of the second model minus that of the first. Everything is paired by image, and
the bootstrap draws the same patients for both models.
"""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pleura.errors import DataError
from pleura.evaluation.cohort import Cohort
from pleura.evaluation.comparison_report import (
    AucTest,
    ComparedModel,
    Comparison,
    DecisionTest,
    PairedCounts,
    PairedFigure,
)
from pleura.evaluation.read import Evaluation
from pleura.inference.manifest import Estimate, OperatingPoint
from pleura.metrics import (
    MEAN,
    ROC_AUC,
    WeightedStatistic,
    bootstrap_interval,
    delong_difference,
    mcnemar_exact,
)

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def compare(
    first: Evaluation,
    second: Evaluation,
    operating_point: str | None = None,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two models on the images that both evaluations hold, matched by `image_id`.

    Args:
        first: as `pleura.evaluation.read.read_evaluation` gives it.
        second: likewise.
        operating_point: name of the point at which both decide, each at its own threshold; None for
            the one that the first evaluation was asked for.
        n_resamples: of every bootstrap.
        seed: of every bootstrap.

    Raises:
        DataError: they share no image, or none that both models judged; a label differs; a model
            has no such operating point.
    """
    name = operating_point or _selected(first)
    points = _point(first, name), _point(second, name)
    one, other, counts = _matched(first.cases, second.cases)
    cohorts = Cohort.of(one, n_resamples, seed), Cohort.of(other, n_resamples, seed)
    pair = _Pair(*cohorts, points)
    return Comparison(
        schema="pleura.comparison/1",
        first=_side(first, points[0]),
        second=_side(second, points[1]),
        operating_point=name,
        counts=counts,
        auc_delong=_delong(pair),
        figures=_figures(pair),
        decisions=_decisions(pair),
        notes=_notes(first, second, one, other),
        n_resamples=n_resamples,
        seed=seed,
    )


def _selected(evaluation: Evaluation) -> str:
    points = evaluation.report.figures.operating_points
    return next(point.claimed.name for point in points if point.selected)


def _point(evaluation: Evaluation, name: str) -> OperatingPoint:
    points = [point.claimed for point in evaluation.report.figures.operating_points]
    for point in points:
        if point.name == name:
            return point
    measured = evaluation.report.provenance
    raise DataError(
        f"{measured.model_name} {measured.model_version} has no operating point '{name}'.",
        f"It has: {', '.join(point.name for point in points)}.",
    )


def _side(evaluation: Evaluation, point: OperatingPoint) -> ComparedModel:
    measured = evaluation.report.provenance
    return ComparedModel(
        name=measured.model_name,
        version=measured.model_version,
        sha256=measured.model_sha256,
        split=measured.split,
        calibrated_for=evaluation.report.figures.calibration.calibrated_for,
        threshold=point.threshold,
    )


def _matched(
    first: pd.DataFrame, second: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, PairedCounts]:
    """The rows that both judged, in one order, patients as in the first."""
    one, other = first.set_index("image_id"), second.set_index("image_id")
    shared = one.index.intersection(other.index).sort_values()
    if shared.empty:
        raise DataError(
            f"The evaluations share no image: {len(one)} and {len(other)}, none of them in both.",
            "Evaluate both models on the same index and split.",
        )
    pair = one.loc[shared], other.loc[shared]
    differing = int((pair[0]["label"] != pair[1]["label"]).sum())
    if differing:
        raise DataError(
            f"{differing} of the {len(shared)} images that both share have different labels.",
            "Evaluate both models on the same labels.",
        )
    judged = (pair[0]["status"] == "ok") & (pair[1]["status"] == "ok")
    if not judged.any():
        raise DataError("There is no image that both models gave a prediction for.")
    label = pair[0].loc[judged, "label"]
    counts = PairedCounts(
        images=int(judged.sum()),
        patients=pair[0].loc[judged, "group"].nunique(),
        positives=int(label.sum()),
        negatives=int((1 - label).sum()),
        only_in_first=len(one) - len(shared),
        only_in_second=len(other) - len(shared),
        not_predicted=int((~judged).sum()),
    )
    return pair[0][judged].reset_index(), pair[1][judged].reset_index(), counts


class _Pair:
    """Both cohorts, image by image, and how each decides."""

    def __init__(
        self, first: Cohort, second: Cohort, points: tuple[OperatingPoint, OperatingPoint]
    ) -> None:
        self.first, self.second = first, second
        self.label = first.label
        self.called = (
            first.probability >= points[0].threshold,
            second.probability >= points[1].threshold,
        )

    def bootstrap(
        self, statistic: WeightedStatistic, among: BoolArray, *arrays: NDArray[np.generic]
    ) -> Estimate | None:
        """Interval over patients of a statistic of the cases `among`; None where undefined."""
        try:
            return bootstrap_interval(
                statistic,
                *(array[among] for array in arrays),
                groups=self.first.group[among],
                n_resamples=self.first.n_resamples,
                seed=self.first.seed,
            )
        except ValueError:
            return None

    def auc(self) -> PairedFigure:
        """Areas under the ROC curve."""
        everyone = np.ones_like(self.label)
        scores = self.first.probability, self.second.probability
        difference = self.bootstrap(
            WeightedStatistic(_auc_difference), everyone, *scores, self.label
        )
        return PairedFigure(
            name="auc", first=self.first.auc(), second=self.second.auc(), difference=difference
        )

    def mean(
        self, name: str, first: FloatArray, second: FloatArray, among: BoolArray
    ) -> PairedFigure:
        """Means of a value of each case (n,) over the cases `among`."""
        return PairedFigure(
            name=name,
            first=self.first.mean(first, among=among),
            second=self.second.mean(second, among=among),
            difference=self.bootstrap(MEAN, among, second - first),
        )

    def share(
        self, name: str, right: tuple[BoolArray, BoolArray], among: BoolArray
    ) -> PairedFigure:
        """Shares of right decisions (n,) among a class."""
        return PairedFigure(
            name=name,
            first=self.first.share(right[0], among=among),
            second=self.second.share(right[1], among=among),
            difference=self.bootstrap(MEAN, among, right[1].astype(np.float64) - right[0]),
        )


def _auc_difference(
    first: FloatArray, second: FloatArray, label: BoolArray, *, weights: FloatArray
) -> FloatArray:
    area = ROC_AUC.function
    return area(second, label, weights=weights) - area(first, label, weights=weights)


def _figures(pair: _Pair) -> tuple[PairedFigure, ...]:
    first, second, label = pair.first, pair.second, pair.label
    has_mask = first.has_mask & second.has_mask
    shown = np.where(pair.called[0], first.dice, 0.0), np.where(pair.called[1], second.dice, 0.0)
    everyone = np.ones_like(label)
    return (
        pair.auc(),
        pair.mean("dice_positives", first.dice, second.dice, has_mask),
        pair.mean("end_to_end_dice_positives", *shown, has_mask),
        pair.mean(
            "brier", (first.probability - label) ** 2, (second.probability - label) ** 2, everyone
        ),
        pair.share("sensitivity", pair.called, label),
        pair.share("specificity", (~pair.called[0], ~pair.called[1]), ~label),
    )


def _delong(pair: _Pair) -> AucTest:
    try:
        found = delong_difference(pair.first.probability, pair.second.probability, pair.label)
    except ValueError:
        return AucTest(difference=None, p_value=None)
    return AucTest(difference=found.difference, p_value=found.p_value)


def _decisions(pair: _Pair) -> tuple[DecisionTest, ...]:
    """A test for each class that has a case."""
    right = [called == pair.label for called in pair.called]
    tests = []
    classes: tuple[tuple[Literal["positives", "negatives"], BoolArray], ...] = (
        ("positives", pair.label),
        ("negatives", ~pair.label),
    )
    for name, among in classes:
        if not among.any():
            continue
        found = mcnemar_exact(right[0][among], right[1][among])
        tests.append(
            DecisionTest(
                among=name,
                both_right=found.both,
                only_first_right=found.only_first,
                only_second_right=found.only_second,
                neither_right=found.neither,
                p_value=found.p_value,
            )
        )
    return tuple(tests)


def _notes(
    first: Evaluation, second: Evaluation, one: pd.DataFrame, other: pd.DataFrame
) -> tuple[str, ...]:
    notes = []
    if one["group"].duplicated().any():
        notes.append(
            "Some patients have several images. The tests of DeLong and McNemar take images as"
            " independent, so their p may be too small: go by the intervals of the bootstrap."
        )
    if (one["group"] != other["group"]).any():
        notes.append("The evaluations name patients differently: they are taken from the first.")
    aims = [each.report.figures.calibration.calibrated_for for each in (first, second)]
    if aims[0] != aims[1]:
        said = " and ".join("an unknown one" if aim is None else f"{aim:g}" for aim in aims)
        notes.append(
            f"The models are calibrated for different prevalences, {said}: the difference in Brier"
            " score holds that as well."
        )
    prints = {each.report.provenance.data_fingerprint for each in (first, second)}
    if len(prints) > 1:
        notes.append("The evaluations are of different indexes: images are matched by image_id.")
    return tuple(notes)
