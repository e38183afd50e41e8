"""An evaluation that was written, read back: the report and the table of cases."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from pleura.errors import DataError
from pleura.evaluation.provenance import cases_fingerprint
from pleura.evaluation.report import Report
from pleura.evaluation.write import REPORT_NAME, TABLE_NAME

_TEXTS = ("image_id", "group", "status", "error_code", "error_message")
_HINT = "Give the folder that `pleura evaluate -o` wrote, with report.json and predictions.csv."


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What `pleura evaluate` wrote: the report, and the table of `predict_cases`."""

    report: Report
    cases: pd.DataFrame


def read_evaluation(path: Path) -> Evaluation:
    """Read an evaluation.

    Args:
        path: folder that `pleura.evaluation.write.write_report` wrote, or a file in it.

    Raises:
        DataError: a file is missing or not valid, or the two do not belong together.
    """
    folder = path.parent if path.is_file() else path
    try:
        report = Report.model_validate_json((folder / REPORT_NAME).read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(f"{folder} holds no valid {REPORT_NAME}.", _HINT) from error
    cases = _read_table(folder / TABLE_NAME)
    if cases_fingerprint(cases) != report.provenance.cases_fingerprint:
        raise DataError(
            f"{REPORT_NAME} and {TABLE_NAME} in {folder} are not of the same images.",
            "Write the evaluation again into a folder of its own.",
        )
    return Evaluation(report, cases)


def _read_table(path: Path) -> pd.DataFrame:
    """The table, texts as they were written: an identifier may look like a number, or like NA."""
    try:
        cases = pd.read_csv(
            path,
            dtype=dict.fromkeys(_TEXTS, str),
            keep_default_na=False,
            na_values=[""],
        )
        texts = [name for name in _TEXTS if name in cases]
        cases[texts] = cases[texts].fillna("")
        cases["label"] = cases["label"].astype("int64")
        if cases["image_id"].duplicated().any():
            raise DataError(f"{path} holds an image more than once.", _HINT)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} is not a table of cases.", _HINT) from error
    return cases
