"""The process that keeps house: retention, left-over files, and the daily watch."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from pleura.service.audit import AuditLog
from pleura.service.child import Stop
from pleura.service.logs import log_exception
from pleura.service.presence import Presence
from pleura.service.retention import Retention
from pleura.service.watch import daily
from pleura.service.wiring import Service

KEEP_SECONDS = 60.0
SWEEP_SECONDS = 6 * 3600.0
_DEAD = timedelta(days=1)

_log = logging.getLogger(__name__)


def keep_forever(service: Service, stop: Stop) -> None:
    """Keep house until it is told to stop; whatever fails is tried again a minute later.

    Args:
        service: opened by this process.
        stop: see `Stop`.
    """
    # The watch's self-test takes a while, and a full disk does not wait.
    watch = threading.Thread(
        target=_repeat, args=(stop, KEEP_SECONDS, lambda: daily(service)), daemon=True
    )
    watch.start()
    _repeat(stop, KEEP_SECONDS, _House(service).keep)


class _House:
    def __init__(self, service: Service) -> None:
        self._retention = Retention(service)
        self._presence = Presence(service.engine)
        self._audit = AuditLog(service.engine)
        self._audit_days = service.settings.api.keep_audit_days
        self._sweep_at = 0.0

    def keep(self) -> None:
        """One round."""
        self._retention.expire()
        self._retention.make_room()
        if time.monotonic() >= self._sweep_at:
            self._retention.sweep()
            self._presence.forget(_DEAD)
            self._audit.remove_old(self._audit_days)
            self._sweep_at = time.monotonic() + SWEEP_SECONDS


def _repeat(stop: Stop, seconds: float, work: Callable[[], object]) -> None:
    while not stop.is_set():
        try:
            work()
        except Exception as error:  # a lost database, a full disk: they come back
            _log.warning("keeping house failed, and is tried again in %.0f s", seconds)
            log_exception(error)
        stop.wait(seconds)
