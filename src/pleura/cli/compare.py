"""`pleura compare`: two evaluations on the same images, with paired tests."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pleura.cli.console import DISCLAIMER, prepare_stdout, say
from pleura.cli.options import DrawSeed, Resamples

if TYPE_CHECKING:
    from rich.table import Table

    from pleura.evaluation.comparison_report import Comparison
    from pleura.inference.manifest import Estimate

_TITLES = {
    "auc": "AUC",
    "dice_positives": "Dice, positives",
    "end_to_end_dice_positives": "Dice, end to end",
    "brier": "Brier (less is better)",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}
_DASH = "–"


def compare(
    first: Annotated[Path, typer.Argument(help="Folder that `pleura evaluate` wrote.")],
    second: Annotated[Path, typer.Argument(help="Another one, of the same images.")],
    operating_point: Annotated[
        str | None,
        typer.Option(help="Point at which both decide; else the one of the first evaluation."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The comparison as JSON.")] = False,
    resamples: Resamples = 2000,
    seed: DrawSeed = 0,
) -> None:
    """Say by how much two models differ on the same images, and what chance explains.

    Exit status 0: compared, whatever the result; 2: there is nothing that can be compared.
    """
    from pleura.evaluation.comparison import compare as compare_evaluations
    from pleura.evaluation.read import read_evaluation

    comparison = compare_evaluations(
        read_evaluation(first),
        read_evaluation(second),
        operating_point,
        n_resamples=resamples,
        seed=seed,
    )
    if json:
        prepare_stdout(utf_8=True)
        say(comparison.model_dump_json(indent=2, by_alias=True))
        return
    _show(comparison)


def _show(comparison: "Comparison") -> None:
    from rich.console import Console

    for line in _heading(comparison):
        say(line)
    console = Console()
    console.print(_figures(comparison))
    console.print(_tests(comparison))
    for note in comparison.notes:
        say(f"note: {note}")
    say(DISCLAIMER)


def _heading(comparison: "Comparison") -> list[str]:
    counts = comparison.counts
    lines = [
        f"{place}: {model.name} {model.version}, split '{model.split}',"
        f" '{comparison.operating_point}' from {model.threshold:.4f} on"
        for place, model in (("first ", comparison.first), ("second", comparison.second))
    ]
    lines.append(
        f"{counts.images} images of {counts.patients} patients in both:"
        f" {counts.positives} positive, {counts.negatives} negative"
    )
    lines.append(
        f"left out: {counts.only_in_first} only in the first, {counts.only_in_second} only in the"
        f" second, {counts.not_predicted} without a prediction of both"
    )
    return lines


def _figures(comparison: "Comparison") -> "Table":
    from rich.table import Table

    table = Table(title="Second minus first, 95 % by patients", title_justify="left")
    table.add_column("figure")
    for name in ("first", "second", "difference", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    for figure in comparison.figures:
        difference = figure.difference
        table.add_row(
            _TITLES[figure.name],
            _value(figure.first),
            _value(figure.second),
            _signed(difference),
            _DASH if difference is None else str(difference.n),
        )
    return table


def _tests(comparison: "Comparison") -> "Table":
    from rich.table import Table

    table = Table(title="Paired tests, images as independent", title_justify="left")
    table.add_column("test")
    for name in ("result", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    delong = comparison.auc_delong
    table.add_row("AUC, DeLong", _signed(delong.difference), _chance(delong.p_value))
    for test in comparison.decisions:
        result = f"{test.only_first_right} : {test.only_second_right}"
        table.add_row(f"right in one alone, {test.among}, McNemar", result, _chance(test.p_value))
    return table


def _value(estimate: "Estimate | None") -> str:
    return _DASH if estimate is None else f"{estimate.value:.3f}"


def _signed(estimate: "Estimate | None") -> str:
    if estimate is None:
        return _DASH
    return f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"


def _chance(p_value: float | None) -> str:
    if p_value is None:
        return _DASH
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"
