"""`pleura export`: from a training run to a model folder that needs no PyTorch."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from pleura.cli.console import DISCLAIMER, say
from pleura.cli.options import Root

if TYPE_CHECKING:
    from pleura.inference import Manifest


def export(
    run: Annotated[Path, typer.Argument(help="Folder that `pleura train` wrote.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the model.")],
    name: Annotated[str, typer.Option(help="Name of the model; the folder's by default.")] = "",
    version: Annotated[str, typer.Option(help="Version of the model.")] = "1",
    checkpoint: Annotated[str, typer.Option(help="best or last.")] = "best",
    prevalence: Annotated[
        float, typer.Option(min=0.001, max=0.999, help="Share of positives to calibrate for.")
    ] = 0.22,
    flip_average: Annotated[
        bool, typer.Option(help="Judge the mirror image, too; twice the time.")
    ] = False,
    root: Root = None,
    mask_evidence: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=0.99, help="Share of the image's logit that comes from the mask."
        ),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(min=1, max=4, help="Prune a Nested U-Net to this node of its first row."),
    ] = None,
    licence: Annotated[str, typer.Option(help="Terms of the weights.")] = "",
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="Also write a copy in 8-bit integers for OpenVINO, to OUTPUT-int8."
        ),
    ] = False,
) -> None:
    """Write ONNX files, parity report, and a manifest calibrated on the run's held-out fold."""
    from pleura.export.release import ExportOptions, export_run

    logging.getLogger("pleura").setLevel(logging.INFO)
    options = ExportOptions(
        name=name,
        version=version,
        checkpoint=checkpoint,
        prevalence=prevalence,
        flip_average=flip_average,
        mask_evidence=mask_evidence,
        depth=depth,
        root=root,
        licence=licence,
    )
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("judging the held-out fold", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        _say(export_run(run, output, options, progress), output)
        if int8:
            from pleura.export.quantised import SUFFIX, Int8Options, quantise

            copy = output.with_name(output.name + SUFFIX)
            settings = Int8Options(prevalence=prevalence, root=root)
            _say(quantise(output, run, copy, settings, progress), copy)
    say(DISCLAIMER)


def _say(manifest: "Manifest", output: Path) -> None:
    say(f"{manifest.name} {manifest.version} written to {output}")
    for point in manifest.operating_points:
        say(
            f"{point.name:<10} threshold {point.threshold:.3f}"
            f"  sensitivity {point.sensitivity:.3f}  specificity {point.specificity:.3f}"
        )
    for figure, estimate in manifest.performance.items():
        say(
            f"{figure} {estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}],"
            f" n = {estimate.n}"
        )
    say(f"On {manifest.performance_cohort}.")
