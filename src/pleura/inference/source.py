"""What a predictor takes, how it is named in results, and reading ahead of the networks."""

import logging
import os
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from pleura.errors import PleuraError, RefusedInputError
from pleura.inference.prediction import Refusal, Status
from pleura.io import Input, read_radiograph
from pleura.radiograph import Radiograph

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# In quotes: pydicom is heavy, and only the readers that need it import it.
Source: TypeAlias = "str | Path | bytes | BinaryIO | Dataset | Radiograph | Input"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A radiograph that was read ahead, its place in the order, and how long reading took."""

    index: int
    radiograph: Radiograph
    decode_ms: float


def decode(source: Source, name: str | None = None) -> Radiograph:
    """The radiograph of any source; one that is a radiograph already is passed through.

    Args:
        source: see `Predictor.predict`.
        name: what to call it in results; None for its own name, if it has one.

    Raises:
        RefusedInputError: it cannot be read; the code says why.
    """
    if isinstance(source, Radiograph):
        return source
    if isinstance(source, Input):
        return read_radiograph(source.read(), name=name or source.name)
    return read_radiograph(source, name=name)


def name_of(source: Source, index: int) -> str:
    """What a source is called in results: its path or name, else its place in the order."""
    if isinstance(source, str | os.PathLike):
        return str(source)
    if isinstance(source, Input):
        return source.name
    name = source.source if isinstance(source, Radiograph) else getattr(source, "name", "")
    return name if isinstance(name, str) and name else f"input {index + 1}"


def refusal_for(name: str, error: Exception) -> Refusal:
    """The record of an error: typed errors keep code and sentence, any other stays anonymous.

    The text of an error that nobody foresaw may quote the header, so neither the result nor the log
    repeats it: both name its type, and the log the line of code.
    """
    if isinstance(error, PleuraError):
        refused = isinstance(error, RefusedInputError)
        status = Status.REFUSED if refused else Status.FAILED
        return Refusal(name, status, error.code, error.message, error.hint)
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"
    _log.error("an input failed with %s at %s", type(error).__name__, place)
    return Refusal(
        name,
        Status.FAILED,
        "internal_error",
        f"An unexpected error of type {type(error).__name__} stopped the work on this input.",
        "Report it with the file's kind and the log; the other inputs are not affected.",
    )


def read_ahead(sources: Iterable[Source], look_ahead: int) -> Iterator[Decoded | Refusal]:
    """Decode in one thread, at most `look_ahead` sources beyond the one handed out, in order."""
    pending: deque[Future[Decoded | Refusal]] = deque()
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pleura-decode")
    try:
        for index, source in enumerate(sources):
            pending.append(executor.submit(_decode_or_refuse, index, source))
            if len(pending) > look_ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _decode_or_refuse(index: int, source: Source) -> Decoded | Refusal:
    started = time.perf_counter()
    name = name_of(source, index)
    try:
        radiograph = decode(source, name)
    except Exception as error:  # whatever one input does, the next must be read
        return refusal_for(name, error)
    return Decoded(index, radiograph, (time.perf_counter() - started) * 1000.0)
