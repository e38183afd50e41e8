"""Feedback as an index that `pleura train` and `pleura calibrate` read."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pleura.app.feedback import NO_MASK, Feedback
from pleura.errors import DataError

if TYPE_CHECKING:
    from pleura.data.index import Index
    from pleura.data.layouts.record import ImageRecord

LAYOUT = "feedback"
LABEL_SOURCE = "reader"
MASK_SOURCE = "reader"
_KINDS = {"PNG": "png", "JPEG": "jpeg", "TIFF": "tiff"}


def index_of(said: Sequence[Feedback]) -> "Index":
    """One row an image; what a reader said last of it counts.

    Where readers contradict each other, the label is unknown. An image whose file was not kept has
    no path and the split ''. With at least five patients, folds are made.

    Args:
        said: all feedback, in its order.

    Raises:
        DataError: there is none.
    """
    from pleura.data.index import Index
    from pleura.data.layouts.record import to_table
    from pleura.data.splits import make_folds

    if not said:
        raise DataError("Nobody has given feedback yet.", "Give some on the page 'Read'.")
    images: dict[str, dict[str, Feedback]] = {}
    for one in said:
        images.setdefault(one.sha256, {}).pop(one.reader, None)
        images[one.sha256][one.reader] = one
    root = _root([one.path for one in said if one.path])
    table = to_table([_record(list(readers.values()), root) for readers in images.values()])
    notes = []
    try:
        table["fold"] = make_folds(table)
    except DataError as error:
        notes.append(f"No folds were made: {error.message}")
    summary = {
        "table_rows": len(said),
        "images_in_table": len(images),
        "images_with_several_rows": len(images) - sum(len(r) == 1 for r in images.values()),
        "details": [],
        "notes": notes,
    }
    return Index(table, root, LAYOUT, summary)


def index_bytes(said: Sequence[Feedback]) -> bytes:
    """The index as the bytes of a Parquet file.

    Raises:
        DataError: as `index_of`.
    """
    from pleura.data.index import write_index

    with tempfile.TemporaryDirectory() as folder:
        return write_index(index_of(said), Path(folder) / "index.parquet").read_bytes()


def _root(paths: Sequence[str]) -> Path:
    folders = [str(Path(path).parent) for path in paths]
    return Path(os.path.commonpath(folders)) if folders else Path()


def _record(readers: Sequence[Feedback], root: Path) -> "ImageRecord":
    from pleura.data.columns import Problem
    from pleura.data.layouts.record import ImageRecord

    last = readers[-1]
    known = next((one.path for one in reversed(readers) if one.path), "")
    record = ImageRecord(
        image_id=last.sha256[:16],
        sop_instance_uid=last.sop_instance_uid,
        path=Path(known).relative_to(root).as_posix() if known else "",
        rows=last.rows,
        columns=last.columns,
        label=last.label,
        label_source=LABEL_SOURCE,
        view=last.view,
        sex=last.sex,
        group=last.patient,
        group_known=bool(last.patient),
        pixels_from=_KINDS.get(last.encoding, "dicom"),
    )
    record.set_age(last.age_years)
    _set_mask(record, readers)
    if not known:
        record.add(Problem.MISSING_FILE)
    if len({one.label for one in readers}) > 1:
        record.contradict(Problem.CONFLICTING_LABEL)
    record.choose_split(is_test=False)
    return record


def _set_mask(record: "ImageRecord", readers: Sequence[Feedback]) -> None:
    """The last mask that a reader gave, whoever spoke after them."""
    from pleura.data.columns import Problem
    from pleura.data.layouts.runs import set_mask
    from pleura.masks import RunLengthConvention, decode

    shape = readers[-1].rows, readers[-1].columns
    if record.label == 0:
        record.set_negative(shape)
        return
    drawn = next((one.rle for one in reversed(readers) if one.rle not in ("", NO_MASK)), "")
    if drawn:
        set_mask(record, decode(drawn, shape, RunLengthConvention.SIIM_RELATIVE), MASK_SOURCE)
    else:
        record.add(Problem.MASK_UNKNOWN)
