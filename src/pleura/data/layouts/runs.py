"""From the rows of a run-length table to label and mask of one image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pleura.data.columns import NO_MASK, Problem
from pleura.data.layouts.record import SIIM_GRID, ImageRecord, LayoutReading
from pleura.errors import DataError, RunLengthError
from pleura.masks import RunLengthConvention, decode_union, encode

if TYPE_CHECKING:
    import pandas as pd

_TABLE_NAMES = ("stage_2_train.csv", "train-rle.csv", "train-rle-sample.csv")
_ASPECT_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class RunTable:
    """A table of run lengths by image.

    Attributes:
        runs: all strings of each image, in the order of the table.
        lines: line of the image's first row in the file, from 2; it stands in messages in place
            of the identifier.
        n_rows: rows of the table.
    """

    runs: dict[str, list[str]]
    lines: dict[str, int]
    n_rows: int

    def write_counts(self, reading: LayoutReading) -> None:
        """Copy the table's counts into what was read of the folder."""
        reading.table_rows, reading.images_in_table = self.n_rows, len(self.runs)
        reading.images_with_several_rows = sum(len(values) > 1 for values in self.runs.values())


def read_table(path: Path) -> "pd.DataFrame":
    """Read a table as text: column names in lower case, names and values without blanks around.

    Raises:
        DataError: the file cannot be read as a table.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read as a table.") from error
    table.columns = pd.Index([str(name).strip().lower() for name in table.columns])
    for name in table.columns:
        table[name] = table[name].str.strip()
    return table


def require(table: "pd.DataFrame", columns: tuple[str, ...], name: str) -> None:
    """Check that a table has its columns.

    Raises:
        DataError: it lacks some.
    """
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DataError(f"{name} lacks the columns {', '.join(missing)}.")


def read_run_table(
    path: Path, identifier: str = "imageid", runs: str = "encodedpixels"
) -> RunTable:
    """Read a table of images and run lengths.

    The published file has a leading space in `" EncodedPixels"` and before its values.

    Args:
        path: CSV file.
        identifier: name of the image's column, in lower case.
        runs: name of the run lengths' column, in lower case.

    Raises:
        DataError: the file is not such a table.
    """
    table = read_table(path)
    require(table, (identifier, runs), path.name)
    values: dict[str, list[str]] = {}
    lines: dict[str, int] = {}
    for line, (image_id, rle) in enumerate(
        zip(table[identifier], table[runs], strict=True), start=2
    ):
        values.setdefault(image_id, []).append(rle)
        lines.setdefault(image_id, line)
    return RunTable(values, lines, len(table))


def find_run_table(root: Path) -> Path | None:
    """The run-length table of a folder: by its known names, then by its columns; or None."""
    candidates = [root / name for name in _TABLE_NAMES if (root / name).is_file()]
    for path in candidates or sorted(root.glob("*.csv")):
        if "submission" in path.name:
            continue
        with path.open(encoding="utf-8", errors="replace") as stream:
            names = {
                word.strip().strip('"').strip().lower() for word in stream.readline().split(",")
            }
        if {"imageid", "encodedpixels"} <= names:
            return path
    return None


def set_mask(
    record: ImageRecord,
    mask: NDArray[np.bool_],
    source: str,
    weight: float = 1.0,
) -> None:
    """Write a mask, bool (rows, columns), into the record; an empty one is noted, not written."""
    if not mask.any():
        record.add(Problem.EMPTY_MASK)
        return
    record.rle = encode(mask, RunLengthConvention.SIIM_RELATIVE)
    record.mask_rows, record.mask_columns = (int(side) for side in mask.shape)
    record.area_fraction = float(mask.mean())
    record.mask_source, record.mask_weight = source, weight


def _exceeds(rle: str, grid: tuple[int, int]) -> bool:
    """Whether well-formed numbers run past the grid's last pixel."""
    words = rle.split()
    if len(words) % 2 or not all(word.isdigit() for word in words):
        return False
    return sum(int(word) for word in words) > grid[0] * grid[1]


def apply_runs(
    record: ImageRecord,
    values: Sequence[str],
    source: str,
    weight: float = 1.0,
    grid: tuple[int, int] = SIIM_GRID,
) -> str:
    """Set label and mask of the record from all run-length strings of its image.

    `-1` says that there is none. Rows that contradict each other leave the label unknown; a string
    that cannot be decoded leaves the label positive and the mask unknown.

    Args:
        record: receives `label`, the mask columns and the problems.
        values: SIIM-ACR relative run lengths, one a row of the table.
        source: `mask_source` to write.
        weight: `mask_weight` to write.
        grid: rows and columns that the strings refer to.

    Returns:
        A sentence on what could not be decoded, or "".
    """
    distinct = list(dict.fromkeys(values))
    if len(distinct) < len(values):
        record.add(Problem.REPEATED_ROW)
    masks = [value for value in distinct if value != NO_MASK]
    if not masks:
        record.label = 0
        record.set_negative(grid)
        return ""
    if len(masks) < len(distinct):
        record.add(Problem.CONFLICTING_LABEL)
        return ""
    record.label = 1
    if not all(masks):
        record.add(Problem.MALFORMED_RLE)
        return "an empty run-length string"
    try:
        union = decode_union(masks, grid, RunLengthConvention.SIIM_RELATIVE)
    except RunLengthError as error:
        mismatch = any(_exceeds(value, grid) for value in masks)
        record.add(Problem.MASK_GRID_MISMATCH if mismatch else Problem.MALFORMED_RLE)
        return error.message
    set_mask(record, union, source, weight)
    return ""


def check_grid(record: ImageRecord) -> None:
    """Note a mask whose grid has another aspect ratio than the image, and forget the mask."""
    if not record.rle or record.rle == NO_MASK:
        return
    if record.rows and record.columns and record.mask_rows and record.mask_columns:
        image, mask = record.rows / record.columns, record.mask_rows / record.mask_columns
        if abs(image / mask - 1.0) > _ASPECT_TOLERANCE:
            record.add(Problem.MASK_GRID_MISMATCH)
            record.forget_mask()
