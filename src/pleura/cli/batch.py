"""`pleura batch`: judge millions of files, on one machine or on a Ray cluster."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from pleura.cli.console import DISCLAIMER, complain, prepare_stdout
from pleura.cli.options import Correct, GateName, engine_named
from pleura.cli.predict import (
    NOTHING_PREDICTED,
    SOME_MISSING,
    gate_settings,
    named_formats,
)
from pleura.errors import MissingDependencyError, ModelError

if TYPE_CHECKING:
    from collections import Counter

    from pleura.scale.ledger import Ledger
    from pleura.scale.run import Report, Watch
    from pleura.scale.tally import Tally

DRAWN_EVERY_S = 0.25


def batch(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="Folder, glob, archive, text file of paths, or URL (s3://bucket/prefix).",
        ),
    ],
    output: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="Folder or URL that results go to.")
    ],
    engine: Annotated[
        str, typer.Option(help="Where the work is done: local (this machine) or ray (a cluster).")
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes, or actors of Ray; by default one for each core."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each worker's networks.")] = 1,
    address: Annotated[
        str | None,
        typer.Option(help="With --engine ray: the cluster to join, as HOST:PORT, or auto."),
    ] = None,
    write: Annotated[
        str | None,
        typer.Option(help="Further formats beside the Parquet parts: json,csv,png,seg,sr,sc."),
    ] = None,
    chunk: Annotated[
        int,
        typer.Option(
            min=1, help="Inputs of one part: what is written, and at most lost, at a time."
        ),
    ] = 256,
    operating_point: Annotated[
        str | None, typer.Option(help="Name of the operating point that decides.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name or folder of a model.")] = None,
    networks: Annotated[
        str | None,
        typer.Option(
            help="What runs the networks: onnxruntime (the default), openvino, openvino-bf16, cuda,"
            " tensorrt."
        ),
    ] = None,
    gate: GateName = "refuse",
    correct: Correct = False,
) -> None:
    """Judge every input once, into Parquet parts; the same command continues a run that ended.

    Exit status: 0 all predicted; 1 some refused or failed; 2 wrong usage; 3 nothing predicted; 4
    results cannot be written.
    """
    on_ray = _is_ray(engine)
    if address is not None and not on_ray:
        raise typer.BadParameter("needs --engine ray", param_hint="--address")
    _require("pyarrow", *(("ray",) if on_ray else ()))
    from pleura.scale.run import Batch, BatchEngine, run_batch

    wanted = Batch(
        source=source,
        output=output,
        engine=BatchEngine.RAY if on_ray else BatchEngine.LOCAL,
        model=model,
        operating_point=operating_point,
        gate=gate_settings(gate, correct),
        formats=_formats(write),
        chunk=chunk,
        workers=workers,
        threads=threads,
        networks=engine_named(networks, "--networks"),
        address=address,
    )
    prepare_stdout()
    _check_model(model, operating_point)
    try:
        with _progress() as watch:
            report = run_batch(wanted, watch)
    except ModelError as error:
        complain(error)
        raise typer.Exit(NOTHING_PREDICTED) from error
    _state(report, output)
    raise typer.Exit(_exit_status(report))


def _is_ray(engine: str) -> bool:
    if engine not in ("local", "ray"):
        raise typer.BadParameter(f"'{engine}' is none of local, ray", param_hint="--engine")
    return engine == "ray"


def _require(*packages: str) -> None:
    """Name the extra: some of its packages come with another, too."""
    for package in packages:
        if find_spec(package) is None:
            raise MissingDependencyError(
                f"This command needs the package '{package}', which is not installed.",
                "Run: pip install 'pleura[scale]'",
            )


def _formats(write: str | None) -> tuple[str, ...]:
    from pleura.outputs import DICOM_FORMATS, FORMATS

    return () if write is None else named_formats(write, (*FORMATS, *DICOM_FORMATS))


def _check_model(name: str | None, operating_point: str | None) -> None:
    """A name that does not exist is wrong usage, a damaged folder is not."""
    from pleura.inference import Manifest, find_model

    folder = find_model(name)
    try:
        manifest = Manifest.read(folder)
    except ModelError as error:
        complain(error)
        raise typer.Exit(NOTHING_PREDICTED) from error
    manifest.operating_point(operating_point)


def _state(report: "Report", output: str) -> None:
    """The end of a run in words."""
    tally = report.tally
    parts = [f"{tally.predicted} predicted ({tally.present} with pneumothorax)"]
    for name, counter in (("refused", tally.refused), ("failed", tally.failed)):
        parts.append(f"{counter.total()} {name}{_codes(counter)}")
    typer.echo(", ".join(parts) + ".")
    if tally.unwritten:
        typer.echo(
            f"DICOM objects: {tally.unwritten.total()} not written{_codes(tally.unwritten)}."
        )
    if report.gone:
        typer.echo(f"{report.gone} inputs of an earlier listing are gone; their rows stay.")
    if report.judged < tally.inputs:
        typer.echo(f"{tally.inputs - report.judged} of {tally.inputs} had been judged before.")
    typer.echo(
        f"Judged {report.judged} in {report.duration_s:.1f} s: {report.images_per_s:.2f} images/s."
    )
    model = report.model
    typer.echo(f"Model {model.name} {model.version}, operating point '{report.operating_point}'.")
    typer.echo(f"{DISCLAIMER} Written to {output}")


def _codes(counter: "Counter[str]") -> str:
    codes = ", ".join(f"{code} {count}" for code, count in sorted(counter.items()))
    return f" ({codes})" if codes else ""


def _exit_status(report: "Report") -> int:
    tally = report.tally
    if tally.predicted == 0:
        return NOTHING_PREDICTED
    return SOME_MISSING if tally.predicted < tally.inputs or tally.unwritten else 0


@contextmanager
def _progress() -> Iterator["Watch | None"]:
    """A live line on stderr when that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from pleura.scale.run import Watch

    class Line(Watch):
        """Counts what was judged, in one line that is drawn a few times a second."""

        def __init__(self, progress: Progress) -> None:
            self._progress = progress
            self._task = progress.add_task("listing", total=None)
            self._started = self._drawn = time.monotonic()
            self._ledger: Ledger | None = None
            self._seen = self._counted = 0
            self._lock = threading.Lock()

        def begun(self, ledger: "Ledger") -> None:
            self._ledger = ledger

        def seen(self) -> None:
            with self._lock:
                self._seen += 1
                self._draw()

        def counted(self, tally: "Tally") -> None:
            with self._lock:
                self._counted += tally.inputs
                self._draw()

        def _draw(self) -> None:
            now = time.monotonic()
            if now - self._drawn < DRAWN_EVERY_S:
                return
            self._drawn = now
            judged = max(self._seen, self._counted)
            rate = judged / (now - self._started)
            listed = 0 if self._ledger is None else self._ledger.listed
            said = f"{judged} judged, {listed} listed so far, {rate:.1f} images/s"
            self._progress.update(self._task, description=said)

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Line(progress)
