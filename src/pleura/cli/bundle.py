"""`pleura bundle`: a model folder as a MONAI bundle."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from pleura.cli.console import DISCLAIMER, say
from pleura.cli.options import Root
from pleura.errors import ModelError


def bundle(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the bundle.")],
    model: Annotated[
        str | None, typer.Argument(help="Name or folder of a model; default the embedded one.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Index whose training images give the statistics that further training starts"
            " from, and the comparison; synthetic radiographs without it."
        ),
    ] = None,
    root: Root = None,
) -> None:
    """Write a bundle that `python -m monai.bundle run` executes with the model's own results."""
    from pleura.export.bundle import is_run_folder, write_bundle
    from pleura.inference import find_model

    if model is not None and is_run_folder(Path(model)):
        raise ModelError(
            f"{model} is a run folder.", f"Export it first: pleura export {model} -o MODEL"
        )
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading radiographs", total=None)
        parity = write_bundle(
            find_model(model),
            output,
            data,
            root,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    say(f"The bundle is written to {output}.")
    say(
        f"On {parity.radiographs} radiographs ({parity.cohort}) its logit differs from the model's"
        f" by {parity.max_logit_difference:.1e} at most, its probability by"
        f" {parity.max_probability_difference:.1e}; mean Dice of the masks"
        f" {parity.mean_mask_dice:.5f}."
    )
    say(DISCLAIMER)
