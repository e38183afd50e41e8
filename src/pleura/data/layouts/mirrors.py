"""PNG copies of the challenge: a folder of images, a folder of masks, sometimes tables.

png_images/ png_masks/, stage_1_train_images.csv (new_filename, ImageId, has_pneumo), same
for test
train/ masks/ test/ with files named by UID; images/ mask/; and the like
"""

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pleura.data.columns import Problem
from pleura.data.layouts.kaggle import LABEL_SOURCE
from pleura.data.layouts.record import ImageRecord, LayoutReading, mark_doubles
from pleura.data.layouts.runs import (
    RunTable,
    apply_runs,
    check_grid,
    find_run_table,
    read_run_table,
    read_table,
    set_mask,
)

NAME = "png-mirror"
_IMAGE_FOLDERS = ("png_images", "images", "train", "train_images", "img")
_MASK_FOLDERS = ("png_masks", "masks", "mask", "train_masks")
_TEST_FOLDERS = ("test", "test_images")
_SUFFIXES = (".png", ".jpg", ".jpeg")
_UID = re.compile(r"[0-9]+(\.[0-9]+){3,}")


@dataclass(frozen=True, slots=True)
class _Said:
    """What the tables say of one picture, by the name of its file without suffix."""

    uid: str
    label: int | None


def _folder(root: Path, names: tuple[str, ...]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def _pictures(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)


def detect(root: Path) -> bool:
    """Whether the folder holds pictures in one folder and masks (or a mask table) beside it."""
    has_masks = _folder(root, _MASK_FOLDERS) is not None or find_run_table(root) is not None
    return has_masks and bool(_pictures(_folder(root, _IMAGE_FOLDERS)))


def read(root: Path) -> LayoutReading:
    """Read all images of the folder, and the masks and table rows that have no image.

    Raises:
        DataError: a table cannot be read.
    """
    reading = LayoutReading(NAME, [])
    masks = {path.stem: path for path in _pictures(_folder(root, _MASK_FOLDERS))}
    said = _read_file_tables(root)
    run_table = find_run_table(root)
    runs = RunTable({}, {}, 0) if run_table is None else read_run_table(run_table)
    runs.write_counts(reading)
    found: set[str] = set()
    tests = _pictures(_folder(root, _TEST_FOLDERS))
    for path in [*_pictures(_folder(root, _IMAGE_FOLDERS)), *tests]:
        stem = path.stem
        record = ImageRecord(stem, path=path.relative_to(root).as_posix())
        record.sop_instance_uid = said[stem].uid if stem in said else _uid(stem)
        _measure(record, path)
        _label(record, masks.get(stem), said.get(stem), runs, reading)
        is_test = path in tests or "_test_" in stem
        if record.label is None and not record.problems and not is_test:
            record.add(Problem.NO_LABEL)
        record.choose_split(is_test)
        reading.records.append(record)
        found |= {stem, record.sop_instance_uid}
    for name in dict.fromkeys([*said, *masks, *runs.runs]):
        if name not in found:
            record = ImageRecord(name, problems=[Problem.MISSING_FILE])
            record.sop_instance_uid = said[name].uid if name in said else _uid(name)
            found |= {name, record.sop_instance_uid}
            _label(record, masks.get(name), said.get(name), runs, reading)
            reading.records.append(record)
    mark_doubles(reading.records)
    return reading


def _uid(text: str) -> str:
    return text if _UID.fullmatch(text) else ""


def _read_file_tables(root: Path) -> dict[str, _Said]:
    """Tables that name the files: `new_filename`, `ImageId`, and `has_pneumo` (1 or 0)."""
    said: dict[str, _Said] = {}
    for path in sorted(root.glob("*.csv")):
        table = read_table(path)
        if not {"new_filename", "imageid"} <= set(table.columns):
            continue
        labels = table["has_pneumo"] if "has_pneumo" in table.columns else [""] * len(table)
        for name, uid, label in zip(table["new_filename"], table["imageid"], labels, strict=True):
            known = int(float(label)) if label in ("0", "1", "0.0", "1.0") else None
            said[Path(name).stem] = _Said(_uid(uid), known)
    return said


def _measure(record: ImageRecord, path: Path) -> None:
    """Size of the picture; a PNG's from its first bytes (ISO/IEC 15948, 11.2.2)."""
    record.pixels_from = "png" if path.suffix.lower() == ".png" else "jpeg"
    with path.open("rb") as stream:
        head = stream.read(24)
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR" and len(head) == 24:
        record.columns = int.from_bytes(head[16:20], "big")
        record.rows = int.from_bytes(head[20:24], "big")
        return
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        record.add(Problem.UNREADABLE_FILE)
        return
    record.rows, record.columns = (int(side) for side in picture.shape)


def _label(
    record: ImageRecord,
    mask_path: Path | None,
    said: _Said | None,
    runs: RunTable,
    reading: LayoutReading,
) -> None:
    """Label and mask from run lengths, else from the mask's picture; held against the table's."""
    key = record.image_id if record.image_id in runs.runs else record.sop_instance_uid
    if key in runs.runs:
        detail = apply_runs(record, runs.runs[key], "published")
        if detail:
            reading.details.append(f"table row {runs.lines[key]}: {detail}")
    elif mask_path is not None:
        _apply_picture(record, mask_path, None if said is None else said.label)
    if said is not None and said.label is not None:
        _compare(record, said.label)
    check_grid(record)
    if record.label is not None:
        record.label_source = LABEL_SOURCE


def _apply_picture(record: ImageRecord, path: Path, said: int | None) -> None:
    """Mask from a picture: pixels above half of its range, so that 0/1 and 0/255 both work."""
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        record.label = said
        record.add(Problem.UNREADABLE_MASK)
        return
    mask = np.asarray(picture, dtype=np.float32) > float(picture.max()) / 2.0
    if mask.any():
        record.label = 1
        set_mask(record, mask, "png")
    elif said == 1:
        record.label = 1
        record.add(Problem.EMPTY_MASK)
    else:
        record.label = 0
        record.set_negative((int(mask.shape[0]), int(mask.shape[1])))


def _compare(record: ImageRecord, said: int) -> None:
    """Hold the label of a table against the one that the mask shows."""
    if record.label is None and not record.problems:
        record.label = said
        if said == 0:
            record.set_negative()
        else:
            record.add(Problem.MASK_UNKNOWN)
    elif record.label == 1 and said == 0:
        record.contradict(Problem.MASK_ON_NEGATIVE)
    elif record.label == 0 and said == 1:
        record.contradict(Problem.CONFLICTING_LABEL)
