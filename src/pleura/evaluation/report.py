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


class PredictiveValues(_Frozen):
    """What a call means where another share of patients has the finding.

    Attributes:
        prevalence: share of positives.
        positive, negative: predictive values by Bayes' rule; None where nothing is called so. Each
            limit comes from the limits of sensitivity and specificity together, so the interval is
            on the wide side. n counts the cases behind both.
    """

    prevalence: float
    positive: Estimate | None
    negative: Estimate | None


class PointFigures(_Frozen):
    """Decisions and masks at one operating point.

    Attributes:
        claimed: the point as the manifest states it, with its own cohort.
        selected: the point that the evaluation was asked for.
        precision, negative_predictive_value: at the cohort's own prevalence.
        predictive_values: the same two at other prevalences.
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
    predictive_values: tuple[PredictiveValues, ...] = ()
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


class DecisionPoint(_Frozen):
    """Net benefit of calling at a threshold, and of treating everybody."""

    threshold: float
    net_benefit: Estimate
    treat_all: float


class DecisionCurve(_Frozen):
    """Decision curve analysis (Vickers and Elkin, 2006).

    Attributes:
        prevalence: of the cohort, at which all net benefits hold.
        treat_none: net benefit of treating nobody, at every threshold.
        points: by rising threshold; percentile bootstrap over patients, each point by itself.
    """

    prevalence: float
    treat_none: float = 0.0
    points: tuple[DecisionPoint, ...]


class TubeQuestion(_Frozen):
    """Does the model find the air, or the tube that treats it? Untreated against treated.

    Attributes:
        positives_without_tube, negatives_with_tube: cases on either side.
        tube_unknown: cases of which nobody knows whether a tube is visible.
        auc_value: positives without a tube against negatives with one; None when a side is empty.
        auc: the same with DeLong's interval; None with fewer than two cases on a side.
        auc_clustered: the same with a bootstrap interval over patients; None where undefined.
        reliable: whether both sides are large enough for an answer.
        text: the answer, or why there is none, in words.
    """

    positives_without_tube: Count
    negatives_with_tube: Count
    tube_unknown: Count
    auc_value: float | None
    auc: Estimate | None
    auc_clustered: Estimate | None
    reliable: bool
    text: str


class CoveragePoint(_Frozen):
    """Decisions on the cases that are kept when the most doubtful are set aside.

    Attributes:
        coverage: share of cases that is kept; cases with equal doubt stand or fall together.
        error_rate, sensitivity, specificity: among the kept; Wilson, widened for patients.
    """

    coverage: float
    error_rate: Estimate | None
    sensitivity: Estimate | None
    specificity: Estimate | None


class RiskCoverage(_Frozen):
    """One order of setting cases aside; coverage falls from 1.

    Attributes:
        area: area under the risk-coverage curve (AURC), bootstrap over patients; lower is better.
    """

    area: Estimate | None
    points: tuple[CoveragePoint, ...]


class SelectiveFigures(_Frozen):
    """What becomes of the error rate at the selected point when doubtful cases are set aside.

    Attributes:
        error_rate: of all cases, which is the expected area of an order by chance.
        by_margin: set aside first: the probability nearest to the threshold, on the logit scale.
        by_spread: set aside first: the views of one image disagree most; None without a spread.
        area_difference: area by spread minus area by margin, from the same resamples.
        spread_missing: why there is no spread; empty when there is one.
    """

    error_rate: Estimate | None
    by_margin: RiskCoverage
    by_spread: RiskCoverage | None
    area_difference: Estimate | None
    spread_missing: str


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
    """Everything that follows from the table of cases.

    Attributes:
        decision_curve: None where a class is missing.
        chest_tube_question: None when the table has no column `chest_tube`.
        selective: None in reports of earlier versions.
    """

    counts: Counts
    not_predicted: tuple[NotPredicted, ...]
    discrimination: Discrimination
    calibration: CalibrationFigures
    segmentation: Segmentation
    operating_points: tuple[PointFigures, ...]
    subgroups: tuple[Subgroup, ...]
    worst_errors: WorstErrors
    decision_curve: DecisionCurve | None = None
    chest_tube_question: TubeQuestion | None = None
    selective: SelectiveFigures | None = None
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
