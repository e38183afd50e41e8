"""`pleura demo`: judge synthetic radiographs made on the spot, and write every output."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from pleura.cli.console import DISCLAIMER, complain, say
from pleura.cli.options import Threads
from pleura.cli.results import open_folder, stated_when_not_written

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pleura.inference import Prediction, Predictor, Result
    from pleura.outputs import OutputFolder
    from pleura.phantom import Phantom

WRONG = 1
# (seed, with a pneumothorax?)
CASES = ((1, True), (2, False), (3, True), (4, False))


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path(
        "pleura-demo"
    ),
    model: Annotated[str | None, typer.Option(help="Name or folder of a model.")] = None,
    threads: Threads = None,
) -> None:
    """Draw four synthetic radiographs, two with a pneumothorax, judge them, and write all outputs.

    Exit status: 0 the model is right about all four; 1 it is not; 2 wrong usage; 4 results cannot
    be written.
    """
    from pleura.inference import Predictor
    from pleura.outputs import DICOM_FORMATS, FORMATS

    predictor = Predictor.load(model, threads=threads)
    formats = (*FORMATS, *DICOM_FORMATS)
    with stated_when_not_written(), open_folder(output, formats) as folder:
        phantoms = _draw(output / "inputs")
        wrong = _judge(predictor, phantoms, folder)
    say("Wrote:")
    for target in folder.paths:
        say(f"  {target}")
    say(f"{len(phantoms) - wrong} of {len(phantoms)} right. {DISCLAIMER}")
    raise typer.Exit(WRONG if wrong else 0)


def _judge(predictor: "Predictor", phantoms: "dict[Path, Phantom]", folder: "OutputFolder") -> int:
    """Judge, print and write every phantom; the number of wrong verdicts."""
    say(f"Drew {len(phantoms)} SYNTHETIC radiographs (no patient's image) as DICOM files:")
    say(f"  {next(iter(phantoms)).parent}")
    say(f"Judging them with {predictor.model.name} {predictor.model.version}:")
    say(f"  {'truth':<13} {'prediction':<13} {'probability':>11} {'Dice':>6} {'ms':>6}  file")
    wrong = 0
    for (path, phantom), result in zip(
        phantoms.items(), predictor.predict_many(phantoms), strict=True
    ):
        folder.write(result)
        right, line = _verdict(path, phantom, result)
        wrong += not right
        say(f"  {line}")
    return wrong


def _draw(folder: Path) -> "dict[Path, Phantom]":
    from pleura.phantom import draw, spec_for, write_dicom

    folder.mkdir(parents=True, exist_ok=True)
    phantoms = {}
    for seed, pneumothorax in CASES:
        kind = "pneumothorax" if pneumothorax else "normal"
        path = folder / f"synthetic-{seed}-{kind}.dcm"
        phantom = draw(spec_for(seed, pneumothorax))
        write_dicom(phantom, path)
        phantoms[path] = phantom
    return phantoms


def _verdict(path: Path, phantom: "Phantom", result: "Result") -> tuple[bool, str]:
    """Is the model right, and the line that shows truth beside prediction."""
    from pleura.errors import PleuraError
    from pleura.inference import Refusal

    truth = bool(phantom.mask.any())
    name = "pneumothorax" if truth else "none"
    if isinstance(result, Refusal):
        complain(PleuraError(result.message, result.hint))
        return (
            False,
            f"{name:<13} {result.status.value:<13} {'-':>11} {'-':>6} {'-':>6}  {path.name}",
        )
    found = "pneumothorax" if result.present else "none"
    overlap = dice(phantom.mask, result.mask) if truth else None
    right = result.present == truth and (overlap is None or overlap > 0.0)
    return right, _line(name, found, overlap, result, path)


def _line(name: str, found: str, overlap: float | None, result: "Prediction", path: Path) -> str:
    shown = "-" if overlap is None else f"{overlap:.2f}"
    total = result.timings_ms["total"]
    return (
        f"{name:<13} {found:<13} {result.probability:>11.3f} {shown:>6} {total:>6.0f}  {path.name}"
    )


def dice(truth: "NDArray[np.bool_]", mask: "NDArray[np.bool_]") -> float:
    """2 |A and B| / (|A| + |B|) of two masks that are not both empty."""
    common = np.count_nonzero(truth & mask)
    return float(2.0 * common / (np.count_nonzero(truth) + np.count_nonzero(mask)))
