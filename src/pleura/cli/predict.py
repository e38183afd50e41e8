"""`pleura predict`: judge files, folders, globs and zip archives."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pleura.cli.console import (
    DISCLAIMER,
    HEADER,
    Tally,
    complain,
    prepare_stdout,
    printable,
    table_line,
)
from pleura.cli.options import Correct, EngineName, GateName, Threads, engine_named
from pleura.cli.results import Shown, check_paths, open_folder, stated_when_not_written
from pleura.errors import ModelError

if TYPE_CHECKING:
    from pleura.inference import Engine, Predictor
    from pleura.outputs import DicomOptions, SubmissionWriter, Unwritten
    from pleura.quality import GateSettings

SOME_MISSING = 1
NOTHING_PREDICTED = 3


def predict(
    paths: Annotated[
        list[str], typer.Argument(help="Files, folders, globs, zip archives.", metavar="PATH...")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write results to.")
    ] = None,
    write: Annotated[
        str | None,
        typer.Option(
            help="Formats to write, with commas: json,csv,png (the default), seg,sr,sc (DICOM),"
            " submission. Needs -o."
        ),
    ] = None,
    sample: Annotated[
        Path | None,
        typer.Option(
            help="With --write submission: the challenge's sample_submission.csv, whose images and"
            " order the file takes over."
        ),
    ] = None,
    operating_point: Annotated[
        str | None, typer.Option(help="Name of the operating point that decides.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name or folder of a model.")] = None,
    threads: Threads = None,
    engine: EngineName = None,
    heatmap: Annotated[
        bool,
        typer.Option(
            "--heatmap",
            help="Also write heat maps of the segmentation network, of each radiograph. Needs -o.",
        ),
    ] = False,
    seg_fractional: Annotated[
        bool,
        typer.Option(
            "--seg-fractional",
            help="With --write seg: the probability of each pixel instead of the mask.",
        ),
    ] = False,
    seg_negatives: Annotated[
        bool,
        typer.Option(
            "--seg-negatives",
            help="With --write seg: an empty segmentation where nothing is segmented.",
        ),
    ] = False,
    gate: GateName = "refuse",
    correct: Correct = False,
    deidentify: Annotated[
        Path | None,
        typer.Option(
            help="Results without patient, study and file names. What stands for what goes into"
            " this file; keep it apart.",
            metavar="MAP",
        ),
    ] = None,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="One JSON object a line on stdout.")
    ] = False,
) -> None:
    """Judge radiographs: probability, finding and mask of pneumothorax.

    Exit status: 0 all predicted; 1 some refused or failed; 2 wrong usage; 3 nothing predicted; 4
    results cannot be written.
    """
    from pleura.io import discover
    from pleura.outputs import SUBMISSION, ReplacementMap, deidentified, json_line, places_in

    formats = _formats(write, heatmap, output)
    submission = _submission(output, formats, sample)
    formats = tuple(name for name in formats if name != SUBMISSION)
    dicom = _dicom_options(formats, seg_fractional, seg_negatives, dated=deidentify is None)
    _check_map(deidentify, output, submission)
    taken = () if output is None else places_in(output)
    check_paths(paths, taken)
    settings = gate_settings(gate, correct)
    predictor = _load(model, operating_point, threads, settings, engine_named(engine))
    prepare_stdout(utf_8=jsonl)
    line_of = json_line if jsonl else table_line
    tally = Tally()
    with ExitStack() as stack:
        advance = stack.enter_context(_progress(jsonl))
        folder = None
        names = None if deidentify is None else stack.enter_context(ReplacementMap(deidentify))
        if output is not None:
            stack.enter_context(stated_when_not_written())  # around the closing, too
            writers = () if submission is None else (submission,)
            folder = stack.enter_context(open_folder(output, formats, writers, dicom))
        show = Shown(quiet_when_gone=folder is not None)
        if not jsonl:
            show(HEADER)
        sources = discover(paths, leave_out=taken)
        for result in predictor.predict_many(sources, always_segment=heatmap):
            tally.add(result)
            if names is not None:
                result = deidentified(result, names)
            if folder is not None:
                folder.write(result)
            show(line_of(result))
            advance(str(tally))
        if submission is not None:
            submission.finish()
    to_stderr = jsonl or show.gone
    _finish(tally, predictor, output, to_stderr)
    complete = submission is None or _state(submission, to_stderr)
    if folder is not None:
        complete = _state_unwritten(folder.unwritten, to_stderr) and complete
    raise typer.Exit(tally.exit_status or (0 if complete else SOME_MISSING))


def _formats(write: str | None, heatmap: bool, output: Path | None) -> tuple[str, ...]:
    """The formats that were asked for; exits with status 2 for one that does not exist."""
    from pleura.outputs import DICOM_FORMATS, FORMATS, HEATMAP, SUBMISSION

    if output is None:
        for option, given in (("--write", write is not None), ("--heatmap", heatmap)):
            if given:
                raise typer.BadParameter(
                    "needs a folder to write to: give -o DIR", param_hint=option
                )
    known = (*FORMATS, *DICOM_FORMATS, SUBMISSION)
    names = tuple(FORMATS) if write is None else named_formats(write, known)
    return (*names, HEATMAP) if heatmap else names


def _dicom_options(
    formats: tuple[str, ...], seg_fractional: bool, seg_negatives: bool, dated: bool
) -> "DicomOptions":
    """The choices about DICOM objects; exits with status 2 for one that would change nothing."""
    from pleura.outputs import DicomOptions

    options = (("--seg-fractional", seg_fractional), ("--seg-negatives", seg_negatives))
    for option, given in options:
        if given and "seg" not in formats:
            raise typer.BadParameter("needs --write seg", param_hint=option)
    return DicomOptions(fractional=seg_fractional, negatives=seg_negatives, dated=dated)


def _check_map(
    path: Path | None, output: Path | None, submission: "SubmissionWriter | None"
) -> None:
    """The map of replacements lies apart from the results, and a submission needs its names."""
    if path is None:
        return
    if submission is not None:
        raise typer.BadParameter(
            "cannot go with --write submission, which names its images", param_hint="--deidentify"
        )
    if output is not None and path.resolve().is_relative_to(output.resolve()):
        raise typer.BadParameter(
            "the map must lie outside the folder of the results", param_hint="--deidentify"
        )


def _submission(
    output: Path | None, formats: tuple[str, ...], sample: Path | None
) -> "SubmissionWriter | None":
    """The writer of a submission, if one is asked for."""
    from pleura.outputs import SUBMISSION, SubmissionWriter, read_sample

    if output is None or SUBMISSION not in formats:
        if sample is not None:
            raise typer.BadParameter("needs --write submission", param_hint="--sample")
        return None
    return SubmissionWriter(output, None if sample is None else read_sample(sample))


def _state(submission: "SubmissionWriter", to_stderr: bool) -> bool:
    """Say what a submission lacks; whether it is complete."""
    facts = (
        (submission.missing, "rows of the sample have no prediction and are written as -1"),
        (submission.unlisted, "predictions are of images that the sample does not list"),
        (submission.repeated, "predictions are of an image that had one before and are left out"),
    )
    for count, text in facts:
        if count:
            typer.echo(f"Submission: {count} {text}.", err=to_stderr)
    return submission.missing == 0


def _state_unwritten(unwritten: "Unwritten", to_stderr: bool) -> bool:
    """Say which results no DICOM object could be made of, and why; whether there are none."""
    for code, count in sorted(unwritten.codes.items()):
        typer.echo(f"DICOM objects: {count} not written [{code}].", err=to_stderr)
        typer.echo(f"  hint: {unwritten.hints[code]}", err=to_stderr)
    if unwritten.inputs:
        more = ", ..." if unwritten.more else ""
        typer.echo(f"  of: {printable(', '.join(unwritten.inputs))}{more}", err=to_stderr)
    return not unwritten.codes


def named_formats(write: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Names of formats out of those known; exits with status 2 for another."""
    names = tuple(name.strip().lower() for name in write.split(",") if name.strip())
    for name in names:
        if name not in known:
            raise typer.BadParameter(
                f"there is no format '{name}'; there are: {', '.join(known)}",
                param_hint="--write",
            )
    if not names:
        raise typer.BadParameter(f"names no format; there are: {', '.join(known)}")
    return names


def gate_settings(gate: str, correct: bool) -> "GateSettings":
    """How the input gate behaves; exits with status 2 for a strictness that does not exist."""
    from pleura.quality import GateSettings, Strictness

    try:
        strictness = Strictness(gate.lower())
    except ValueError as error:
        known = ", ".join(Strictness)
        raise typer.BadParameter(f"{gate!r} is none of {known}", param_hint="--gate") from error
    if correct and strictness is Strictness.OFF:
        raise typer.BadParameter("needs a gate that looks", param_hint="--correct")
    return GateSettings(strictness, correct)


def _load(
    model: str | None,
    operating_point: str | None,
    threads: int | None,
    gate: "GateSettings",
    engine: "Engine | None",
) -> "Predictor":
    """Load the model; a name that does not exist is wrong usage, a damaged folder is not."""
    from pleura.inference import Manifest, Predictor, find_model

    folder = find_model(model)
    try:
        manifest = Manifest.read(folder)
    except ModelError as error:
        complain(error)
        raise typer.Exit(NOTHING_PREDICTED) from error
    manifest.operating_point(operating_point)
    try:
        return Predictor(
            folder, threads=threads, operating_point=operating_point, gate=gate, engine=engine
        )
    except ModelError as error:
        complain(error)
        raise typer.Exit(NOTHING_PREDICTED) from error


def _finish(tally: Tally, predictor: "Predictor", output: Path | None, to_stderr: bool) -> None:
    point = predictor.operating_point
    model = f"Model {predictor.model.name} {predictor.model.version}"
    typer.echo(f"{tally}.", err=to_stderr)
    typer.echo(
        f"{model}, operating point '{point.name}' (>= {point.threshold:.6g}). {DISCLAIMER}",
        err=to_stderr,
    )
    if output is not None:
        typer.echo(f"Written to {output}", err=to_stderr)


@contextmanager
def _progress(jsonl: bool) -> Iterator[Callable[[str], None]]:
    """A live line on stderr when that is a terminal; a function that sets its text."""
    # On one terminal, rich would break the objects' lines to make room for its own.
    shared = sys.stdout.isatty()
    if not sys.stderr.isatty() or (jsonl and shared):
        yield lambda text: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(
        *columns,
        console=Console(stderr=True, soft_wrap=True),
        transient=True,
        redirect_stdout=shared,
        redirect_stderr=False,
    ) as progress:
        task = progress.add_task("reading", total=None)
        yield lambda text: progress.update(task, description=text)
