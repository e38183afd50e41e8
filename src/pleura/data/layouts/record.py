"""What a layout's reader says of one image, before it becomes a row of the index."""

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from pleura.data.columns import NO_MASK, Problem, conform

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

SIIM_GRID = (1024, 1024)
"""Rows and columns of the grid that the published run lengths refer to."""
OLDEST_YEARS = 120.0
UNUSABLE = frozenset({Problem.MISSING_FILE, Problem.UNREADABLE_FILE})
"""Problems that leave no pixels to use."""


@dataclass(slots=True)
class ImageRecord:
    """One image; the fields are the columns of `pleura.data.columns`, None for unknown."""

    image_id: str
    sop_instance_uid: str = ""
    path: str = ""
    rows: int | None = None
    columns: int | None = None
    label: int | None = None
    label_source: str = ""
    rle: str = ""
    mask_rows: int | None = None
    mask_columns: int | None = None
    mask_source: str = ""
    mask_weight: float | None = None
    area_fraction: float | None = None
    view: str = ""
    age_years: float | None = None
    sex: str = ""
    group: str = ""
    group_known: bool = False
    fold: int | None = None
    split: str = ""
    chest_tube: int | None = None
    pixels_from: str = ""
    problems: list[Problem] = field(default_factory=list)

    def add(self, problem: Problem) -> None:
        """Note a problem, once."""
        if problem not in self.problems:
            self.problems.append(problem)

    def set_negative(self, grid: tuple[int, int] = SIIM_GRID) -> None:
        """Say that the image is known to have no mask."""
        self.rle, self.area_fraction = NO_MASK, 0.0
        self.mask_rows, self.mask_columns = grid

    def forget_mask(self) -> None:
        """Leave the mask unknown."""
        self.rle, self.mask_source = "", ""
        self.mask_rows = self.mask_columns = None
        self.mask_weight = self.area_fraction = None

    def contradict(self, problem: Problem) -> None:
        """Note a contradiction: label and mask are unknown, the image is kept out of training."""
        self.add(problem)
        self.label = None
        self.forget_mask()

    def set_age(self, years: float | None) -> None:
        """Set the age in years, or note that it is beyond belief."""
        if years is None or math.isnan(years):
            return
        if 0 <= years <= OLDEST_YEARS:
            self.age_years = years
        else:
            self.add(Problem.IMPLAUSIBLE_AGE)

    def choose_split(self, is_test: bool) -> None:
        """Labelled images go to `train` or `test`, others to `unlabelled`, unusable ones to ''."""
        if UNUSABLE & set(self.problems):
            self.split = ""
        elif self.label is None:
            self.split = "unlabelled"
        else:
            self.split = "test" if is_test else "train"
        if self.split != "train":
            self.fold = None

    def finish(self) -> None:
        """Give the image its own group when the patient is unknown."""
        if not self.group:
            self.group, self.group_known = self.image_id, False


@dataclass(slots=True)
class LayoutReading:
    """All images of a folder, and what was seen on the way.

    Attributes:
        layout: name of the layout.
        records: one an image.
        table_rows: rows of the label table that was read, 0 without one.
        images_in_table: distinct images of that table.
        images_with_several_rows: images with more than one row in it.
        details: sentences about single rows, by row number, without identifiers.
        notes: sentences about the whole folder.
    """

    layout: str
    records: list[ImageRecord]
    table_rows: int = 0
    images_in_table: int = 0
    images_with_several_rows: int = 0
    details: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def mark_doubles(records: "list[ImageRecord]") -> None:
    """Keep one of several images with one name or one SOP Instance UID.

    A usable one is kept, of those one with a label, of those the first. All of them are marked;
    the later ones of one name get a name of their own (`name#2`), and all but the kept one the
    split ''. Where one is said to be positive and another negative, the label is unknown.
    """
    said = {id(record): record.label for record in records}  # before any is contradicted
    names: dict[str, list[ImageRecord]] = {}
    uids: dict[str, list[ImageRecord]] = {}
    for record in records:
        names.setdefault(record.image_id, []).append(record)
        if record.sop_instance_uid:
            uids.setdefault(record.sop_instance_uid, []).append(record)
    for same_name in names.values():
        for number, record in enumerate(same_name[1:], start=2):
            record.image_id = f"{record.image_id}#{number}"
    for same in [*names.values(), *uids.values()]:
        if len(same) > 1:
            _keep_one(same, {0, 1} <= {said[id(record)] for record in same})


def _keep_one(same: list[ImageRecord], contradictory: bool) -> None:
    kept = min(same, key=lambda record: (not record.split, record.label is None))
    for record in same:
        record.add(Problem.DOUBLE_UID)
        if contradictory:
            record.contradict(Problem.CONFLICTING_LABEL)
            if record.split:
                record.choose_split(is_test=False)
        if record is not kept:
            record.split, record.fold = "", None


def to_table(records: "Iterable[ImageRecord]") -> "pd.DataFrame":
    """The records as a table that follows the contract of `pleura.data.columns`."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for record in records:
        record.finish()
        row = {entry.name: getattr(record, entry.name) for entry in fields(record)}
        row["problems"] = ";".join(record.problems)
        rows.append(row)
    return conform(pd.DataFrame(rows, columns=[entry.name for entry in fields(ImageRecord)]))
