"""The local engine: worker processes on this machine."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from queue import SimpleQueue

from pleura.errors import PleuraError
from pleura.scale.judge import Recipe
from pleura.scale.ledger import Chunk
from pleura.scale.tally import Tally
from pleura.scale.worker import Worker


def judge_here(
    recipe: Recipe, chunks: Iterator[Chunk], workers: int, seen: Callable[[], None]
) -> Iterator[Tally]:
    """Judge chunks in processes on this machine; their counts, in the order of completion.

    Args:
        recipe: of the run.
        chunks: taken as workers get free, and one for each beyond that.
        workers: processes.
        seen: called after each input, from several threads.

    Raises:
        PleuraError: of `chunks` when the chunks before it have been judged; of a worker at once.
    """
    team = [Worker(recipe, seen) for _ in range(workers)]
    idle: SimpleQueue[Worker] = SimpleQueue()
    for worker in team:
        idle.put(worker)

    def work(chunk: Chunk) -> Tally:
        worker = idle.get()
        try:
            return worker.judge(chunk)
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="pleura-steer")
    running: set[Future[Tally]] = set()
    stopped: PleuraError | None = None
    try:
        while True:
            chunk = None
            try:
                chunk = next(chunks, None)
            except PleuraError as error:  # what was listed before it is judged all the same
                stopped = error
            if chunk is None:
                break
            running.add(pool.submit(work, chunk))
            if len(running) >= 2 * workers:
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in ended)
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in ended)
    finally:
        for worker in team:
            worker.end()
        pool.shutdown(cancel_futures=True)
    if stopped is not None:
        raise stopped
