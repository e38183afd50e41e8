"""`pleura train`: a configuration in, a run folder out."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from pleura.cli.console import complain, say
from pleura.errors import ConfigError, MissingDependencyError, PleuraError


def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG.yaml", help="Configuration; see docs/training.md.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Changes to it, such as schedule.epochs=20.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Train a model on an indexed data set, or go on where a killed run stopped.

    Exit status: 0 the run ended; 1 data, weights or machine cannot be used; 2 wrong configuration.
    """
    try:
        from pleura.training.config import load_config
        from pleura.training.processes import is_first
        from pleura.training.run import train as run

        _log_to_stderr(logging.INFO if is_first() else logging.WARNING)

        folder = run(load_config(config, tuple(overrides or ())), progress=sys.stderr.isatty())
    except MissingDependencyError:
        raise
    except PleuraError as error:
        complain(error)
        raise typer.Exit(2 if isinstance(error, ConfigError) else 1) from error
    if is_first():
        say(str(folder))


def _log_to_stderr(level: int) -> None:
    from rich.console import Console
    from rich.logging import RichHandler

    handler = RichHandler(console=Console(stderr=True), show_path=False, markup=False)
    handler.setFormatter(logging.Formatter("%(message)s", datefmt="[%X]"))
    logger = logging.getLogger("pleura")
    logger.setLevel(level)
    logger.handlers = [handler]
