"""Tables and mask statistics of an index, as plain values: what the report shows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.columns import NO_MASK
from pleura.masks import RunLengthConvention, connected_regions, decode

if TYPE_CHECKING:
    import pandas as pd

AGE_EDGES = (0.0, 18.0, 40.0, 60.0, 80.0, 200.0)
AGE_NAMES = ("0 to 17", "18 to 39", "40 to 59", "60 to 79", "80 and over")
UNKNOWN = "unknown"
_TUBE_NAMES = {0: "no tube", 1: "tube"}


@dataclass(frozen=True, slots=True)
class LabelCount:
    """Images with one value of a column, by label."""

    value: str
    positive: int
    negative: int
    unknown: int

    @property
    def total(self) -> int:
        """All images with this value."""
        return self.positive + self.negative + self.unknown

    @property
    def positive_share(self) -> float | None:
        """Positives among the images with a known label, or None without any."""
        known = self.positive + self.negative
        return self.positive / known if known else None


@dataclass(frozen=True, slots=True, eq=False)
class MaskStatistics:
    """All masks of an index, together.

    Attributes:
        area_fraction: float64, (n,), mask pixels / grid pixels of each mask.
        n_regions: int64, (n,), 8-connected regions of each mask.
        heat_map: float64, (side, side), share of the masks that cover each place, in [0, 1]; rows
            from the top of the image, columns from its left.
    """

    area_fraction: NDArray[np.float64]
    n_regions: NDArray[np.int64]
    heat_map: NDArray[np.float64]


def _values(table: "pd.DataFrame", column: str) -> "pd.Series[str]":
    import pandas as pd

    if column == "age_band":
        bands = pd.cut(table["age_years"], AGE_EDGES, right=False, labels=AGE_NAMES)
        return bands.astype(object).where(bands.notna(), UNKNOWN).astype(str)
    if column == "chest_tube":
        return table["chest_tube"].map(_TUBE_NAMES).astype(object).fillna(UNKNOWN).astype(str)
    texts = table[column].astype(str)
    return texts.where(texts != "", UNKNOWN)


def label_counts(table: "pd.DataFrame", column: str) -> list[LabelCount]:
    """Labels by the values of a column, in the order of the values, 'unknown' last.

    Args:
        table: an index's table.
        column: a column of it with texts, `chest_tube`, or `age_band` (bands of `age_years`).
    """
    values, label = _values(table, column), table["label"]
    if column == "age_band":
        order = [name for name in AGE_NAMES if (values == name).any()]
    else:
        order = sorted(set(values) - {UNKNOWN})
    if (values == UNKNOWN).any():
        order.append(UNKNOWN)
    return [
        LabelCount(
            value=value,
            positive=int((label[values == value] == 1).sum()),
            negative=int((label[values == value] == 0).sum()),
            unknown=int(label[values == value].isna().sum()),
        )
        for value in order
    ]


def _cropped(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask's bounding box, which has the same regions and far fewer pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def mask_statistics(table: "pd.DataFrame", side: int = 128) -> MaskStatistics:
    """Areas, regions and places of all masks.

    Args:
        table: an index's table; rows without a mask are left out.
        side: rows and columns of the heat map.

    Raises:
        RunLengthError: an `rle` does not fit its grid.
    """
    masked = table[(table["rle"] != "") & (table["rle"] != NO_MASK)]
    heat = np.zeros((side, side), dtype=np.float64)
    areas, regions = [], []
    for rle, rows, columns in zip(
        masked["rle"], masked["mask_rows"], masked["mask_columns"], strict=True
    ):
        mask = decode(rle, (int(rows), int(columns)), RunLengthConvention.SIIM_RELATIVE)
        grey = mask.view(np.uint8) * np.uint8(255)
        areas.append(np.count_nonzero(mask) / mask.size)
        regions.append(len(connected_regions(_cropped(mask))))
        heat += cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA)
    return MaskStatistics(
        area_fraction=np.array(areas, dtype=np.float64),
        n_regions=np.array(regions, dtype=np.int64),
        heat_map=heat / (255.0 * max(len(areas), 1)),
    )
