"""The whole evaluation: model and index in, report and table out."""

from collections.abc import Sequence

import pandas as pd

from pleura.data.index import Index
from pleura.evaluation.cases import Progress, predict_cases, select_rows
from pleura.evaluation.provenance import provenance
from pleura.evaluation.report import Report
from pleura.evaluation.summarise import summarise
from pleura.inference import Predictor


def evaluate_model(
    predictor: Predictor,
    index: Index,
    split: str,
    *,
    limit: int | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
    arguments: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> tuple[Report, pd.DataFrame]:
    """Judge a split and measure the judgements at every operating point of the model.

    Args:
        predictor: the model; its own operating point is the one that subgroups go by.
        index: the data set.
        split: value of the index's column `split`.
        limit: at most so many rows, drawn at random; None for all.
        n_resamples: of every bootstrap.
        seed: of the draw and of every bootstrap.
        arguments: of the command, for the report; None for those of the process.
        progress: called with (done, total) after each image.

    Returns:
        the report, and the table of cases that it comes from.

    Raises:
        DataError: the split is empty or without labels, or nothing could be predicted.
    """
    selection = select_rows(index, split, limit, seed)
    cases = predict_cases(predictor, index, selection.table, progress)
    manifest = predictor.manifest
    figures = summarise(
        cases,
        manifest.operating_points,
        predictor.operating_point.name,
        calibrated_for=manifest.calibration.prevalence,
        rows=selection.rows,
        n_resamples=n_resamples,
        seed=seed,
    )
    source = provenance(predictor, index, split, cases, arguments)
    return Report(schema="pleura.evaluation/1", provenance=source, figures=figures), cases
