"""The layouts in which Kaggle gave out the SIIM-ACR challenge (2019).

    stage 1   dicom-images-train/<study>/<series>/<instance>.dcm, dicom-images-test/...,
              train-rle.csv
    stage 2   stage_2_images/ID_*.dcm, stage_2_train.csv

Both tables hold `ImageId` and `EncodedPixels` (stage 1: `" EncodedPixels"`), several rows an image.
"""

from collections.abc import Iterator
from pathlib import Path

from pleura.data.columns import Problem
from pleura.data.layouts.headers import read_header
from pleura.data.layouts.record import ImageRecord, LayoutReading, mark_doubles
from pleura.data.layouts.runs import (
    RunTable,
    apply_runs,
    check_grid,
    find_run_table,
    read_run_table,
)
from pleura.errors import DataError, InvalidHeaderError

STAGE_1, STAGE_2 = "kaggle-stage1", "kaggle-stage2"
LABEL_SOURCE = "siim-radiologist"
_FEWEST_TO_JUDGE_IDENTIFIERS = 100


def _dicom_files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.suffix.lower() == ".dcm")


def detect(root: Path) -> bool:
    """Whether the folder holds a run-length table and DICOM files."""
    return find_run_table(root) is not None and next(_dicom_files(root), None) is not None


def read(root: Path, salt: str = "") -> LayoutReading:
    """Read all images of the folder, and the table's rows that have no image.

    Args:
        root: folder with the table, and the DICOM files somewhere below it.
        salt: mixed into the hash of the patients' identifiers.

    Raises:
        DataError: there is no run-length table, or it cannot be read.
    """
    table_path = find_run_table(root)
    if table_path is None:
        raise DataError("There is no table with ImageId and EncodedPixels in the root folder.")
    table = read_run_table(table_path)
    files = sorted(_dicom_files(root))
    deep = sum(len(path.relative_to(root).parts) >= 3 for path in files)
    reading = LayoutReading(STAGE_1 if deep * 2 > len(files) else STAGE_2, [])
    table.write_counts(reading)
    for path in files:
        record = _from_file(root, path, table, salt)
        is_test = "test" in path.parent.relative_to(root).as_posix().lower()
        if record.image_id not in table.runs and not is_test and reading.layout == STAGE_1:
            record.add(Problem.NO_LABEL)
        _label(record, table, reading, is_test)
        reading.records.append(record)
    found = {record.image_id for record in reading.records}
    for image_id in table.runs:
        if image_id not in found:
            record = ImageRecord(image_id, problems=[Problem.MISSING_FILE])
            _label(record, table, reading, is_test=False)
            reading.records.append(record)
    mark_doubles(reading.records)
    _judge_patients(reading)
    return reading


def _from_file(root: Path, path: Path, table: RunTable, salt: str) -> ImageRecord:
    record = ImageRecord(path.stem, path=path.relative_to(root).as_posix(), pixels_from="dicom")
    try:
        facts = read_header(path, salt)
    except InvalidHeaderError:
        record.add(Problem.UNREADABLE_FILE)
        return record
    if record.image_id not in table.runs and facts.sop_instance_uid in table.runs:
        record.image_id = facts.sop_instance_uid
    record.sop_instance_uid, record.view, record.sex = facts.sop_instance_uid, facts.view, facts.sex
    record.rows, record.columns = facts.rows, facts.columns
    record.group, record.group_known = facts.group, bool(facts.group)
    record.set_age(facts.age_years)
    return record


def _label(record: ImageRecord, table: RunTable, reading: LayoutReading, is_test: bool) -> None:
    """Label, mask and split from the rows of the table."""
    values = table.runs.get(record.image_id)
    if values is not None:
        record.label_source = LABEL_SOURCE
        detail = apply_runs(record, values, "published")
        if detail:
            reading.details.append(f"table row {table.lines[record.image_id]}: {detail}")
        check_grid(record)
    record.choose_split(is_test)


def _judge_patients(reading: LayoutReading) -> None:
    """Say so when PatientID does not join images: the SIIM-ACR files carry one ID an image."""
    known = [record for record in reading.records if record.group_known and record.split]
    groups = {record.group for record in known}
    if len(known) >= _FEWEST_TO_JUDGE_IDENTIFIERS and len(groups) == len(known):
        reading.notes.append(
            "No PatientID occurs twice: it does not tell patients apart here, and a split by it "
            "may put one patient on two sides. Give a table of image_id and group with --groups."
        )
        for record in reading.records:
            record.group_known = False
