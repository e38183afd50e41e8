"""Removing what need not be kept: images and results by age and by quota, and left-over files."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from pleura.service.removal import remove_input, settle_removals
from pleura.service.store.clock import Clock, utc_now
from pleura.service.store.keeping import Keeping
from pleura.service.wiring import Service

LEFT_OVER_SECONDS = 3600.0
"""Age of files that belong to no job, from which on they are removed.

An image lies on disk before its job is written, and results before they are the job's.
"""
ABANDONED_AFTER = timedelta(days=7)
"""The least time in which somebody must have tried a delivery."""
_GIB = 1 << 30
_BATCH = 100

_log = logging.getLogger(__name__)


class Retention:
    """Removes files of one service; several may do so at once.

    Args:
        service: opened.
        clock: for tests.
    """

    def __init__(self, service: Service, clock: Clock = utc_now) -> None:
        self._files = service.files
        self._jobs = service.jobs
        self._deliveries = service.deliveries
        self._storage = service.settings.storage
        self._left_over = max(LEFT_OVER_SECONDS, 2 * service.settings.worker.lease_seconds)
        self._keeping = Keeping(service.engine)
        self._clock = clock

    def expire(self) -> int:
        """Remove images and results of finished jobs that are older than they are kept.

        Results stay while a delivery of them waits; one that was given up does not count, and one
        that nobody has tried for as long as results are kept is given up.

        Returns:
            Bytes removed.
        """
        now = self._clock()
        inputs_before = now - timedelta(days=self._storage.keep_inputs_days)
        results_before = now - timedelta(days=self._storage.keep_results_days)
        self._deliveries.give_up_abandoned(min(results_before, now - ABANDONED_AFTER))
        removed = 0
        for batch in _batches(self._keeping.droppable(inputs_before, results_before)):
            dropped = self._keeping.drop(batch, inputs_before, results_before)
            self._remove(dropped.inputs, dropped.results)
            removed += dropped.size
        return removed

    def make_room(self) -> int:
        """Remove images and results of the jobs finished first, until the quota is kept.

        Returns:
            Bytes removed.
        """
        over = self._keeping.used_bytes() - round(self._storage.quota_gib * _GIB)
        if over <= 0:
            return 0
        now = self._clock()
        removed = 0
        for batch in _batches(self._keeping.droppable(now, now), 10):
            dropped = self._keeping.drop(batch, now, now)
            self._remove(dropped.inputs, dropped.results)
            removed += dropped.size
            if removed >= over:
                break
        _log.warning("%d MiB over the quota, %d MiB removed early", over >> 20, removed >> 20)
        return removed

    def sweep(self) -> int:
        """Remove files that belong to no job: what processes left that died.

        Returns:
            Files and folders removed.
        """
        settle_removals(self._files, self._jobs)
        before = time.time() - self._left_over
        removed = 0
        for path in self._files.left_over():
            if _is_older(path, before):
                path.unlink(missing_ok=True)
                removed += 1
        for prefix in (f"{number:02x}" for number in range(256)):
            removed += self._sweep_branch(prefix, before)
        if removed:
            _log.info("%d files that belonged to no job were removed", removed)
        return removed

    def _sweep_branch(self, prefix: str, before: float) -> int:
        inputs = [path for path in self._files.stored_inputs(prefix) if _is_older(path, before)]
        results = [path for path in self._files.stored_results(prefix) if _is_older(path, before)]
        if inputs:
            kept = self._keeping.kept_inputs(prefix)
            inputs = [path for path in inputs if path.name not in kept]
        if results:
            kept = self._keeping.kept_results(prefix)
            results = [path for path in results if path.name not in kept]
        self._remove([path.name for path in inputs], [path.name for path in results])
        return len(inputs) + len(results)

    def _remove(self, inputs: Sequence[str], results: Sequence[str]) -> None:
        for sha256 in inputs:
            remove_input(self._files, self._jobs, sha256)
        for name in results:
            self._files.remove_results(name)


def _batches(ids: Sequence[str], size: int = _BATCH) -> Iterator[Sequence[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _is_older(path: Path, before: float) -> bool:
    with suppress(FileNotFoundError):  # somebody else was faster
        return path.stat().st_mtime < before
    return False
