"""`pleura models`: what is installed, and what a model says of itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pleura.cli.console import DISCLAIMER, complain, say
from pleura.errors import ModelError

if TYPE_CHECKING:
    from pleura.inference import Manifest
    from pleura.inference.manifest import OperatingPoint

CARD_NAMES = ("README.md", "model-card.md")

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, epilog=DISCLAIMER
)


@app.callback()
def _models() -> None:
    """What is installed, and what it claims."""


@app.command("list", epilog=DISCLAIMER)
def list_models() -> None:
    """List the installed models; a star marks the default."""
    from pleura.inference import installed_models

    models = installed_models()
    if not models:
        say("No model is installed. Name a model folder with --model.")
        return
    for model in models:
        try:
            manifest = model.manifest()
        except ModelError as error:
            complain(error)
            continue
        size_mb = sum(file.stat().st_size for file in model.folder.iterdir()) / 1e6
        star = "*" if model.is_default else " "
        said = f"{manifest.version:<10} {size_mb:5.1f} MB  {manifest.description}"
        say(f"{star} {model.name:<28} {said}")


@app.command("show", epilog=DISCLAIMER)
def show_model(
    name: Annotated[
        str | None, typer.Argument(help="Name or folder of a model; default the embedded one.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The manifest as JSON.")] = False,
) -> None:
    """Show a model's manifest and its card."""
    from pleura.inference import Manifest, find_model

    folder = find_model(name)
    manifest = Manifest.read(folder)
    if json:
        say(manifest.model_dump_json(indent=2, by_alias=True))
        return
    _show(manifest, folder)
    for card in CARD_NAMES:
        if (folder / card).is_file():
            say("\n" + (folder / card).read_text(encoding="utf-8").rstrip())
    say(f"\n{DISCLAIMER}")


@app.command("record", epilog=DISCLAIMER)
def record_figures(
    model: Annotated[Path, typer.Argument(help="Model folder; its manifest is changed.")],
    report: Annotated[Path, typer.Argument(help="report.json that `pleura evaluate` wrote on it.")],
) -> None:
    """Write the figures of an evaluation into the manifest of the model that was measured."""
    from pleura.export.performance import record_performance

    _show(record_performance(model, report), model)


@app.command("join", epilog=DISCLAIMER)
def join_models(
    classifier: Annotated[str, typer.Argument(help="Model that gives the finding.")],
    segmenter: Annotated[str, typer.Argument(help="Model that gives the mask.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the joined model.")],
    name: Annotated[str, typer.Option(help="Name of the model; the folder's by default.")] = "",
    version: Annotated[str, typer.Option(help="Version of the model.")] = "1",
) -> None:
    """Write a model that takes the finding from one model and the mask from another."""
    from pleura.export.joined import join
    from pleura.inference import find_model

    name = name or output.resolve().name
    manifest = join(find_model(classifier), find_model(segmenter), output, name, version)
    say(f"{manifest.name} {manifest.version} written to {output}: {manifest.description}")
    say("Nothing is measured yet: pleura evaluate, then pleura models record.")


@app.command("gate", epilog=DISCLAIMER)
def take_gate(
    source: Annotated[str, typer.Argument(help="Model whose input gate is taken.")],
    model: Annotated[Path, typer.Argument(help="Model folder that gets it; it is changed.")],
) -> None:
    """Give a model the input gate of another one."""
    from pleura.export.gate import copy_gate
    from pleura.inference import find_model

    manifest = copy_gate(find_model(source), model)
    say(f"{manifest.name} {manifest.version} has the input gate of {source}.")


def _show(manifest: "Manifest", folder: Path) -> None:
    preprocessing, calibration = manifest.preprocessing, manifest.calibration
    apart = manifest.segmenter_preprocessing
    say(f"{manifest.name} {manifest.version}")
    for label, value in (
        ("description", manifest.description),
        ("licence", manifest.licence),
        ("folder", str(folder)),
        ("input", f"{preprocessing.size} x {preprocessing.size}, grey"),
        ("segmenter's input", "" if apart is None else f"{apart.size} x {apart.size}, grey"),
        ("flip averaging", "yes" if manifest.flip_average else "no"),
        ("input gate", "" if manifest.gate is None else manifest.gate.fitted_on),
        ("calibration", f"{calibration.method} {calibration.fitted_on}".strip()),
        *((f"training.{key}", str(value)) for key, value in manifest.training.items()),
    ):
        if value:
            say(f"  {label:<22} {value}")
    say("operating points")
    for point in manifest.operating_points:
        default = " (default)" if point.name == manifest.default_operating_point else ""
        say(f"  {point.name + default:<22} {_claim(point)}")
    if manifest.performance:
        say(f"measured{' on ' if manifest.performance_cohort else ''}{manifest.performance_cohort}")
    for figure, estimate in manifest.performance.items():
        interval = f"[{estimate.low:.3f}, {estimate.high:.3f}]"
        say(f"  {figure:<22} {estimate.value:.3f} {interval} n={estimate.n}")


def _claim(point: "OperatingPoint") -> str:
    def shown(value: float, interval: tuple[float, float] | None) -> str:
        bounds = "" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]"
        return f"{value:.3f}{bounds}"

    sensitivity = shown(point.sensitivity, point.sensitivity_interval)
    specificity = shown(point.specificity, point.specificity_interval)
    cohort = f" ({point.cohort})" if point.cohort else ""
    return f">= {point.threshold:.3f}  sensitivity {sensitivity}  specificity {specificity}{cohort}"
