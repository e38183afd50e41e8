"""`pleura evaluate`: measure a model on a split of an index."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pleura.cli.console import say
from pleura.cli.options import DrawSeed, EngineName, Resamples, Root, Threads, engine_named

if TYPE_CHECKING:
    from pleura.evaluation import Report


def evaluate(
    data: Annotated[Path, typer.Option(help="Index that `pleura data index` wrote.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the report.")] = Path(
        "evaluation"
    ),
    model: Annotated[
        str | None, typer.Option(help="Installed model or model folder; else the embedded one.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split of the index to measure on.")] = "test",
    operating_point: Annotated[
        str | None, typer.Option(help="Point that subgroups and lists of errors go by.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many images, drawn at random.")
    ] = None,
    root: Root = None,
    threads: Threads = None,
    engine: EngineName = None,
    resamples: Resamples = 2000,
    seed: DrawSeed = 0,
    thumbnails: Annotated[
        bool, typer.Option(help="Show the images of the worst errors on the page.")
    ] = True,
) -> None:
    """Judge a split, and write figures with intervals, plots and a page that opens offline.

    Exit status 0: measured, refused images listed in the report; 2: it could not be measured.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from pleura.data.index import read_index
    from pleura.evaluation import draw_thumbnails, evaluate_model, write_report
    from pleura.inference import Predictor

    index = read_index(data, root)
    predictor = Predictor.load(
        model, threads=threads, operating_point=operating_point, engine=engine_named(engine)
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Judging", total=None)
        report, cases = evaluate_model(
            predictor,
            index,
            split,
            limit=limit,
            n_resamples=resamples,
            seed=seed,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    worst = report.figures.worst_errors
    pictures = draw_thumbnails(predictor, index, worst) if thumbnails else None
    page = write_report(report, cases, output, pictures)
    for line in _lines(report):
        say(line)
    say(f"Wrote {page}")


def _lines(report: "Report") -> list[str]:
    from pleura.evaluation.write import estimate_text

    figures = report.figures
    counts = figures.counts
    lines = [
        f"{report.provenance.model_name} {report.provenance.model_version} on "
        f"'{report.provenance.split}': {counts.evaluated} images, {counts.positives} positive, "
        f"{counts.not_predicted} without a prediction",
        f"AUC, DeLong             {estimate_text(figures.discrimination.auc)}",
        f"AUC, by patients        {estimate_text(figures.discrimination.auc_clustered)}",
        f"average precision       {estimate_text(figures.discrimination.average_precision)}",
        f"Dice, positives         {estimate_text(figures.segmentation.dice_positives)}",
    ]
    for point in figures.operating_points:
        lines += [
            f"at '{point.claimed.name}'" + (" (selected)" if point.selected else ""),
            f"  sensitivity           {estimate_text(point.sensitivity)}",
            f"  specificity           {estimate_text(point.specificity)}",
            f"  Dice, positives       {estimate_text(point.dice_positives)}",
            f"  Dice, kaggle          {estimate_text(point.dice_kaggle)}",
            f"  normals with a mask   {estimate_text(point.normals_with_mask)}",
        ]
    if figures.selective is not None:
        spread = figures.selective.by_spread
        lines += [
            "error rate, most doubtful cases set aside (area under risk and coverage)",
            f"  by margin             {estimate_text(figures.selective.by_margin.area)}",
            f"  by spread             {estimate_text(spread.area if spread else None)}",
        ]
    if figures.chest_tube_question is not None:
        lines.append(f"chest tube: {figures.chest_tube_question.text}")
    return [*lines, report.disclaimer]
