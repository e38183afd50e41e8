"""`pleura average`: two networks of one descent made one."""

from pathlib import Path
from typing import Annotated

import typer

from pleura.cli.console import say


def average(
    run: Annotated[Path, typer.Argument(help="Folder that `pleura train` wrote.")],
    other: Annotated[Path, typer.Argument(help="Another one, or a model folder.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Run folder to write.")],
    share: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="Share of the other in the mean.")
    ] = 0.5,
    size: Annotated[
        int | None, typer.Option(min=32, help="Image size; the run's without it.")
    ] = None,
) -> None:
    """Write a run folder whose network is the mean of two; export it like any other."""
    from pleura.training.average import average as average_networks

    average_networks(run, other, output, share, size)
    say(f"The mean of {run.name} and {other.name} is written to {output}.")
