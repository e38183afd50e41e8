"""What a comparison of two models says: the schema of `pleura compare --json`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pleura.evaluation.report import DISCLAIMER, Count
from pleura.inference.manifest import Estimate


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ComparedModel(_Frozen):
    """One side.

    Attributes:
        calibrated_for: prevalence that its probabilities are meant for, if known.
        threshold: of the operating point, on its own probability.
    """

    name: str
    version: str
    sha256: str
    split: str
    calibrated_for: float | None
    threshold: float


class PairedCounts(_Frozen):
    """What is compared, and what could not be.

    Attributes:
        images: that both models judged, the n of every figure; of them positives and negatives.
        only_in_first, only_in_second: images of one evaluation that the other does not have.
        not_predicted: images of both that at least one model gave no prediction for.
    """

    images: Count
    patients: Count
    positives: Count
    negatives: Count
    only_in_first: Count
    only_in_second: Count
    not_predicted: Count


class PairedFigure(_Frozen):
    """A figure of both models and the difference; None where it is undefined.

    Attributes:
        name: `auc`; `dice_positives`, of the segmenter alone; `end_to_end_dice_positives`, where a
            missed positive scores 0; `brier` (lower is better); `sensitivity`; `specificity`.
        first, second: with the intervals that an evaluation gives them.
        difference: second minus first, percentile bootstrap over patients.
    """

    name: str
    first: Estimate | None
    second: Estimate | None
    difference: Estimate | None


class AucTest(_Frozen):
    """Paired test of DeLong; images taken as independent. None where it is undefined."""

    difference: Estimate | None
    p_value: float | None


class DecisionTest(_Frozen):
    """Exact test of McNemar on the decisions among one class; images taken as independent."""

    among: Literal["positives", "negatives"]
    both_right: Count
    only_first_right: Count
    only_second_right: Count
    neither_right: Count
    p_value: float


class Comparison(_Frozen):
    """Two evaluations, held against each other on the images that they share."""

    schema_: Literal["pleura.comparison/1"] = Field("pleura.comparison/1", alias="schema")
    disclaimer: str = DISCLAIMER
    first: ComparedModel
    second: ComparedModel
    operating_point: str
    counts: PairedCounts
    auc_delong: AucTest
    figures: tuple[PairedFigure, ...]
    decisions: tuple[DecisionTest, ...]
    notes: tuple[str, ...]
    n_resamples: Count
    seed: int

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
