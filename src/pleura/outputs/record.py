"""One result as a JSON object, schema `pleura.prediction/1`.

The models fix names, types and order of the fields; `record_of` fills them. Floats are rounded to
what is known of them: probabilities to 1e-6, areas to 0.1 mm2, times to 0.01 ms.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pleura.inference import Engine
from pleura.inference.prediction import Prediction, Refusal, Result
from pleura.masks import Region, RunLengthConvention, encode
from pleura.outputs.names import input_name
from pleura.radiograph import Notice

SCHEMA: Literal["pleura.prediction/1"] = "pleura.prediction/1"
CONVENTION = RunLengthConvention.SIIM_RELATIVE


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class OperatingPointRecord(_Record):
    """The named threshold that decided `present`, with what it achieved on its cohort."""

    name: str
    threshold: float
    sensitivity: float
    specificity: float


class MaskRecord(_Record):
    """The mask on the file's grid; `rle` is "-1" for no mask, `area_mm2` null without spacing."""

    rle: str
    rle_convention: str
    rows: int
    columns: int
    area_px: int
    area_mm2: float | None


class RegionRecord(_Record):
    """A connected region: box (top, left, bottom, right) half-open, in pixels of the file.

    `area_mm2` is null without spacing, `patient_side` where the file does not state an orientation.
    """

    box: tuple[int, int, int, int]
    area_px: int
    image_side: Literal["left", "right"]
    score: float
    area_mm2: float | None = None
    patient_side: Literal["left", "right"] | None = None


class NoticeRecord(_Record):
    """A warning with a stable code."""

    code: str
    message: str


class QualityRecord(_Record):
    """The input gate's report; `unfamiliarity` is null where the model has no measure of it."""

    accepted: bool
    warnings: list[NoticeRecord]
    unfamiliarity: float | None = None


class ModelRecord(_Record):
    """Which model spoke; `sha256` is the manifest's, which names the weights by theirs."""

    name: str
    version: str
    sha256: str
    engine: str = Engine.ONNXRUNTIME


class PredictionRecord(_Record):
    """A radiograph that was judged; `uncertainty` is null where a single view was judged."""

    schema_: Literal["pleura.prediction/1"] = Field(SCHEMA, alias="schema")
    input: str
    sop_instance_uid: str
    status: Literal["ok"] = "ok"
    finding: Literal["pneumothorax"] = "pneumothorax"
    probability: float
    uncertainty: float | None = None
    present: bool
    operating_point: OperatingPointRecord
    mask: MaskRecord
    regions: list[RegionRecord]
    quality: QualityRecord
    model: ModelRecord
    timings_ms: dict[str, float]


class ErrorRecord(_Record):
    """A stable code, a sentence, and what to do."""

    code: str
    message: str
    hint: str


class RefusalRecord(_Record):
    """An input without a prediction, and why."""

    schema_: Literal["pleura.prediction/1"] = Field(SCHEMA, alias="schema")
    input: str
    status: Literal["refused", "failed"]
    error: ErrorRecord


def record_of(result: Result) -> PredictionRecord | RefusalRecord:
    """The record of one result."""
    if isinstance(result, Refusal):
        return RefusalRecord.model_validate(
            {
                "input": input_name(result),
                "status": result.status.value,
                "error": {"code": result.code, "message": result.message, "hint": result.hint},
            }
        )
    return _prediction_record(result)


def json_line(result: Result) -> str:
    """One result as JSON on one line, without the line's end."""
    return record_of(result).model_dump_json(by_alias=True)


def _prediction_record(prediction: Prediction) -> PredictionRecord:
    rows, columns = prediction.mask.shape
    point, spread = prediction.operating_point, prediction.uncertainty
    strange = prediction.quality.unfamiliarity
    return PredictionRecord(
        schema=SCHEMA,
        input=input_name(prediction),
        sop_instance_uid=prediction.radiograph.identifiers.sop_instance_uid,
        probability=round(prediction.probability, 6),
        uncertainty=None if spread is None else round(spread, 6),
        present=prediction.present,
        operating_point=OperatingPointRecord(
            name=point.name,
            threshold=point.threshold,
            sensitivity=point.sensitivity,
            specificity=point.specificity,
        ),
        mask=MaskRecord(
            rle=encode(prediction.mask, CONVENTION),
            rle_convention=CONVENTION.value,
            rows=rows,
            columns=columns,
            area_px=prediction.area_px,
            area_mm2=_tenths(prediction.area_mm2),
        ),
        regions=[_region_record(prediction, region) for region in prediction.regions],
        quality=QualityRecord(
            accepted=prediction.quality.accepted,
            warnings=[_notice_record(notice) for notice in prediction.quality.warnings],
            unfamiliarity=None if strange is None else round(strange, 4),
        ),
        model=ModelRecord(
            name=prediction.model.name,
            version=prediction.model.version,
            sha256=prediction.model.sha256,
            engine=prediction.model.engine,
        ),
        timings_ms={name: round(value, 2) for name, value in prediction.timings_ms.items()},
    )


def _region_record(prediction: Prediction, region: Region) -> RegionRecord:
    side = prediction.patient_side_of(region)
    return RegionRecord(
        box=region.box,
        area_px=region.area_px,
        image_side=region.image_side.value,
        score=round(region.score, 6),
        area_mm2=_tenths(prediction.area_mm2_of(region)),
        patient_side=None if side is None else side.value,
    )


def _tenths(area_mm2: float | None) -> float | None:
    return None if area_mm2 is None else round(area_mm2, 1)


def _notice_record(notice: Notice) -> NoticeRecord:
    return NoticeRecord(code=notice.code, message=notice.message)
