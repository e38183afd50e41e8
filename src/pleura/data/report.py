"""One HTML page on an index: counts, labels, masks, what is wrong, and a look at the images."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pleura.data import report_figures as figures
from pleura.data.columns import NO_MASK
from pleura.data.counts import count, count_problems, splits_of_patients
from pleura.data.index import Index
from pleura.data.sources import open_image
from pleura.data.tabulation import LabelCount, label_counts, mask_statistics
from pleura.errors import MissingDependencyError, PleuraError
from pleura.masks import RunLengthConvention, decode

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

_TEMPLATE = "data_report.html.j2"
_MOST_ROWS_NAMED = 30
_GROUPINGS = (
    ("split", "Label by split"),
    ("age_band", "Label by age (years)"),
    ("sex", "Label by sex"),
    ("view", "Label by view"),
    ("chest_tube", "Label by chest tube"),
    ("label_source", "Label by its source"),
    ("pixels_from", "Label by where the pixels come from"),
    ("mask_source", "Label by source of the mask"),
)


@dataclass(frozen=True, slots=True)
class Grouping:
    """Labels by the values of one column; `largest` is the size of its longest bar."""

    title: str
    counts: list[LabelCount]
    largest: int


@dataclass(frozen=True, slots=True)
class MaskFigures:
    """Area quantiles in per cent of the image, and the pictures of all masks together."""

    n: int
    percentiles: list[tuple[str, float]]
    pictures: list[str]


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One image of the montage, with a caption free of identifiers."""

    picture: str
    caption: str


@dataclass(frozen=True, slots=True)
class Montage:
    """A row of images of one kind; `unreachable` of those chosen could not be read."""

    title: str
    images: list[Thumbnail]
    unreachable: int


def write_report(index: Index, path: Path, n_images: int = 12) -> Path:
    """Write the page; it opens without a network and without any other file.

    The montage shows radiographs: keep the page where the images may be kept.

    Args:
        index: what to report on; images that cannot be reached are counted, not needed.
        path: HTML file to write.
        n_images: positives, and as many negatives, in the montage.

    Raises:
        MissingDependencyError: jinja2 or matplotlib is not installed.
        RunLengthError: a mask of the index does not fit its grid.
    """
    try:
        import matplotlib  # noqa: F401
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise MissingDependencyError(
            "The report needs jinja2 and matplotlib.", "Install pleura[train]."
        ) from error
    environment = Environment(
        loader=PackageLoader("pleura.data"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["percent"] = lambda share: "" if share is None else f"{100 * share:.1f} %"
    page = environment.get_template(_TEMPLATE).render(
        index=index,
        counts=count(index),
        problems=count_problems(index),
        problem_rows=_problem_rows(index.table),
        crossing=splits_of_patients(index),
        groupings=_groupings(index.table),
        masks=_masks(index.table),
        montages=[
            _montage(index, 1, "Positive, with the mask's contour", n_images),
            _montage(index, 0, "Negative", n_images),
        ],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def _groupings(table: "pd.DataFrame") -> list[Grouping]:
    result = []
    for column, title in _GROUPINGS:
        counts = label_counts(table, column)
        largest = max((entry.total for entry in counts), default=0)
        result.append(Grouping(title, counts, max(largest, 1)))
    return result


def _masks(table: "pd.DataFrame") -> MaskFigures | None:
    masks = mask_statistics(table)
    if not masks.area_fraction.size:
        return None
    levels = (0, 5, 25, 50, 75, 95, 100)
    percentiles = np.percentile(masks.area_fraction * 100.0, levels)
    return MaskFigures(
        n=int(masks.area_fraction.size),
        percentiles=[(f"{q} %", float(v)) for q, v in zip(levels, percentiles, strict=True)],
        pictures=[
            figures.area_histogram(masks),
            figures.region_bars(masks),
            figures.heat_map(masks),
        ],
    )


def _problem_rows(table: "pd.DataFrame") -> dict[str, str]:
    """Rows of the index (from 0) that have each problem, as text; never their identifiers."""
    rows: dict[str, list[int]] = {}
    for row, codes in enumerate(table["problems"]):
        for code in filter(None, codes.split(";")):
            rows.setdefault(code, []).append(row)
    return {
        code: ", ".join(map(str, found[:_MOST_ROWS_NAMED]))
        + (", ..." if len(found) > _MOST_ROWS_NAMED else "")
        for code, found in rows.items()
    }


def _montage(index: Index, label: int, title: str, n_images: int) -> Montage:
    """Images of one label: the same ones every time, spread over the index by a hash."""
    table = index.table
    chosen = table[(table["label"] == label) & (table["path"] != "")]
    order = chosen["image_id"].map(lambda name: hashlib.sha256(name.encode()).hexdigest())
    chosen = chosen.loc[order.sort_values(kind="stable").index[:n_images]]
    images: list[Thumbnail] = []
    for row, image in chosen.iterrows():
        try:
            images.append(_thumbnail(index.root, image, f"row {row}"))
        except PleuraError as error:
            logger.warning("row %s of the index has no thumbnail: %s", row, error.code)
    return Montage(title, images, len(chosen) - len(images))


def _thumbnail(root: Path, image: "pd.Series[str]", name: str) -> Thumbnail:
    from pleura.io import read_radiograph

    radiograph = read_radiograph(open_image(root, image["path"]), name=image["path"])
    mask = None
    if image["rle"] not in ("", NO_MASK):
        grid = (int(image["mask_rows"]), int(image["mask_columns"]))
        mask = decode(image["rle"], grid, RunLengthConvention.SIIM_RELATIVE)
    words = [name, image["view"], image["split"]]
    return Thumbnail(
        figures.data_uri(figures.thumbnail(radiograph.pixels, mask)), ", ".join(filter(None, words))
    )
