"""Mutants in child processes, each held against what the reader promises of bad input.

A mutant ends in a radiograph of finite pixels in [0, 1], or in a refusal with a documented code;
within `MAX_SECONDS` of processor time and `MAX_MEGABYTES`; and nothing of the header is said in
message, hint, notice, log, warning or on the error stream. A child that crashes or hangs is
replaced, and the mutant it was at is reported.
"""

import contextlib
import io
import logging
import multiprocessing
import resource
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from dicom_maker import SECRETS
from mutants import Mutant, mutant
from watching import Watch, measured

from pleura.errors import PleuraError, RefusedInputError
from pleura.io import discover, read_radiograph
from pleura.radiograph import Radiograph

Reader: TypeAlias = Callable[..., Radiograph]
CODES = (
    "not_found", "not_an_image", "no_pixel_data", "unsupported_syntax", "truncated",
    "invalid_header", "not_projection_radiograph", "multiple_frames", "colour_image", "too_small",
    "too_large", "constant_image",
)  # fmt: skip
"""Codes of the reader's refusals, as docs/reading.md lists them."""
MAX_SECONDS = 5.0
MAX_MEGABYTES = 2048.0
HARD_SECONDS = 300.0
"""Without a word from a child for so long, it hangs: wall time, ample on a busy machine."""
HARD_BYTES = 6 << 30
BEYOND_PYDICOM = frozenset({"inflation", "crowd", "nesting"})
"""Mutations for which pydicom itself takes long."""
PREDICTED_PIXELS = 1 << 22
"""Larger pictures are read but not judged: the tiny model is no test of them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one mutant.

    Attributes:
        codes: of each result, `read` or the code of the refusal; an archive has many or none.
        predicted: whether a prediction was made of it.
        failure: what broke the promise, or "".
    """

    number: int
    kind: str
    source: str
    done: tuple[str, ...]
    mutation: str
    codes: tuple[str, ...]
    elapsed_ms: float = 0.0
    peak_mb: float = 0.0
    predicted: bool = False
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """Which mutants a child makes.

    Attributes:
        folder: of real files, or None.
        model: folder of the model that a sample of what is read goes through, or None.
        predict_every: one mutant in so many.
        read: what is tested; the test of this module puts a reader there that crashes.
    """

    seed: int
    start: int
    stop: int
    folder: Path | None = None
    model: Path | None = None
    predict_every: int = 4
    read: Reader = read_radiograph


def outcomes(run: Run) -> Iterator[Outcome]:
    """Outcome of each mutant of a run, in order, by one child process at a time."""
    start = run.start
    while start < run.stop:
        for outcome in _in_child(run, start):
            yield outcome
            start = outcome.number + 1


def _in_child(run: Run, start: int) -> Iterator[Outcome]:
    """Outcomes until the child ends, or the failure of the mutant at which it broke down."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(run, start, sender))
    child.start()
    sender.close()
    number = start
    try:
        while number < run.stop:
            if not receiver.poll(HARD_SECONDS):
                yield _broken(run, number, f"hangs: no answer for {HARD_SECONDS:.0f} s")
                return
            try:
                yield receiver.recv()
            except EOFError:
                child.join()
                yield _broken(run, number, f"crashes the process (exit code {child.exitcode})")
                return
            number += 1
    finally:
        child.kill()
        child.join()
        receiver.close()


def _broken(run: Run, number: int, failure: str) -> Outcome:
    made = mutant(run.seed, number, run.folder)
    return Outcome(
        number, made.kind, made.source, made.done, made.mutation, ("failed",), failure=failure
    )


def _work(run: Run, start: int, sender: Connection) -> None:
    """What a child does: one mutant after the other, each outcome as soon as it is known."""
    resource.setrlimit(resource.RLIMIT_AS, (HARD_BYTES, HARD_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    predictor: Any = None
    if run.model is not None:
        from pleura import Predictor

        predictor = Predictor.load(run.model, threads=1)
    with tempfile.TemporaryDirectory() as scratch, Watch() as watch:
        for number in range(start, run.stop):
            made = mutant(run.seed, number, run.folder)
            judge = predictor if number % run.predict_every == 0 else None
            sender.send(check(made, run.read, watch, Path(scratch), judge))
    sender.close()


def check(
    made: Mutant, read: Reader, watch: Watch, scratch: Path, predictor: Any = None
) -> Outcome:
    """Read one mutant and hold what happens against the promise."""
    codes: list[str] = []
    failures: list[str] = []
    predicted = False
    watch.taken()
    with warnings.catch_warnings(record=True) as warned, measured() as measure:
        warnings.simplefilter("always")
        for result in _results(made, read, scratch):
            codes.append(_code(result, failures))
            if isinstance(result, Radiograph) and predictor is not None:
                predicted = _predict(predictor, result, failures) or predicted
    said = watch.taken() + "".join(str(warning.message) for warning in warned)
    failures += [f"says {secret!r}" for secret in SECRETS if secret.lower() in said.lower()]
    if measure.seconds > MAX_SECONDS:
        failures.append(f"takes {measure.seconds:.1f} s")
    if measure.megabytes > MAX_MEGABYTES:
        failures.append(f"takes {measure.megabytes:.0f} MB")
    return Outcome(
        number=made.number,
        kind=made.kind,
        source=made.source,
        done=made.done,
        mutation=made.mutation,
        codes=tuple(codes),
        elapsed_ms=1000 * measure.seconds,
        peak_mb=measure.megabytes,
        predicted=predicted,
        failure="; ".join(failures),
    )


def _results(made: Mutant, read: Reader, scratch: Path) -> Iterator[Radiograph | Exception]:
    """What reading gives: of bytes, of a file's members, or of a pydicom data set."""
    if made.suffix:
        path = scratch / f"mutant{made.suffix}"
        path.write_bytes(made.data)
        for found in discover([path]):
            yield _attempt(lambda found=found: read(found.read(), name=found.name))
        return
    yield _attempt(lambda: read(made.data))
    if made.dicom and made.number % 8 == 3 and not BEYOND_PYDICOM & set(made.done):
        parsed = _parsed(made.data)
        if parsed is not None:
            yield _attempt(lambda: read(parsed))


def _parsed(data: bytes) -> Any:
    """The data set that pydicom makes of the bytes; what it warns of is not the reader's."""
    from pydicom import dcmread

    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable()
        try:
            return dcmread(io.BytesIO(data), force=True)
        finally:
            logging.disable(logging.NOTSET)
    return None


def _attempt(reading: Callable[[], Radiograph]) -> Radiograph | Exception:
    try:
        return reading()
    except Exception as error:
        return error


def _code(result: Radiograph | Exception, failures: list[str]) -> str:
    """`read` or the code of a refusal; adds what is wrong with it."""
    if isinstance(result, Radiograph):
        pixels = result.pixels
        low, high = float(pixels.min()), float(pixels.max())
        if not (0.0 <= low < high <= 1.0) or pixels.dtype != np.float32:
            failures.append(f"pixels from {low} to {high}, {pixels.dtype}")
        shown = " ".join(notice.message for notice in result.notices)
    else:
        shown = "".join(traceback.format_exception(result)) + getattr(result, "hint", "")
    failures += [f"shows {secret!r}" for secret in SECRETS if secret.lower() in shown.lower()]
    if isinstance(result, Radiograph):
        return "read"
    if not isinstance(result, RefusedInputError):
        failures.append(f"raises {type(result).__name__}: {result}")
        return "failed"
    if result.code not in CODES:
        failures.append(f"has the code {result.code}")
    if len(result.message) > 200 or not result.message.endswith("."):
        failures.append(f"has the message {result.message[:300]!r}")
    return result.code


def _predict(predictor: Any, radiograph: Radiograph, failures: list[str]) -> bool:
    """Whether a prediction was made; adds what is wrong with it."""
    if radiograph.pixels.size > PREDICTED_PIXELS:
        return False
    try:
        prediction = predictor.predict(radiograph)
    except PleuraError:
        return False
    except Exception as error:
        failures.append(f"prediction raises {type(error).__name__}: {error}")
        return False
    if not 0.0 <= prediction.probability <= 1.0 or prediction.mask.shape != radiograph.shape:
        failures.append(f"prediction of {prediction.probability}, {prediction.mask.shape}")
    return True
