"""A site's own calibration and operating points, from its own labelled images."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pleura.data.index import Index
from pleura.data.splits import from_two_sided_sources
from pleura.errors import DataError, TooFewCasesError
from pleura.evaluation.calibration import FOLDS, choose_calibration, patient_folds
from pleura.evaluation.cases import Progress, predict_cases, select_rows
from pleura.evaluation.cohort import Cohort
from pleura.evaluation.operating_points import choose_operating_points
from pleura.inference import Manifest, Predictor
from pleura.inference.manifest import Calibration, Estimate, OperatingPoint
from pleura.inference.postprocess import calibrated_probability
from pleura.metrics import proportion

LEAST_POSITIVE_PATIENTS = 50
"""A sensitivity of 0.95 measured on 50 patients has the standard error sqrt(0.95 * 0.05 / 50) =
0.031, and each of the five folds holds ten positives to score a calibration by. On 20 patients it
would be 0.049: a point chosen for 0.95 could as well have 0.85."""
LEAST_NEGATIVE_PATIENTS = 100
"""A specificity of 0.95 on 100 patients has the standard error 0.022. Alarms fall on negatives,
which are the many, so the specificity must be known better than the sensitivity."""


@dataclass(frozen=True, slots=True)
class PointLeftOut:
    """What a point reached on patients that took no part in choosing its threshold.

    Attributes:
        name: of the operating point.
        sensitivity, specificity: over the folds, each with the threshold that the others chose.
    """

    name: str
    sensitivity: Estimate
    specificity: Estimate


@dataclass(frozen=True, slots=True)
class Reliability:
    """Whether a probability means what it says, with the cases weighted to the prevalence.

    Attributes:
        brier: Brier score.
        error: expected calibration error, ten bins.
    """

    brier: Estimate | None
    error: Estimate | None


@dataclass(frozen=True, slots=True)
class SiteCalibration:
    """What was fitted to a site's images, and how well it does.

    Attributes:
        calibration: chosen and fitted on all images.
        operating_points: `sensitive`, `balanced`, `specific`, chosen on the same images, so that
            their figures are a little too good.
        left_out: the same three, cross-validated by patient.
        auc: of the logits; no calibration changes it.
        before: of the model's own calibration, on these images.
        after: of the new one, cross-validated by patient: choice and fit anew without each fold.
        images, patients, positives: that could be judged, the last in images.
        prevalence: that the calibration is for.
        refused: images that could not be judged, by code.
        cohort: the images, in words.
        notes: what a user must know, in sentences.
    """

    calibration: Calibration
    operating_points: tuple[OperatingPoint, ...]
    left_out: tuple[PointLeftOut, ...]
    auc: Estimate | None
    before: Reliability
    after: Reliability
    images: int
    patients: int
    positives: int
    prevalence: float
    refused: Counter[str]
    cohort: str
    notes: tuple[str, ...] = ()


def calibrate_site(
    predictor: Predictor,
    index: Index,
    split: str | None = None,
    *,
    prevalence: float | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
    progress: Progress | None = None,
) -> SiteCalibration:
    """Judge a site's labelled images, and fit calibration and operating points to them.

    Args:
        predictor: the model.
        index: the images.
        split: value of the index's column `split`; None for every labelled image.
        prevalence: share of positives, in (0, 1), to calibrate for; None for that of the images.
        n_resamples: of every bootstrap.
        seed: of every bootstrap.
        progress: called with (done, total) after each image.

    Raises:
        DataError: there is no labelled image, the model was trained on some of them, or its logit
            does not rise with the finding.
        TooFewCasesError: fewer than `LEAST_POSITIVE_PATIENTS` or `LEAST_NEGATIVE_PATIENTS` have a
            label, or can be judged.
        ValueError: the prevalence is not within (0, 1).
    """
    rows = select_rows(index, split).table
    notes = [*_about_training(predictor.manifest, index, rows), *_about_labels(rows)]
    require_enough(rows, "have a label")
    cases = predict_cases(predictor, index, rows, progress, masks=False)
    fitted = fit_site(
        cases,
        prevalence,
        where="" if split is None else f" of the split '{split}'",
        n_resamples=n_resamples,
        seed=seed,
    )
    return replace(fitted, notes=tuple(notes))


def require_enough(cases: pd.DataFrame, what: str) -> None:
    """Refuse where there are too few patients to fit thresholds to.

    A patient with images of both kinds counts on both sides.

    Args:
        cases: columns `label` and `group`.
        what: is true of these cases, for the message: "have a label".

    Raises:
        TooFewCasesError: with how many there are and how many are needed.
    """
    positive = cases.loc[cases["label"] == 1, "group"].nunique()
    negative = cases.loc[cases["label"] == 0, "group"].nunique()
    if positive >= LEAST_POSITIVE_PATIENTS and negative >= LEAST_NEGATIVE_PATIENTS:
        return
    raise TooFewCasesError(
        f"Images of {positive} patients with and {negative} patients without pneumothorax {what}:"
        f" {LEAST_POSITIVE_PATIENTS} and {LEAST_NEGATIVE_PATIENTS} are needed."
    )


def fit_site(
    cases: pd.DataFrame,
    prevalence: float | None = None,
    *,
    where: str = "",
    n_resamples: int = 2000,
    seed: int = 0,
) -> SiteCalibration:
    """Fit calibration and operating points to cases that a model has judged.

    Args:
        cases: as `predict_cases` gives them; `probability` is that of the model's own calibration.
        prevalence: as in `calibrate_site`.
        where: the cases come from, for the manifest.
        n_resamples: of every bootstrap.
        seed: of every bootstrap.

    Raises:
        DataError: the logit does not rise with the finding.
        TooFewCasesError: as `calibrate_site`.
        ValueError: the prevalence is not within (0, 1).
    """
    judged = cases[cases["status"] == "ok"]
    refused = Counter(cases.loc[cases["status"] != "ok", "error_code"].astype(str))
    require_enough(judged, "can be judged")
    before = Cohort.of(cases, n_resamples, seed)
    logit = before.table["logit"].to_numpy(dtype=np.float64)
    label, group = before.label, before.group
    positives, patients = int(label.sum()), np.unique(group).size
    aim = positives / label.size if prevalence is None else prevalence
    cohort = f"{label.size} images of {patients} patients{where} ({positives} positive)"
    calibration = _rising(choose_calibration(logit, label, group, aim, cohort=cohort))
    probability = _probabilities(logit, calibration)
    outside, left_out = _left_out(logit, label, group, aim)
    return SiteCalibration(
        calibration=calibration,
        operating_points=choose_operating_points(
            probability, label, groups=group, cohort=f"{cohort}, on which it was chosen"
        ),
        left_out=left_out,
        auc=replace(before, probability=logit).auc(),
        before=_reliability(before, aim),
        after=_reliability(replace(before, probability=outside), aim),
        images=label.size,
        patients=patients,
        positives=positives,
        prevalence=aim,
        refused=refused,
        cohort=cohort,
    )


def trained_on(manifest: Manifest, index: Index, rows: pd.DataFrame) -> NDArray[np.bool_] | None:
    """Which rows of an index the model was trained on, (n,); None where it cannot be told.

    It can be told where the fingerprint of the index is the one that the manifest records.
    """
    known = manifest.training
    if known.get("data_fingerprint") != index.fingerprint:
        return None
    fold = known.get("validation_fold", -1)
    held_out = (rows["fold"] == (-1 if fold is None else fold)).fillna(False)
    trained = (rows["split"] == known.get("split", "train")) & ~held_out
    return np.asarray(trained, dtype=np.bool_)


def _about_training(manifest: Manifest, index: Index, rows: pd.DataFrame) -> list[str]:
    trained = trained_on(manifest, index, rows)
    if trained is None:
        return [
            "Whether the model was trained on these images cannot be told: its manifest records"
            " another index. If it was, the figures are too good and the thresholds wrong."
        ]
    if trained.any():
        raise DataError(
            f"The model was trained on {int(trained.sum())} of these {len(rows)} images.",
            "Calibrate on images that it has not seen: name a --split, or another index.",
        )
    if (rows["split"] == manifest.training.get("split", "train")).any():
        return ["These images include the fold that the model itself was tuned on."]
    return []


def _about_labels(rows: pd.DataFrame) -> list[str]:
    notes = []
    unknown = int((~rows["group_known"]).sum())
    if unknown:
        notes.append(
            f"The patient of {unknown} images is not known: each of them counts as a patient of its"
            " own, and intervals may be too narrow."
        )
    one_sided = int((~from_two_sided_sources(rows)).sum())
    if one_sided:
        notes.append(
            f"{one_sided} images have their label from a source that gave labels of one kind only:"
            " what tells the source apart may pass for the finding."
        )
    return notes


def _rising(calibration: Calibration) -> Calibration:
    if calibration.method == "platt" and calibration.slope <= 0:
        raise DataError(
            "The model's logit does not rise with the finding on these images.",
            "Check the labels and what the images show; no calibration helps here.",
        )
    return calibration


def _probabilities(logit: NDArray[np.float64], calibration: Calibration) -> NDArray[np.float64]:
    return np.array([calibrated_probability(float(value), calibration) for value in logit])


def _left_out(
    logit: NDArray[np.float64],
    label: NDArray[np.bool_],
    group: NDArray[np.str_],
    prevalence: float,
) -> tuple[NDArray[np.float64], tuple[PointLeftOut, ...]]:
    """Probability of each case, (n,), and the points, by what was fitted without its fold."""
    fold = patient_folds(label, group)
    said = np.empty(logit.size)
    called: dict[str, NDArray[np.bool_]] = {}
    for number in range(FOLDS):
        out = fold == number
        fitted = _rising(choose_calibration(logit[~out], label[~out], group[~out], prevalence))
        said[out] = _probabilities(logit[out], fitted)
        inside = _probabilities(logit[~out], fitted)
        for point in choose_operating_points(inside, label[~out]):
            decision = called.setdefault(point.name, np.zeros(logit.size, dtype=np.bool_))
            decision[out] = said[out] >= point.threshold
    points = tuple(
        PointLeftOut(
            name=name,
            sensitivity=proportion(decision[label], group[label]),
            specificity=proportion(~decision[~label], group[~label]),
        )
        for name, decision in called.items()
    )
    return said, points


def _reliability(cohort: Cohort, prevalence: float) -> Reliability:
    return Reliability(
        brier=cohort.mean_at((cohort.probability - cohort.label) ** 2, prevalence),
        error=cohort.calibration_error(prevalence),
    )
