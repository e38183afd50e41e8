"""Options that several commands take, with one wording."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pleura.inference import Engine

Root = Annotated[Path | None, typer.Option(help="Folder of the images, when it has moved.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of a network run.")]
EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="What runs the networks: onnxruntime (the default), openvino, openvino-bf16, cuda,"
        " tensorrt.",
    ),
]
GateName = Annotated[
    str,
    typer.Option(
        "--gate", help="A picture that is no frontal chest radiograph: refuse, warn, off."
    ),
]
Correct = Annotated[
    bool,
    typer.Option(
        "--correct", help="Turn and invert pictures that lie wrong, before they are judged."
    ),
]
Resamples = Annotated[int, typer.Option(min=100, help="Draws of every bootstrap.")]
DrawSeed = Annotated[int, typer.Option(help="Seed of the draws.")]


def engine_named(name: str | None, option: str = "--engine") -> "Engine | None":
    """The engine of this name; exits with status 2 for one that does not exist."""
    from pleura.inference import Engine

    known = [engine for engine in Engine if engine is not Engine.PYTORCH]
    if name is None or name.lower() in known:
        return None if name is None else Engine(name.lower())
    raise typer.BadParameter(f"{name!r} is none of {', '.join(known)}", param_hint=option)
