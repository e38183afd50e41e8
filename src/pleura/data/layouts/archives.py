"""The layout with one table of images, one of masks, and tar archives of JPEG files.

index.csv    id, file, size, split, fold, label, label_by, mask_by, match_posterior, group, ...
masks.csv    id, rle: SIIM-ACR relative on the 1024 x 1024 grid
*.tar        `file` is archive#member, or a DICOM file relative to the root
"""

import re
from pathlib import Path

from pleura.data.columns import Problem
from pleura.data.layouts.record import UNUSABLE, ImageRecord, LayoutReading, mark_doubles
from pleura.data.layouts.runs import apply_runs, check_grid, read_run_table, read_table, require
from pleura.data.sources import image_exists
from pleura.errors import DataError

NAME = "archives"
_REQUIRED = ("id", "file", "split", "label")
_SPLITS = ("train", "test", "unlabelled", "")
_UID = re.compile(r"[0-9]+(\.[0-9]+){3,}")


def detect(root: Path) -> bool:
    """Whether the folder has this layout."""
    return (root / "index.csv").is_file() and (root / "masks.csv").is_file()


def read(root: Path) -> LayoutReading:
    """Read all images of the folder.

    Raises:
        DataError: `index.csv` or `masks.csv` cannot be read or lacks columns.
    """
    images = read_table(root / "index.csv")
    require(images, _REQUIRED, "index.csv")
    masks = read_run_table(root / "masks.csv", "id", "rle")
    reading = LayoutReading(NAME, [])
    masks.write_counts(reading)
    for line, row in enumerate(images.to_dict("records"), start=2):
        said = {str(name): str(value) for name, value in row.items()}
        record = _record(root, said)
        detail = _label_and_mask(record, said, masks.runs.get(record.image_id, []))
        if detail:
            reading.details.append(f"mask of index.csv row {line}: {detail}")
        check_grid(record)
        reading.records.append(record)
    strays = set(masks.runs) - {record.image_id for record in reading.records}
    if strays:
        reading.notes.append(f"{len(strays)} images of masks.csv have no row in index.csv.")
    mark_doubles(reading.records)
    return reading


def _number(row: dict[str, str], name: str) -> float | None:
    text = row.get(name, "")
    try:
        return float(text) if text else None
    except ValueError as error:
        raise DataError(f"The column '{name}' of index.csv holds '{text}'.") from error


def _integer(row: dict[str, str], name: str) -> int | None:
    value = _number(row, name)
    return None if value is None else int(value)


def _record(root: Path, row: dict[str, str]) -> ImageRecord:
    identifier, path = row["id"], row["file"]
    side = _integer(row, "size")
    record = ImageRecord(
        image_id=identifier,
        sop_instance_uid=identifier if _UID.fullmatch(identifier) else "",
        path=path,
        rows=side,
        columns=side,
        label_source=row.get("label_by", ""),
        view=row.get("view", ""),
        sex=row.get("sex", ""),
        group=row.get("group", ""),
        group_known=_integer(row, "group_known") == 1,
        split=row["split"],
        chest_tube=_integer(row, "chest_tube"),
        pixels_from=row.get("pixels_from", ""),
    )
    if record.split not in _SPLITS:
        raise DataError(f"index.csv holds the split '{record.split}'.", "Known: train, test.")
    record.set_age(_number(row, "age"))
    record.fold = _integer(row, "fold")
    if not image_exists(root, path):
        record.add(Problem.MISSING_FILE)
    return record


def _label_and_mask(record: ImageRecord, row: dict[str, str], values: list[str]) -> str:
    """Set label and mask; returns a sentence on a string that could not be decoded, or ''."""
    label = _integer(row, "label")
    detail = ""
    if values:
        posterior = _number(row, "match_posterior")
        weight = 1.0 if posterior is None else posterior
        detail = apply_runs(record, values, row.get("mask_by", "") or "published", weight)
    shown, record.label = record.label, label
    if label == 0 and shown == 1:
        record.contradict(Problem.MASK_ON_NEGATIVE)
    elif (label == 1 and shown == 0) or Problem.CONFLICTING_LABEL in record.problems:
        record.contradict(Problem.CONFLICTING_LABEL)
    elif label == 0:
        record.set_negative()
    elif label == 1 and not values:
        record.add(Problem.MASK_UNKNOWN)
    elif label is None and record.split in ("train", "test"):
        record.add(Problem.NO_LABEL)
    if record.split in ("train", "test") or UNUSABLE & set(record.problems):
        record.choose_split(is_test=record.split == "test")
    return detail
