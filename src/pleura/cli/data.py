"""`pleura data`: index a folder of images, and look at the index."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from pleura.cli.console import DISCLAIMER, say
from pleura.cli.options import Root

if TYPE_CHECKING:
    from pleura.data.index import Index

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, epilog=DISCLAIMER
)
_MOST_DETAILS = 10


@app.callback()
def _data() -> None:
    """Index a folder of images and tables, and report on the index."""


@app.command("index", epilog=DISCLAIMER)
def index_command(
    root: Annotated[Path, typer.Argument(help="Folder of images and tables.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Parquet file to write.")] = Path(
        "index.parquet"
    ),
    folds: Annotated[int, typer.Option(min=2, help="Folds to make when the folder has none.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of folds and split.")] = 0,
    test_share: Annotated[
        float,
        typer.Option(min=0.0, max=0.9, help="Share to divide off as test by patient; 0 keeps."),
    ] = 0.0,
    groups: Annotated[
        Path | None, typer.Option(help="CSV of image_id and group: which images are one patient.")
    ] = None,
    salt: Annotated[str, typer.Option(help="Mixed into the hash of patient identifiers.")] = "",
) -> None:
    """Read a folder in any of the known SIIM-ACR layouts and write one table."""
    from pleura.data.index import build_index, write_index

    index = build_index(
        root, n_folds=folds, seed=seed, test_share=test_share, groups=groups, salt=salt
    )
    write_index(index, output)
    console = Console()
    _show(index, console)
    say(f"Wrote {output} ({len(index.table)} images).")


@app.command("report", epilog=DISCLAIMER)
def report_command(
    index: Annotated[Path, typer.Argument(help="Index that `pleura data index` wrote.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML file to write.")] = Path(
        "report.html"
    ),
    root: Root = None,
) -> None:
    """Write an HTML page on an index that opens without a network."""
    from pleura.data.index import read_index
    from pleura.data.report import write_report

    write_report(read_index(index, root), output)
    say(f"Wrote {output}.")


def _show(index: "Index", console: Console) -> None:
    """Print layout, counts, problems and remarks."""
    from pleura.data.counts import count, count_problems, splits_of_patients

    console.print(f"Layout: {index.layout}", markup=False)
    counts = Table("Count", title="Images and labels", title_justify="left")
    counts.add_column("here", justify="right")
    counts.add_column("full published table", justify="right")
    for entry in count(index):
        published = "" if entry.published is None else f"{entry.published:,}"
        counts.add_row(entry.name, f"{entry.value:,}", published)
    console.print(counts)
    problems = Table("Problem", "Meaning", title="What is wrong", title_justify="left")
    problems.add_column("images", justify="right")
    for problem in count_problems(index):
        style = "yellow" if problem.value else "dim"
        problems.add_row(problem.code.value, problem.text, str(problem.value), style=style)
    console.print(problems)
    crossing = splits_of_patients(index)
    console.print(f"Patients in both train and test: {crossing}", style="red" if crossing else "")
    for note in index.summary["notes"]:
        console.print(note, style="yellow", markup=False)
    details = index.summary["details"]
    for detail in details[:_MOST_DETAILS]:
        console.print(detail, markup=False)
    if len(details) > _MOST_DETAILS:
        console.print(f"... and {len(details) - _MOST_DETAILS} more; the report lists them all.")
