"""A process of the service: it opens the service, does its part, and stops when it is told.

It is told by SIGTERM, or by the end of the pipe from its parent, which comes when the parent says
so and also when the parent dies. Then it has `worker.stop_seconds` to finish what is in hand.
"""

import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Protocol

from pleura.service.logs import configure_logging, log_exception
from pleura.service.settings import Settings

_log = logging.getLogger(__name__)


class Deadline(Protocol):
    """A number that parent and child share: the time of the monotonic clock, 0 for none."""

    value: float


class Stop(threading.Event):
    """Set when the process shall stop; also tells the parent that the process is not hung.

    Args:
        deadline: shared with the parent, if there is one.
        name: unique, for leases.
        predecessor: name of the process whose place this one takes, which is dead.

    Attributes:
        name: as given, or a new one.
        predecessor: as given.
        last_words: called when the time to stop has run out, before the process is ended; gives
            back what is in hand.
    """

    def __init__(
        self, deadline: Deadline | None = None, name: str = "", predecessor: str | None = None
    ) -> None:
        super().__init__()
        self._deadline = deadline
        self.name = name or unique_name()
        self.predecessor = predecessor
        self.last_words: Callable[[], None] = lambda: None

    def due(self, seconds: float | None) -> None:
        """The parent kills this process unless this is called again in time; None: never."""
        if self._deadline is not None:
            self._deadline.value = 0.0 if seconds is None else time.monotonic() + seconds


def unique_name() -> str:
    """A name for leases that nobody else has or had."""
    return f"{socket.gethostname()[:64]}:{os.getpid()}:{secrets.token_hex(4)}"


def run_child(
    target: str,
    settings: Settings,
    pipe: Connection,
    deadline: Deadline,
    name: str,
    predecessor: str | None,
) -> None:
    """The main function of a process.

    Args:
        target: `module:function`; called with the service and a `Stop`, returns when that is set.
        settings: of the service.
        pipe: from the parent; nothing is sent, its end means to stop.
        deadline: see `Stop`.
        name: see `Stop`.
        predecessor: see `Stop`.
    """
    configure_logging(settings.logs)
    stop = Stop(deadline, name, predecessor)
    end = _Ending(stop, settings.worker.stop_seconds)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent as well
    signal.signal(signal.SIGTERM, lambda *_: end.begin())
    threading.Thread(target=end.await_parent, args=(pipe,), daemon=True).start()
    try:
        from pleura.service.wiring import open_service

        service = open_service(settings)
        module, _, function = target.partition(":")
        getattr(import_module(module), function)(service, stop)
        service.close()
    except BaseException as error:  # printed by nobody else: its text may quote an image
        log_exception(error)
        _end(1)
    _end(0)


def _end(status: int) -> None:
    """End this process, whatever its threads still do."""
    logging.shutdown()
    os._exit(status)


class _Ending:
    """The end of a process: in good time, or when the time has run out."""

    def __init__(self, stop: Stop, seconds: float) -> None:
        self._stop = stop
        self._timer = threading.Timer(seconds, self._run_out)
        self._timer.daemon = True
        self._begun = threading.Lock()

    def begin(self) -> None:
        """Tell the process to stop."""
        if self._begun.acquire(blocking=False):
            self._stop.due(None)
            self._stop.set()
            self._timer.start()

    def await_parent(self, pipe: Connection) -> None:
        """Wait until the parent has closed the pipe, or has died."""
        pipe.poll(None)
        self.begin()

    def _run_out(self) -> None:
        try:
            self._stop.last_words()
        except Exception as error:  # the process ends all the same
            _log.warning("nothing could be given back: %s", type(error).__name__)
        finally:
            os._exit(0)
