"""Measuring the model on labelled films, or a table of what it said. Needs `pleura[train]`."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pleura.app.cases import Case
from pleura.errors import DataError, MissingDependencyError
from pleura.inference import OperatingPoint, Predictor

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from pleura.data.index import Index
    from pleura.evaluation.report import Figures, Report

PROBABILITY = ("probability", "prob", "score")
LABEL = ("label", "target", "truth", "pneumothorax")
NAME = ("name", "file", "filename", "path", "image", "image_id", "imageid")
POSITIVE_FOLDERS = ("pneumothorax", "positive", "positives", "ptx", "1")
NEGATIVE_FOLDERS = ("normal", "negative", "negatives", "none", "0")
RESAMPLES = 500
"""Of every bootstrap: a reader waits for it. `pleura evaluate` takes 2000."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What was measured.

    Attributes:
        cases: one row a film; see `pleura.evaluation.predict_cases`.
        figures: everything that follows from them.
        report: figures and where they come from; None for a table that was sent.
        plots: PNG bytes by name.
    """

    cases: "pd.DataFrame"
    figures: "Figures"
    report: "Report | None"
    plots: Mapping[str, bytes]


def check_extra() -> None:
    """Whether the packages for measuring are installed.

    Raises:
        MissingDependencyError: names the first that is not.
    """
    try:
        import pleura.data.index
        import pleura.evaluation  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"Measuring needs the package '{error.name}', which is not installed.",
            "Run: pip install 'pleura[train]'",
        ) from error


def measured(
    cases: "pd.DataFrame", points: Sequence[OperatingPoint], selected: str, prevalence: float | None
) -> Measured:
    """Every figure of a table of cases.

    Args:
        cases: with the columns of `pleura.evaluation.cohort.REQUIRED_COLUMNS`.
        points: to measure.
        selected: name of the one that subgroups and errors go by.
        prevalence: that the probabilities are meant for, if known.

    Raises:
        DataError: nothing was predicted, or a label is neither 0 nor 1.
    """
    from pleura.evaluation import summarise
    from pleura.evaluation.cohort import Cohort
    from pleura.evaluation.plots import draw_all

    figures = summarise(cases, points, selected, calibrated_for=prevalence, n_resamples=RESAMPLES)
    return Measured(cases, figures, None, draw_all(Cohort.of(cases), figures))


def measure_index(
    predictor: Predictor, index: "Index", progress: "Callable[[int, int], None]"
) -> Measured:
    """Judge every labelled film of an index, and measure.

    Raises:
        DataError: no film has a label, or none could be judged.
    """
    from pleura.evaluation import evaluate_model
    from pleura.evaluation.cohort import Cohort
    from pleura.evaluation.plots import draw_all

    split = _split_of(index)
    report, cases = evaluate_model(
        predictor,
        index,
        split,
        n_resamples=RESAMPLES,
        arguments=["app"],
        progress=progress,
    )
    plots = draw_all(Cohort.of(cases), report.figures)
    return Measured(cases, report.figures, report, plots)


def index_of_folder(folder: Path) -> "Index":
    """A labelled folder as an index.

    It has one of the layouts of `pleura data index`, or two folders, of films with and without a
    pneumothorax, under names of `POSITIVE_FOLDERS` and `NEGATIVE_FOLDERS`.

    Raises:
        DataError: it is none of these.
    """
    from pleura.data.index import build_index

    try:
        return build_index(folder)
    except DataError as error:
        labelled = _class_folders(folder)
        if not labelled:
            raise DataError(
                error.message,
                f"Or give a folder with one folder '{POSITIVE_FOLDERS[0]}' and one "
                f"'{NEGATIVE_FOLDERS[0]}'.",
            ) from error
    return _index(folder, labelled, "class-folders")


def index_of_table(content: bytes, root: Path) -> "Index":
    """A table of files below the root and their labels as an index.

    Raises:
        DataError: it lacks a column, a label is neither 0 nor 1, or a path leads out of the root.
    """
    table = read_table(content)
    labelled: dict[str, int] = {}
    real_root = root.resolve()
    for path, label in zip(_column(table, NAME), _labels(table), strict=True):
        real = (real_root / str(path)).resolve()
        if not real.is_relative_to(real_root):
            raise DataError("A path of the table leads out of the folder that may be opened.")
        labelled[real.relative_to(real_root).as_posix()] = label
    return _index(root, labelled, "table")


def cases_of_table(content: bytes) -> "pd.DataFrame":
    """A table with labels and probabilities, as the table of cases that figures come from.

    Raises:
        DataError: it lacks a column, or a label is neither 0 nor 1.
    """
    import pandas as pd

    table = read_table(content)
    cases = table.copy()
    cases["label"] = _labels(table)
    cases["probability"] = pd.to_numeric(_column(table, PROBABILITY), errors="coerce")
    within = cases["probability"].dropna().between(0, 1).all()
    if not within:
        raise DataError("A probability of the table lies outside 0 to 1.")
    names = _find(table, NAME)
    cases["image_id"] = [str(n) for n in range(len(table))] if names is None else table[names]
    if "status" not in cases:
        cases["status"] = cases["probability"].notna().map({True: "ok", False: "failed"})
    for name, value in (("group", cases["image_id"]), ("dice", None), ("iou", None)):
        if name not in cases:
            cases[name] = value
    return cases.astype({"dice": "float64", "iou": "float64", "group": "str"})


def cases_of_session(content: bytes, films: Sequence[Case], point: str) -> "pd.DataFrame":
    """Labels for the films of a session, by the names of their files.

    Args:
        content: of a table with names and labels.
        films: that were judged.
        point: any operating point; probabilities are the same at all.

    Raises:
        DataError: no film of the session stands in the table.
    """
    import pandas as pd

    table = read_table(content)
    names = [_plain_name(str(name)) for name in _column(table, NAME)]
    labels = dict(zip(names, _labels(table), strict=True))
    rows = [
        {
            "image_id": case.title,
            "group": case.title,
            "status": "ok",
            "label": labels[name],
            "probability": case.results[point].probability,
            "dice": float("nan"),
            "iou": float("nan"),
            "view": "" if case.raw is None else case.raw.radiograph.view,
        }
        for case in films
        if (name := _plain_name(case.source.readable.name)) in labels
    ]
    if not rows:
        raise DataError(
            "No film of this session stands in the table.",
            "Its names must be those of the files that were sent.",
        )
    return pd.DataFrame(rows)


def read_table(content: bytes) -> "pd.DataFrame":
    """A CSV file; names of columns in lower case.

    Raises:
        DataError: it is none.
    """
    import pandas as pd

    try:
        table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False, na_values=[""])
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError("The file is no table of comma-separated values.") from error
    table.columns = pd.Index([str(name).strip().lower() for name in table.columns])
    if table.empty:
        raise DataError("The table has no rows.")
    return table


def has_probabilities(content: bytes) -> bool:
    """Whether a table holds what a model said already."""
    return _find(read_table(content), PROBABILITY) is not None


def _find(table: "pd.DataFrame", names: Sequence[str]) -> str | None:
    return next((name for name in names if name in table.columns), None)


def _column(table: "pd.DataFrame", names: Sequence[str]) -> "pd.Series[str]":
    found = _find(table, names)
    if found is None:
        raise DataError(f"The table has no column '{names[0]}'.", f"Or one of: {', '.join(names)}.")
    return table[found]


def _labels(table: "pd.DataFrame") -> list[int]:
    given = _column(table, LABEL)
    labels = given.map({"0": 0, "1": 1, "0.0": 0, "1.0": 1})
    if labels.isna().any():
        raise DataError("Every label of the table must be 0 or 1.")
    return [int(label) for label in labels]


def _plain_name(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2].rpartition("#")[2].lower()


def _class_folders(folder: Path) -> dict[str, int]:
    labelled: dict[str, int] = {}
    for below in sorted(folder.iterdir()):
        name = below.name.lower()
        if not below.is_dir() or name not in POSITIVE_FOLDERS + NEGATIVE_FOLDERS:
            continue
        label = int(name in POSITIVE_FOLDERS)
        files = (path for path in sorted(below.rglob("*")) if path.is_file())
        labelled |= {path.relative_to(folder).as_posix(): label for path in files}
    return labelled if len(set(labelled.values())) == 2 else {}


def _index(root: Path, labelled: Mapping[str, int], layout: str) -> "Index":
    from pleura.data.index import Index
    from pleura.data.layouts.record import ImageRecord, to_table

    records = []
    for path, label in labelled.items():
        record = ImageRecord(path, path=path, label=label, label_source=layout)
        if label == 0:
            record.set_negative()
        record.choose_split(is_test=True)
        records.append(record)
    return Index(to_table(records), root, layout)


def _split_of(index: "Index") -> str:
    """The test split where there is one, else the training split."""
    splits = set(index.table.loc[index.table["label"].notna(), "split"])
    return "test" if "test" in splits else "train"
