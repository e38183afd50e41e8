"""The parent of the service's processes: starts them, replaces them, stops them."""

import logging
import multiprocessing
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from pleura.service.child import run_child, unique_name
from pleura.service.settings import Settings

START_SECONDS = 300.0
"""Seconds after which a process that has not come up counts as hung."""
SHORT_LIFE_SECONDS = 10.0
"""A process that fails earlier than this is started again after a while, and not at once."""
LONGEST_PAUSE_SECONDS = 30.0
END_SECONDS = 15.0
"""Seconds beyond `worker.stop_seconds` that processes have to end."""
_LOOK_SECONDS = 0.5

_log = logging.getLogger(__name__)
_processes = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Role:
    """What a process does.

    Attributes:
        name: for the log.
        target: `module:function`, see `run_child`.
        watched: it calls `Stop.due`, and is killed when it does not in time.
    """

    name: str
    target: str
    watched: bool = False


JUDGE = Role("judge", "pleura.service.worker:judge_forever", watched=True)
DELIVERY = Role("delivery", "pleura.service.delivery:deliver_forever")
KEEPER = Role("keeper", "pleura.service.keeper:keep_forever")
NODE = Role("node", "pleura.service.node:listen_forever")
API = Role("api", "pleura.service.api:serve_forever")


def worker_roles(settings: Settings) -> list[Role]:
    """The processes of `pleura worker`."""
    delivery = [DELIVERY] if settings.destinations else []
    return [*[JUDGE] * settings.worker.count, *delivery, KEEPER]


def start_supervised(settings: Settings, *, node: bool = False, api: bool = False) -> None:
    """Run workers, and node and REST API if wanted, until SIGTERM or SIGINT; call it from main.

    Args:
        settings: of the service.
        node: run the DICOM node as well.
        api: run the REST API as well.
    """
    also = [role for role, wanted in ((NODE, node), (API, api)) if wanted]
    Supervisor(settings, [*worker_roles(settings), *also]).run()


class Supervisor:
    """Keeps one process for each role.

    Args:
        settings: handed to each process.
        roles: one for each process.
    """

    def __init__(self, settings: Settings, roles: Iterable[Role]) -> None:
        self._settings = settings
        self._children = [_Child(role, settings) for role in roles]
        self._stopping = False

    def run(self) -> None:
        """Keep the processes until SIGTERM or SIGINT, then stop them and return."""
        before = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            while not self._stopping:
                for child in self._children:
                    child.look_after()
                # A signal does not end the wait: it is looked for twice a second.
                wait([child.sentinel for child in self._children if child.alive], _LOOK_SECONDS)
        finally:
            self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, *_: object) -> None:
        self._stopping = True

    def _stop(self) -> None:
        _log.info("stopping")
        for child in self._children:
            child.tell_to_stop()
        end = time.monotonic() + self._settings.worker.stop_seconds + END_SECONDS
        for child in self._children:
            child.end(end - time.monotonic())
        _log.info("stopped")


class _Child:
    """One role, and the process that has it now."""

    def __init__(self, role: Role, settings: Settings) -> None:
        self._role = role
        self._settings = settings
        self._process: Any = None
        self._pipe: Connection | None = None
        self._deadline: Any = None
        self._name: str | None = None
        self._started = 0.0
        self._failures = 0
        self._start_at = 0.0

    @property
    def alive(self) -> bool:
        """Whether there is a process; it may have ended a moment ago."""
        return self._process is not None

    @property
    def sentinel(self) -> int:
        """Becomes readable when the process ends."""
        return int(self._process.sentinel)

    def look_after(self) -> None:
        """Start the process if there is none, replace one that has ended, kill one that hangs."""
        if self._process is not None and not self._process.is_alive():
            self._bury()
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self._start()
        elif 0.0 < self._deadline.value < time.monotonic():
            _log.error("%s %d hangs: killed", self._role.name, self._process.pid)
            self._process.kill()
            self._deadline.value = 0.0  # said once: it takes a moment to end

    def tell_to_stop(self) -> None:
        """Close the pipe that the process waits on."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def end(self, seconds: float) -> None:
        """Wait so long for the process to stop, then kill it."""
        if self._process is None:
            return
        self._process.join(max(seconds, 0.0))
        if self._process.is_alive():
            _log.error("%s %d does not stop: killed", self._role.name, self._process.pid)
            self._process.kill()
            self._process.join()
        self._process.close()
        self._process = None

    def _start(self) -> None:
        reader, self._pipe = _processes.Pipe(duplex=False)
        self._deadline = _processes.RawValue("d", 0.0)
        if self._role.watched:
            self._deadline.value = time.monotonic() + START_SECONDS
        predecessor, self._name = self._name, unique_name()
        told = (reader, self._deadline, self._name, predecessor)
        self._process = _processes.Process(
            target=run_child,
            name=f"pleura-{self._role.name}",
            args=(self._role.target, self._settings, *told),
        )
        self._process.start()
        reader.close()
        self._started = time.monotonic()
        _log.info("%s %d started", self._role.name, self._process.pid)

    def _bury(self) -> None:
        code, pid = self._process.exitcode, self._process.pid
        lived = time.monotonic() - self._started
        self._process.close()
        self._process = None
        self.tell_to_stop()
        short = code != 0 and lived < SHORT_LIFE_SECONDS
        self._failures = self._failures + 1 if short else 0
        pause = min(0.5 * 2.0**self._failures, LONGEST_PAUSE_SECONDS) if short else 0.0
        self._start_at = time.monotonic() + pause
        level = logging.INFO if code == 0 else logging.ERROR
        _log.log(
            level,
            "%s %d ended (%s) after %.0f s; started again in %.0f s",
            self._role.name,
            pid,
            _reason(code),
            lived,
            pause,
        )


def _reason(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
