"""Options that several commands take, with one wording."""

from pathlib import Path
from typing import Annotated

import typer

Root = Annotated[Path | None, typer.Option(help="Folder of the images, when it has moved.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of a network run.")]
Resamples = Annotated[int, typer.Option(min=100, help="Draws of every bootstrap.")]
DrawSeed = Annotated[int, typer.Option(help="Seed of the draws.")]
