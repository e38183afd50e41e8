"""The index table's contract: its columns, and the codes of what can be wrong with an image.

Everything that reads or writes an index goes by this page; `docs/data.md` shows the same table.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pleura.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "pleura.index/1"
NO_MASK = "-1"
"""`rle` of an image that is known to have no mask, as in the SIIM-ACR table."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the index: its name, its pandas dtype, and what it holds."""

    name: str
    dtype: str
    description: str


COLUMNS: tuple[Column, ...] = (
    Column("image_id", "str", "unique name of the image within the index"),
    Column("sop_instance_uid", "str", "SOP Instance UID of the original DICOM file, or ''"),
    Column("path", "str", "file below the root, or 'archive.tar#member'; '' when no file is known"),
    Column("rows", "Int32", "rows of the stored file in pixels, NA if unknown"),
    Column("columns", "Int32", "columns of the stored file in pixels, NA if unknown"),
    Column("label", "Int8", "1 pneumothorax, 0 none, NA unknown or contradictory"),
    Column("label_source", "str", "who gave the label, or ''"),
    Column(
        "rle",
        "str",
        "union of all masks as one SIIM-ACR relative run-length string; '-1' for a negative; "
        "'' when the mask is unknown",
    ),
    Column("mask_rows", "Int32", "rows of the grid of `rle`, NA if `rle` is ''"),
    Column("mask_columns", "Int32", "columns of the grid of `rle`, NA if `rle` is ''"),
    Column("mask_source", "str", "published, matched, png, reader, or '' without a mask"),
    Column(
        "mask_weight",
        "float64",
        "probability in [0, 1] that the mask belongs to the image; NA without a mask",
    ),
    Column(
        "area_fraction",
        "float64",
        "mask pixels / grid pixels in [0, 1]; 0 for negatives, NA if the mask is unknown",
    ),
    Column("view", "str", "PA, AP, another ViewPosition (0018,5101), or ''"),
    Column("age_years", "float64", "age in years, NA if unknown or beyond belief"),
    Column("sex", "str", "M, F, O, or ''"),
    Column("group", "str", "patient: images of one group never stand on two sides of a split"),
    Column("group_known", "bool", "False: the patient is unknown, the image is its own group"),
    Column("fold", "Int8", "cross-validation fold from 0, NA outside `train`"),
    Column("split", "str", "train, test, unlabelled, or '' (not to be used)"),
    Column("chest_tube", "Int8", "1 a chest tube is visible, 0 none, NA unknown"),
    Column("pixels_from", "str", "what the stored pixels came from: dicom, png, jpeg, jpeg-q75"),
    Column("problems", "str", "codes of what is wrong, joined by ';', or ''"),
)
COLUMN_NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)


class Problem(StrEnum):
    """What can be wrong with one image of the index; the codes are public."""

    MISSING_FILE = "missing_file"
    UNREADABLE_FILE = "unreadable_file"
    NO_LABEL = "no_label"
    DOUBLE_UID = "double_uid"
    REPEATED_ROW = "repeated_row"
    CONFLICTING_LABEL = "conflicting_label"
    MASK_ON_NEGATIVE = "mask_on_negative"
    MALFORMED_RLE = "malformed_rle"
    MASK_GRID_MISMATCH = "mask_grid_mismatch"
    UNREADABLE_MASK = "unreadable_mask"
    EMPTY_MASK = "empty_mask"
    MASK_UNKNOWN = "mask_unknown"
    IMPLAUSIBLE_AGE = "implausible_age"


PROBLEM_TEXTS: dict[Problem, str] = {
    Problem.MISSING_FILE: "a row names the image, but there is no file; kept with split ''",
    Problem.UNREADABLE_FILE: "the file's header cannot be read; kept with split ''",
    Problem.NO_LABEL: "a file of a training folder without a row in the table; split 'unlabelled'",
    Problem.DOUBLE_UID: "several files carry one UID; one stays, if possible with a label, the "
    "others have split ''",
    Problem.REPEATED_ROW: "the same row stands in the table more than once; counted once",
    Problem.CONFLICTING_LABEL: "rows or files of one image say both mask and no mask; label "
    "unknown",
    Problem.MASK_ON_NEGATIVE: "the label says negative, yet there is a mask; label unknown",
    Problem.MALFORMED_RLE: "a run-length string cannot be decoded; label stays, mask unknown",
    Problem.MASK_GRID_MISMATCH: "the mask does not fit the image's grid; label stays, mask unknown",
    Problem.UNREADABLE_MASK: "the picture of the mask cannot be read; mask unknown",
    Problem.EMPTY_MASK: "the label says positive, yet the mask is empty; mask unknown",
    Problem.MASK_UNKNOWN: "a positive image without any mask",
    Problem.IMPLAUSIBLE_AGE: "an age outside 0 to 120 years; age unknown",
}


def conform(table: "pd.DataFrame") -> "pd.DataFrame":
    """Bring a table to the contract: these columns, in this order, with these dtypes.

    Args:
        table: at least the columns of `COLUMNS`; others are left out.

    Raises:
        DataError: a column is missing or holds values of another kind, an `image_id` is not unique.
    """
    missing = [name for name in COLUMN_NAMES if name not in table.columns]
    if missing:
        raise DataError(f"The index lacks the columns {', '.join(missing)}.")
    table = table.loc[:, list(COLUMN_NAMES)].reset_index(drop=True)
    for column in COLUMNS:
        try:
            values = table[column.name]
            filled = values.fillna("") if column.dtype == "str" else values
            table[column.name] = filled.astype(column.dtype)  # type: ignore[call-overload]
        except (TypeError, ValueError) as error:
            raise DataError(f"The column '{column.name}' is not {column.dtype}.") from error
    if table["image_id"].duplicated().any():
        raise DataError("The index holds several rows with the same image_id.")
    return table
