"""What a reader takes along: files of one film, and tables of the session."""

import csv
import io
import json
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from pleura.app.cases import Case, Entry, Refused
from pleura.errors import OutputError
from pleura.inference import Prediction
from pleura.outputs import (
    DicomOptions,
    PredictionRecord,
    RefusalRecord,
    dicom_objects,
    draw_heatmap,
    draw_overlay,
    encode_png,
    record_of,
)
from pleura.outputs import Kind as DicomKind
from pleura.outputs.names import stem_of
from pleura.outputs.table import COLUMNS


class Kind(StrEnum):
    """What can be taken away of a film beside its numbers."""

    OVERLAY = "overlay"
    HEATMAP = "heatmap"
    SEG = "seg"
    SR = "sr"
    SC = "sc"

    @property
    def suffix(self) -> str:
        """Of the file's name."""
        return ".png" if self in (Kind.OVERLAY, Kind.HEATMAP) else ".dcm"

    @property
    def media_type(self) -> str:
        """Of the file."""
        return "image/png" if self.suffix == ".png" else "application/dicom"


LABELS = {
    Kind.OVERLAY: "Overlay (PNG)",
    Kind.HEATMAP: "Heat map (PNG)",
    Kind.SEG: "Segmentation (DICOM SEG)",
    Kind.SR: "Report (DICOM SR)",
    Kind.SC: "Picture (DICOM SC)",
}


def made_from(prediction: Prediction, kind: Kind) -> bytes:
    """Make one file.

    Segmentations are made for negatives, too, and are empty there: whoever asks for a file gets it.

    Raises:
        NoDicomSourceError: a DICOM object of a film that was none.
    """
    if kind is Kind.OVERLAY:
        return encode_png(draw_overlay(prediction))
    if kind is Kind.HEATMAP:
        return encode_png(draw_heatmap(prediction))
    wanted = DicomKind(kind.value)
    options = DicomOptions(negatives=True)
    made = dicom_objects(prediction, [wanted], datetime.now(), options)
    if wanted not in made:
        raise OutputError("Nothing could be made of this film.")
    return made[wanted]


def shown_record(entry: Entry, point: str, identifying: bool) -> PredictionRecord | RefusalRecord:
    """The result of a film, without the names that its sender gave unless they are asked for."""
    if isinstance(entry, Refused):
        refusal = record_of(entry.refusal)
        return refusal if identifying else refusal.model_copy(update={"input": entry.title})
    record = entry.results[point]
    if identifying:
        return record
    return record.model_copy(update={"input": entry.title, "sop_instance_uid": ""})


def as_json(entry: Entry, point: str, identifying: bool) -> bytes:
    """One result, schema `pleura.prediction/1`."""
    text = shown_record(entry, point, identifying).model_dump_json(by_alias=True)
    return json.dumps(json.loads(text), indent=1).encode()


def as_json_lines(entries: Sequence[Entry], point: str, identifying: bool) -> bytes:
    """All results, one a line."""
    lines = [
        shown_record(entry, point, identifying).model_dump_json(by_alias=True) for entry in entries
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def as_csv(entries: Sequence[Entry], point: str, identifying: bool) -> bytes:
    """All results as a table, with the columns of `predictions.csv`."""
    stream = io.StringIO(newline="")
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(COLUMNS)
    for entry in entries:
        table.writerow(_row(shown_record(entry, point, identifying)))
    return stream.getvalue().encode()


def file_name(case: Case, ending: str) -> str:
    """Of a file to be taken away: the film's number, and never a name that its sender gave."""
    return f"pleura-film-{case.number}-{ending}"


def _row(record: PredictionRecord | RefusalRecord) -> tuple[str, ...]:
    if isinstance(record, RefusalRecord):
        return stem_of(record.input), "", "", "", record.status, record.error.code, ""
    return (
        record.sop_instance_uid or stem_of(record.input),
        record.mask.rle,
        f"{record.probability:.6f}",
        "1" if record.present else "0",
        record.status,
        "",
        "" if record.uncertainty is None else f"{record.uncertainty:.6f}",
    )
