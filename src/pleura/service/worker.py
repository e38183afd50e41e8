"""A process that judges: one warm model, one job after the other."""

import logging
import os
import sys
import time
from importlib import import_module
from pathlib import Path

from pleura.service.child import Stop, unique_name
from pleura.service.errors import StoreUnavailableError
from pleura.service.judge import Judge
from pleura.service.presence import Presence
from pleura.service.recipe import load_predictor
from pleura.service.store import Job
from pleura.service.wiring import Service

__all__ = ["judge_forever", "resident_mib", "unique_name"]

BEAT_SECONDS = 15.0
"""Seconds between two signs of life in the table `workers`."""
_CLAIM_SECONDS = 60.0
_PAUSE_SECONDS = 1.0

_log = logging.getLogger(__name__)


def judge_forever(service: Service, stop: Stop) -> None:
    """Judge jobs until it is told to stop, or the process has grown too large.

    Args:
        service: opened by this process.
        stop: see `Stop`; the job in hand is given back if the time to stop runs out.

    Raises:
        ModelError: the model cannot be loaded.
    """
    _Worker(service, stop).run()


def resident_mib() -> float:
    """Memory that this process holds, in MiB."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        pages = int(statm.read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    import resource  # not on every system

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


class _Worker:
    def __init__(self, service: Service, stop: Stop) -> None:
        self._service = service
        self._stop = stop
        self._settings = service.settings.worker
        self._name = stop.name
        self._predecessor = stop.predecessor
        self._in_hand: Job | None = None
        self._presence = Presence(service.engine)
        self._beat_at = 0.0
        self._hindrance = ""
        self._judge = Judge(
            load_predictor(service.settings.model, workers=self._settings.count),
            service.recipe,
            service.files,
            service.jobs,
            self._settings,
            self._name,
        )
        # highdicom takes a while to load, which is not to be part of the time of the first job.
        import_module("pleura.outputs.dicom.build")
        stop.last_words = self._give_back

    def run(self) -> None:
        """Judge until stopped."""
        recipe = self._service.recipe
        _log.info("judging with %s %s", recipe.model_name, recipe.model_version)
        while not self._stop.is_set():
            self._stop.due(self._settings.job_seconds + _CLAIM_SECONDS)
            try:
                pause = self._step()
            except StoreUnavailableError:
                pause = self._hindered("the database cannot be reached")
            if pause is None:
                break
            if pause > 0:
                self._stop.wait(pause)
        self._leave()

    def _step(self) -> float | None:
        """Do one job; returns seconds to wait before the next, None to end."""
        if self._predecessor is not None:  # what it held need not wait for its lease
            self._service.jobs.end_leases(self._predecessor)
            self._presence.leave(self._predecessor)
            self._predecessor = None
        if time.monotonic() >= self._beat_at:
            self._presence.beat(self._name, self._service.recipe)
            self._beat_at = time.monotonic() + BEAT_SECONDS
        if not self._service.files.room_for_results():
            return self._hindered("the disk is nearly full")
        try:
            job = self._judge.work(self._begun)
        finally:
            self._in_hand = None
        self._hindrance = ""
        if job is None:
            return self._settings.poll_seconds
        size = resident_mib()
        if size > self._settings.memory_mib:
            _log.warning("%.0f MiB of memory are more than worker.memory_mib; ending", size)
            return None
        return 0.0

    def _hindered(self, hindrance: str) -> float:
        """Seconds to wait; said once, and not at every look."""
        if hindrance != self._hindrance:
            _log.warning("no job is begun: %s", hindrance)
        self._hindrance = hindrance
        return _PAUSE_SECONDS

    def _begun(self, job: Job) -> None:
        self._in_hand = job
        self._stop.due(self._settings.job_seconds)

    def _give_back(self) -> None:
        job = self._in_hand
        if job is not None:
            self._service.jobs.release(job)
            _log.info("job %s: given back", job.id)
        self._leave()

    def _leave(self) -> None:
        try:
            self._presence.leave(self._name)
        except StoreUnavailableError:
            _log.info("the database cannot be reached; the sign of life stays")
