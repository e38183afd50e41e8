"""Results as rows of a Parquet file: what `pleura.prediction/1` says, one column each."""

import io
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pleura.errors import OutputError
from pleura.inference import Result, Stage
from pleura.outputs import PredictionRecord, RefusalRecord, record_of
from pleura.scale.tally import Tally

TALLY = b"pleura.tally"
TAIL_BYTES = 1 << 16
"""Room for the footer of a part, which is about 10 kB: one row group, some forty columns."""
_TEXT, _NUMBER, _COUNT = pa.string(), pa.float64(), pa.int64()

SCHEMA = pa.schema(
    [
        pa.field("input", _TEXT, nullable=False),
        pa.field("status", _TEXT, nullable=False),
        ("sop_instance_uid", _TEXT),
        ("finding", _TEXT),
        ("probability", _NUMBER),
        ("uncertainty", _NUMBER),
        ("present", pa.bool_()),
        ("operating_point", _TEXT),
        ("threshold", _NUMBER),
        ("sensitivity", _NUMBER),
        ("specificity", _NUMBER),
        ("rle", _TEXT),
        ("rle_convention", _TEXT),
        ("rows", _COUNT),
        ("columns", _COUNT),
        ("area_px", _COUNT),
        ("area_mm2", _NUMBER),
        ("regions", _TEXT),
        ("accepted", pa.bool_()),
        ("warnings", _TEXT),
        ("unfamiliarity", _NUMBER),
        ("model_name", _TEXT),
        ("model_version", _TEXT),
        ("model_sha256", _TEXT),
        ("model_engine", _TEXT),
        *((f"{stage.value}_ms", _NUMBER) for stage in Stage),
        ("error_code", _TEXT),
        ("error_message", _TEXT),
        ("error_hint", _TEXT),
        ("object_name", _TEXT),
    ]
)
"""`regions` and `warnings` are JSON; the rest is flat. What a result does not have is null."""


def row_of(result: Result, object_name: str | None = None) -> dict[str, Any]:
    """One result as a row.

    Args:
        result: a prediction or a refusal.
        object_name: of the files that were written for it, without a suffix.
    """
    record = record_of(result)
    if isinstance(record, RefusalRecord):
        return {
            "input": record.input,
            "status": record.status,
            "error_code": record.error.code,
            "error_message": record.error.message,
            "error_hint": record.error.hint,
        }
    return _predicted(record) | {"object_name": object_name}


def part_of(rows: Sequence[dict[str, Any]], tally: Tally) -> bytes:
    """Rows as a Parquet file, with their counts in its footer."""
    schema = SCHEMA.with_metadata({TALLY: tally.to_json()})
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema), stream, compression="zstd")
    return stream.getvalue()


def tally_of(tail: bytes) -> Tally:
    """The counts in a part's footer.

    Args:
        tail: the end of the file, at least its footer.

    Raises:
        OutputError: this is no part of a run.
    """
    try:
        return Tally.from_json(pq.read_metadata(io.BytesIO(tail)).metadata[TALLY])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise OutputError(
            f"A part of the run is damaged ({type(error).__name__}).",
            "Remove it; the same command then makes it again.",
        ) from None


def _predicted(record: PredictionRecord) -> dict[str, Any]:
    point, mask, quality, model = (
        record.operating_point,
        record.mask,
        record.quality,
        record.model,
    )
    return {
        "input": record.input,
        "status": record.status,
        "sop_instance_uid": record.sop_instance_uid,
        "finding": record.finding,
        "probability": record.probability,
        "uncertainty": record.uncertainty,
        "present": record.present,
        "operating_point": point.name,
        "threshold": point.threshold,
        "sensitivity": point.sensitivity,
        "specificity": point.specificity,
        **mask.model_dump(),
        "regions": json.dumps([region.model_dump() for region in record.regions]),
        "accepted": quality.accepted,
        "warnings": json.dumps([notice.model_dump() for notice in quality.warnings]),
        "unfamiliarity": quality.unfamiliarity,
        "model_name": model.name,
        "model_version": model.version,
        "model_sha256": model.sha256,
        "model_engine": model.engine,
        **{f"{name}_ms": value for name, value in record.timings_ms.items()},
    }
