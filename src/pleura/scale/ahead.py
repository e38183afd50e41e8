"""Answers of something slow, in order, while the next ones are under way."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(work: Callable[[T], R], items: Iterable[T], at_once: int) -> Iterator[R]:
    """Like `map`, with `at_once` threads; never more items are taken than that and one.

    Args:
        work: waits for a disk or a network.
        items: taken as the answers are.
        at_once: calls under way.
    """
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="pleura-ahead")
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > at_once:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
