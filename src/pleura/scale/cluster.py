"""The Ray engine: a pool of actors on the nodes of a cluster, fed by Ray Data.

Ray Data takes waves of chunks, so that neither the listing nor the state of the run is ever held
whole; the next wave is listed while one is judged. A chunk whose node dies is given to another
actor; one that was judged already, and whose answer was lost, is found by its part and not judged
again.
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleura import errors
from pleura.errors import PleuraError, StoreError
from pleura.scale.judge import Recipe
from pleura.scale.ledger import Chunk
from pleura.scale.tally import Tally
from pleura.scale.worker import Worker

FIRST_WAVE, WAVE = 4, 32
"""Chunks of a wave for each actor: a short one to begin with, because it is listed first."""
OBJECT_STORE_BYTES = 200 * 1024 * 1024
"""Of a Ray that is started here: what actors exchange is a few numbers for each chunk."""
_Batch = dict[str, NDArray[Any]]


class ChunkActor:
    """What Ray Data calls with one chunk at a time.

    The model is in a process of the actor's own, so that an input that ends it ends no actor.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._worker = Worker(recipe)

    def __call__(self, batch: _Batch) -> _Batch:
        """Judge the chunks of a batch; an error is a value, or Ray would repeat it."""
        chunks = map(Chunk, batch["number"].tolist(), batch["generation"].tolist())
        return {"answer": np.array([self._answer(chunk) for chunk in chunks], dtype=object)}

    def _answer(self, chunk: Chunk) -> str:
        try:
            return json.dumps({"tally": self._worker.judge(chunk).to_json()})
        except PleuraError as error:
            return json.dumps({"error": [type(error).__name__, error.message, error.hint]})


def judge_on_cluster(
    recipe: Recipe, chunks: Iterator[Chunk], workers: int | None, address: str | None
) -> Iterator[Tally]:
    """Judge chunks on a cluster; their counts, in the order of completion.

    Args:
        recipe: of the run; its threads are the processors that Ray sets aside for an actor.
        chunks: taken in waves.
        workers: actors; None for as many as the processors of the cluster allow, asked anew with
            each wave.
        address: of a cluster that runs; None for the one that `RAY_ADDRESS` names, or else a Ray on
            this machine that ends with the run.

    Raises:
        PleuraError: of `chunks` when the chunks before it have been judged; of an actor at once.
        StoreError: the cluster cannot be reached.
    """
    started = _connect(address, workers, recipe.threads)
    import ray

    listed = _Ahead(chunks)
    try:
        actors = _actors(workers, recipe.threads)
        coming = listed.wave(FIRST_WAVE * actors)
        while wave := coming.result():
            actors = _actors(workers, recipe.threads)
            coming = listed.wave(WAVE * actors)
            yield from _judge(wave, recipe, min(actors, len(wave)))
        if listed.stopped is not None:
            raise listed.stopped
    finally:
        listed.close()
        if started:
            ray.shutdown()


class _Ahead:
    """Waves of chunks, listed in a thread; an error is kept until the chunks before it are judged.

    Attributes:
        stopped: the error.
    """

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks = chunks
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="pleura-list")
        self._closed = False
        self.stopped: PleuraError | None = None

    def wave(self, size: int) -> Future[list[Chunk]]:
        """The next chunks; empty at the end."""
        return self._pool.submit(self._take, size)

    def close(self) -> None:
        """List no more."""
        self._closed = True
        self._pool.shutdown()

    def _take(self, size: int) -> list[Chunk]:
        taken: list[Chunk] = []
        try:
            for chunk in islice(self._chunks, size):
                taken.append(chunk)
                if self._closed:
                    break
        except PleuraError as error:
            self.stopped = error
        return taken


def _judge(wave: list[Chunk], recipe: Recipe, actors: int) -> Iterator[Tally]:
    from ray.data import ActorPoolStrategy, from_items

    rows = [{"number": chunk.number, "generation": chunk.generation} for chunk in wave]
    answers = from_items(rows, override_num_blocks=len(rows)).map_batches(
        ChunkActor,
        batch_size=None,
        fn_constructor_args=(recipe,),
        num_cpus=recipe.threads,
        # One chunk at a time: a second one would wait at its actor while others are idle.
        compute=ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=1),
    )
    for row in _stated(answers.iter_rows()):
        answer = json.loads(row["answer"])
        if "error" in answer:
            kind, message, hint = answer["error"]
            raise getattr(errors, kind)(message, hint)
        yield Tally.from_json(answer["tally"])


def _stated(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Errors of Ray as one of Pleura's."""
    try:
        yield from rows
    except Exception as error:  # of many kinds; those of a chunk are values
        raise StoreError(
            f"The Ray cluster failed ({type(error).__name__}).",
            "Look at its logs; then run the same command again.",
        ) from error


def _actors(workers: int | None, threads: int) -> int:
    import ray

    if workers is not None:
        return workers
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return max(1, int(resources.get("CPU", 1)) // threads)


def _connect(address: str | None, workers: int | None, threads: int) -> bool:
    """Join or start Ray; whether it is this run's to leave."""
    address = address or os.environ.get("RAY_ADDRESS") or None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        # Read when Ray is imported: one without other nodes then listens to this machine alone.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        settings |= {"object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
        settings |= {"num_cpus": None if workers is None else workers * threads}
    import ray
    from ray.data import DataContext

    DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if ray.is_initialized():
        return False
    try:
        ray.init(address=address or "local", **settings)
    except Exception as error:  # of many kinds, some of them of gRPC
        raise StoreError(
            f"The Ray cluster cannot be joined ({type(error).__name__}).",
            "Check --address, and that the same versions of Python and Ray run everywhere.",
        ) from None
    return True
