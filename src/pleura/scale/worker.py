"""A process that judges chunks, and what is done when it dies: no input may end a run.

Decoders are native code, and memory can run out. A chunk at which the process dies is given to a
new one. When that dies, too, each input is tried alone; those that end the process become failed
rows, and the rest of the chunk is judged.
"""

import multiprocessing
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeAlias

from pleura.errors import PleuraError, WorkerDiedError
from pleura.scale.judge import Judge, Recipe
from pleura.scale.ledger import Chunk, entries_of
from pleura.scale.stores import open_store
from pleura.scale.tally import Tally

ATTEMPTS = 2
SILENCE_S = 600.0
"""Longest time for one input, and for loading the model; a process that says nothing is ended."""

_Job: TypeAlias = tuple[str, Chunk, Any]


class Worker:
    """A worker's side in the process that steers it; the model is loaded with the first chunk.

    Args:
        recipe: of the run.
        seen: called after each input that was judged.
    """

    def __init__(self, recipe: Recipe, seen: Callable[[], None] = lambda: None) -> None:
        self._recipe = recipe
        self._seen = seen
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._ended = False

    def judge(self, chunk: Chunk) -> Tally:
        """Judge a chunk and write its part; see `Judge.judge`.

        Raises:
            WorkerDiedError: the process dies though each input alone leaves it alive.
            PleuraError: the model or the output cannot be used.
        """
        for _ in range(ATTEMPTS):
            try:
                return self._ask("judge", chunk, frozenset())
            except _DiedError:
                continue
        places = range(len(entries_of(open_store(self._recipe.output), chunk)))
        deadly = frozenset(place for place in places if self._kills(chunk, place))
        try:
            return self._ask("judge", chunk, deadly)
        except _DiedError:
            raise WorkerDiedError(
                f"The process died {ATTEMPTS + 1} times at one chunk, but at none of its inputs."
            ) from None

    def end(self) -> None:
        """End the process for good, from any thread; `judge` then raises `WorkerDiedError`."""
        self._ended = True
        self._kill()

    def _kill(self) -> None:
        process = self._process
        if process is not None and process.pid is not None:
            process.kill()

    def _kills(self, chunk: Chunk, place: int) -> bool:
        try:
            self._ask("probe", chunk, place)
        except _DiedError:
            return True
        return False

    def _ask(self, what: str, chunk: Chunk, argument: Any) -> Tally:
        connection = self._started()
        try:
            connection.send((what, chunk, argument))
            while connection.poll(SILENCE_S):
                answer = connection.recv()
                if isinstance(answer, PleuraError):
                    raise answer
                if isinstance(answer, Tally):
                    return answer
                self._seen()
        except (EOFError, OSError):
            pass
        self._clear()
        if self._ended:
            raise WorkerDiedError("The run was ended.")
        raise _DiedError

    def _started(self) -> Connection:
        if self._connection is None:
            # A fork would take over the threads' locks, and the pipes of the other workers.
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(
                target=_serve, args=(theirs, self._recipe), daemon=True, name="pleura-worker"
            )
            self._process.start()
            theirs.close()
            if self._ended:
                self._kill()
        return self._connection

    def _clear(self) -> None:
        """Forget a process that has ended, or that says nothing any more."""
        self._kill()
        if self._process is not None:
            self._process.join()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None


class _DiedError(Exception):
    """The process ended, or was ended, before it answered."""


def _serve(connection: Connection, recipe: Recipe) -> None:
    """The worker's process: ends when the other side of the pipe does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who steers decides, and then ends this process
    try:
        judge = None
        while True:
            job: _Job = connection.recv()
            try:
                if judge is None:
                    judge = Judge(recipe)
                connection.send(_answer(judge, job, connection))
            except PleuraError as error:
                connection.send(error)
            except (EOFError, OSError, MemoryError):
                raise
            except Exception as error:  # a fault of this program, which no other process mends
                connection.send(_fault(error))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _fault(error: Exception) -> PleuraError:
    """What is said of an error that nobody foresaw; its text may quote a header."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    return WorkerDiedError(
        f"An unexpected error of type {type(error).__name__} at {place} ended the run.",
        "Report it; the same command continues the run.",
    )


def _answer(judge: Judge, job: _Job, connection: Connection) -> Tally:
    what, chunk, argument = job
    if what == "judge":
        return judge.judge(chunk, argument, lambda: connection.send(None))
    judge.probe(chunk, argument)
    return Tally()
