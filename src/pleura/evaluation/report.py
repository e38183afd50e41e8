"""What an evaluation says: the schema of `report.json`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pleura.inference.manifest import Estimate, OperatingPoint

DISCLAIMER = "Research software, not a medical device."
Count = Annotated[int, Field(ge=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Provenance(_Frozen):
    """Which model was measured on which data, when, how and where.

    Attributes:
        data_fingerprint: SHA-256 of the whole index table; of its content, not of the pixels.
        cases_fingerprint: SHA-256 of the evaluated rows' identifiers and labels.
        machine: processor, cores, threads, versions; no host name.
    """

    model_name: str
    model_version: str
    model_sha256: str
    data_layout: str
    data_fingerprint: str
    cases_fingerprint: str
    split: str
    created: str
    command: str
    machine: dict[str, str]
    pleura_version: str


class Counts(_Frozen):
    """How many images, and what became of them.

    Attributes:
        rows: rows of the split that were asked for.
        without_label: left out because nobody knows their label.
        evaluated: with a label and a prediction: the n of all image-level figures.
        masks_left_out: positives whose mask was only matched to them, or is unknown: they count for
            the finding, not for Dice.
    """

    rows: Count
    without_label: Count
    evaluated: Count
    positives: Count
    negatives: Count
    patients: Count
    not_predicted: Count
    positives_with_mask: Count
    masks_left_out: Count


class NotPredicted(_Frozen):
    """An image that the model gave no probability for, and why."""

    image_id: str
    label: int
    status: str
    code: str
    message: str


class Discrimination(_Frozen):
    """How well probabilities rank positives above negatives; None where a class is missing.

    Attributes:
        auc: area under the ROC curve, DeLong's interval (images taken as independent).
        auc_clustered: the same with a bootstrap interval over patients.
        auc_not_predicted_as_negative: images without a prediction taken as probability 0; None when
            there are none.
        average_precision: at the cohort's own prevalence; bootstrap interval over patients.
    """

    auc: Estimate | None
    auc_clustered: Estimate | None
    auc_not_predicted_as_negative: Estimate | None
    average_precision: Estimate | None


class ReliabilityBin(_Frozen):
    """Cases whose probability lies in [low, high); observed is a share with Wilson's interval."""

    low: float
    high: float
    n: int
    mean_probability: float
    observed: Estimate


class CalibrationFigures(_Frozen):
    """Whether the probability means what it says.

    Attributes:
        prevalence: of the cohort.
        calibrated_for: prevalence that the manifest calibrates for, if it says.
        brier, expected_calibration_error: on the cohort as it is.
        brier_reweighted, expected_calibration_error_reweighted: with the cases weighted to
            `calibrated_for`: the fair figures when it differs from `prevalence`.

    The intervals of the calibration errors are basic ones, which always hold the value.
    """

    prevalence: float
    calibrated_for: float | None
    brier: Estimate | None
    expected_calibration_error: Estimate | None
    brier_reweighted: Estimate | None
    expected_calibration_error_reweighted: Estimate | None
    bins: tuple[ReliabilityBin, ...]


class Segmentation(_Frozen):
    """The segmenter alone: a mask forced on every positive; convention `positives`."""

    dice_positives: Estimate | None
    iou_positives: Estimate | None


class PointFigures(_Frozen):
    """Decisions and masks at one operating point.

    Attributes:
        claimed: the point as the manifest states it, with its own cohort.
        selected: the point that the evaluation was asked for.
        dice_positives, iou_positives: end to end: 0 for a positive that was missed.
        dice_kaggle: end to end over positives with a mask and all negatives; empty on empty = 1.
        normals_with_mask: share of negatives that were given a mask.
        sensitivity_not_predicted_as_negative, specificity_not_predicted_as_negative: images without
            a prediction counted as called negative; None when there are none.
    """

    claimed: OperatingPoint
    selected: bool
    true_positives: Count
    false_positives: Count
    false_negatives: Count
    true_negatives: Count
    sensitivity: Estimate | None
    specificity: Estimate | None
    precision: Estimate | None
    negative_predictive_value: Estimate | None
    f1: Estimate | None
    dice_positives: Estimate | None
    iou_positives: Estimate | None
    dice_kaggle: Estimate | None
    normals_with_mask: Estimate | None
    sensitivity_not_predicted_as_negative: Estimate | None
    specificity_not_predicted_as_negative: Estimate | None


class Subgroup(_Frozen):
    """Figures of a part of the cohort, at the selected operating point.

    Attributes:
        negatives_from: `own` negatives of the subgroup, or `all` where only positives have the
            attribute (mask size).
    """

    attribute: str
    level: str
    negatives_from: Literal["own", "all"]
    n: Count
    positives: Count
    negatives: Count
    auc: Estimate | None
    sensitivity: Estimate | None
    specificity: Estimate | None
    dice_positives: Estimate | None


class CaseLine(_Frozen):
    """One image in a list of errors."""

    image_id: str
    probability: float
    dice: float | None
    true_area_fraction: float | None
    view: str
    chest_tube: str


class WorstErrors(_Frozen):
    """Errors at the selected operating point, the worst first."""

    missed: tuple[CaseLine, ...]
    false_alarms: tuple[CaseLine, ...]
    masks: tuple[CaseLine, ...]


class StageLatency(_Frozen):
    """Milliseconds that a stage took over the evaluated images, the segmenter forced on each."""

    stage: str
    median_ms: float
    p95_ms: float
    mean_ms: float
    n: Count


class Figures(_Frozen):
    """Everything that follows from the table of cases."""

    counts: Counts
    not_predicted: tuple[NotPredicted, ...]
    discrimination: Discrimination
    calibration: CalibrationFigures
    segmentation: Segmentation
    operating_points: tuple[PointFigures, ...]
    subgroups: tuple[Subgroup, ...]
    worst_errors: WorstErrors
    latency: tuple[StageLatency, ...]
    n_resamples: Count
    seed: int


class Report(_Frozen):
    """An evaluation: figures and where they come from."""

    schema_: Literal["pleura.evaluation/1"] = Field(alias="schema")
    disclaimer: str = DISCLAIMER
    provenance: Provenance
    figures: Figures

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
