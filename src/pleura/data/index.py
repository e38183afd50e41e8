"""The index: one Parquet table that says where each image is and what is known about it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pleura.data.columns import SCHEMA, conform
from pleura.data.splits import make_folds, make_split
from pleura.errors import DataError, NotFoundError

if TYPE_CHECKING:
    import pandas as pd

_SCHEMA_KEY, _ROOT_KEY, _LAYOUT_KEY = b"pleura.schema", b"pleura.root", b"pleura.layout"
_FINGERPRINT_KEY, _SUMMARY_KEY = b"pleura.fingerprint", b"pleura.summary"


@dataclass(frozen=True, eq=False)
class Index:
    """The images of one root folder.

    Attributes:
        table: one row an image, with the columns of `pleura.data.columns.COLUMNS`.
        root: folder that `path` is relative to.
        layout: name of the folder layout that was found.
        summary: counts of the label table and remarks on the whole folder, for the report.
    """

    table: "pd.DataFrame"
    root: Path
    layout: str
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the table's content, 64 hexadecimal digits; the root has no part in it."""
        ordered = self.table.sort_values("image_id")
        text = ordered.to_csv(index=False, float_format="%.9g", lineterminator="\n")
        return hashlib.sha256(text.encode()).hexdigest()


def write_index(index: Index, path: Path) -> Path:
    """Write an index as Parquet, with root, layout and fingerprint in the file's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = pa.Table.from_pandas(conform(index.table), preserve_index=False)
    metadata = {
        **(data.schema.metadata or {}),
        _SCHEMA_KEY: SCHEMA.encode(),
        _ROOT_KEY: str(index.root.resolve()).encode(),
        _LAYOUT_KEY: index.layout.encode(),
        _FINGERPRINT_KEY: index.fingerprint.encode(),
        _SUMMARY_KEY: json.dumps(dict(index.summary)).encode(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(data.replace_schema_metadata(metadata), path, compression="zstd")
    return path


def read_index(path: Path, root: Path | None = None) -> Index:
    """Read an index.

    Args:
        path: Parquet file that `write_index` wrote.
        root: folder of the images, when it has moved since.

    Raises:
        NotFoundError: there is no such file.
        DataError: the file is not an index.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise NotFoundError(f"There is no index {path}.", "Write one with `pleura data index`.")
    try:
        data = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a Parquet file.") from error
    metadata = data.schema.metadata or {}
    if metadata.get(_SCHEMA_KEY) != SCHEMA.encode():
        raise DataError(f"{path} is not an index of the schema {SCHEMA}.")
    return Index(
        table=conform(data.to_pandas()),
        root=Path(metadata[_ROOT_KEY].decode()) if root is None else Path(root),
        layout=metadata[_LAYOUT_KEY].decode(),
        summary=json.loads(metadata.get(_SUMMARY_KEY, b"{}")),
    )


def build_index(
    root: Path,
    *,
    n_folds: int = 5,
    seed: int = 0,
    test_share: float = 0.0,
    groups: Path | None = None,
    salt: str = "",
) -> Index:
    """Read a folder of images in any of the known layouts.

    A layout that brings folds keeps them as long as no patient stands in two of them; otherwise,
    and with `groups`, `pleura.data.splits.make_folds` makes them.

    Args:
        root: folder of the images and tables.
        n_folds: number of cross-validation folds to make.
        seed: of the folds and the split.
        test_share: share of the labelled images, in [0, 1), to divide off as `test` by patient;
            0 keeps the split that the layout has.
        groups: CSV file with the columns `image_id` and `group` that says which images belong to
            one patient, where the images' headers do not.
        salt: mixed into the hash of the patients' identifiers.

    Raises:
        NotFoundError: there is no such folder.
        DataError: the folder has none of the known layouts, or its tables cannot be read.
    """
    from pleura.data.layouts import read_layout
    from pleura.data.layouts.record import to_table

    root = Path(root)
    if not root.is_dir():
        raise NotFoundError(f"There is no folder {root}.")
    reading = read_layout(root, salt)
    table, notes = to_table(reading.records), list(reading.notes)
    if groups is not None:
        notes.append(_set_groups(table, groups))
    if test_share > 0.0:
        _divide(table, test_share, seed)
    notes += _fold(table, n_folds, seed, anew=test_share > 0.0 or groups is not None)
    summary = {
        "table_rows": reading.table_rows,
        "images_in_table": reading.images_in_table,
        "images_with_several_rows": reading.images_with_several_rows,
        "details": reading.details,
        "notes": notes,
    }
    return Index(table, root, reading.layout, summary)


def _set_groups(table: "pd.DataFrame", path: Path) -> str:
    """Take the patients from a table of `image_id` and `group`; returns a remark."""
    from pleura.data.layouts.runs import read_table, require

    said = read_table(path)
    require(said, ("image_id", "group"), path.name)
    home = dict(zip(said["image_id"], said["group"], strict=True))
    found = table["image_id"].map(home).fillna("")
    found = found.where(found != "", table["sop_instance_uid"].map(home).fillna(""))
    known = found != ""
    table.loc[known, "group"] = found[known]
    table.loc[known, "group_known"] = True
    return f"{int(known.sum())} of {len(table)} images have their patient from {path.name}."


def _fold(table: "pd.DataFrame", n_folds: int, seed: int, anew: bool) -> list[str]:
    """Make folds where they are needed, or wanted anew; returns remarks.

    They are needed where a training image has none, and where those that the layout brought put
    one patient in two.
    """
    import pandas as pd

    training = table["split"] == "train"
    brought = table.loc[training, "fold"]
    crossing = int((brought.groupby(table.loc[training, "group"]).nunique() > 1).sum())
    if not training.any() or not (anew or crossing or brought.isna().any()):
        return []
    notes = []
    if brought.notna().any():
        reason = f"{crossing} patients stood in several of them" if crossing else "by patient"
        notes.append(f"The folds that the folder brought were made anew: {reason}.")
    try:
        table["fold"] = make_folds(table, n_folds, seed)
    except DataError as error:
        table["fold"] = pd.array([pd.NA] * len(table), dtype="Int8")
        notes.append(f"No folds were made: {error.message}")
    return notes


def _divide(table: "pd.DataFrame", test_share: float, seed: int) -> None:
    """Divide the labelled images anew; unlabelled images of test patients are left out."""
    part = make_split(table, {"train": 1.0 - test_share, "test": test_share}, seed)
    usable, labelled = table["split"] != "", table["label"].notna()
    table.loc[usable & labelled, "split"] = part[usable & labelled]
    table.loc[usable & ~labelled & (part == "test"), "split"] = ""
