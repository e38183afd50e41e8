"""A service to be tried out: its parts as processes of their own, its disk, its destination."""

import ctypes
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from service_tools import end_with_the_tests, free_port, until

from pleura.service.keys import KeyStore, Role
from pleura.service.settings import Settings, load_settings
from pleura.service.wiring import open_service

PLEURA = (sys.executable, "-c", "from pleura.cli.main import main; main()")
DESTINATION = "PACS"
_PR_SET_CHILD_SUBREAPER = 36
_STARTED = re.compile(r"supervisor \[\d+\] (\w+) (\d+) started")


class Part:
    """One part of the service, or its destination, as a process that can be killed.

    Args:
        command: starts it.
        log: what it writes to stderr is added here.
        port: that it listens on; None for none.
    """

    def __init__(self, command: tuple[str, ...], log: Path, port: int | None = None) -> None:
        self._command = command
        self._log = log
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; from the main thread, whose end it does not outlive."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
                preexec_fn=end_with_the_tests(),
            )

    def kill(self, *, children: bool = False) -> int:
        """SIGKILL, to its children as well if wanted; returns how many processes that were."""
        assert self._process is not None
        doomed = self.children() if children else set()
        self._process.kill()
        for pid in doomed:
            _kill(pid)
        self._process.wait()
        self._process = None
        return 1 + len(doomed)

    def stop(self, seconds: float = 60.0) -> int | None:
        """SIGTERM; returns the exit status, None where it does not stop and is killed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill(children=True)
            return None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def ended_by_itself(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def is_up(self) -> bool:
        """Whether it listens; where it has no port, whether it has a child."""
        if self._port is None:
            return bool(self.children())
        return listens(self._port)

    def children(self) -> set[int]:
        """Processes that are its children now."""
        return set() if self._process is None else _children_of(self._process.pid)

    def roles(self) -> dict[int, str]:
        """What each of its children does; the log is the only place where that stands."""
        living = self.children()
        lines = _STARTED.findall(self._log.read_text(errors="replace")) if living else []
        return {int(pid): role for role, pid in lines if int(pid) in living}

    def kill_child(self, role: str) -> None:
        """SIGKILL to a child of this role; waited for, since it may be about to be replaced."""

        def first() -> int | None:
            return next((pid for pid, found in self.roles().items() if found == role), None)

        pid = until(first, 60, f"a process for {role}")
        assert pid is not None
        _kill(pid)


@dataclass
class Bench:
    """The parts together.

    Attributes:
        folder: of logs, settings and records.
        settings: as the parts read them.
        key: of the API, with the role submit.
        arrivals: what the destination has taken, a JSON line each.
    """

    folder: Path
    settings: Settings
    key: str
    node: Part
    api: Part
    worker: Part
    destination: Part
    arrivals: Path
    parts: dict[str, Part] = field(init=False)

    def __post_init__(self) -> None:
        self.parts = {"node": self.node, "API": self.api, "worker": self.worker}

    @property
    def node_port(self) -> int:
        return self.settings.node.port

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.api.port}"

    def start(self) -> None:
        """Start everything, and wait until it is up."""
        for part in (self.destination, *self.parts.values()):
            part.start()
        for name, part in (("destination", self.destination), *self.parts.items()):
            until(part.is_up, 120, f"{name} is up")

    def stop(self) -> list[str]:
        """Stop everything in good order; returns which did not."""
        ended = {name: part.stop() for name, part in self.parts.items()}
        self.destination.kill()
        return [f"{name}: exit status {code}" for name, code in ended.items() if code != 0]


@contextmanager
def benched(folder: Path, settings: str) -> Iterator[Bench]:
    """A bench whose processes do not outlive it.

    Args:
        folder: exists, and is empty.
        settings: in TOML, of storage, model and worker.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # orphans become ours
    ours = _children_of(os.getpid())
    file, port, arrivals = folder / "pleura.toml", free_port(), folder / "arrivals.jsonl"
    file.write_text(settings + _connections(port))
    loaded = load_settings(file)
    service = open_service(loaded)
    key = KeyStore(service.engine).make("bench", Role.SUBMIT)
    service.close()
    receiver = (sys.executable, str(Path(__file__).with_name("service_destination.py")), str(port))

    def part(name: str, *command: str, listens_on: int | None = None) -> Part:
        started = (*PLEURA, *command, "--settings", str(file))
        return Part(started, folder / f"{name}.log", listens_on)

    try:
        yield Bench(
            folder=folder,
            settings=loaded,
            key=key,
            node=part("node", "node", "--listen-only", listens_on=loaded.node.port),
            api=part("api", "serve", listens_on=loaded.api.port),
            worker=part("worker", "worker"),
            destination=Part((*receiver, str(arrivals)), folder / "destination.log", port),
            arrivals=arrivals,
        )
    finally:
        for pid in _children_of(os.getpid()) - ours:
            for child in _children_of(pid):
                _kill(child)
            _kill(pid)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _connections(destination_port: int) -> str:
    return f"""
[node]
host = "127.0.0.1"
port = {free_port()}
any_peer = true

[api]
port = {free_port()}

[[destinations]]
name = "{DESTINATION}"
kind = "dicom"
host = "127.0.0.1"
port = {destination_port}
ae_title = "PACS"
connect_seconds = 5
response_seconds = 20
"""


def listens(port: int) -> bool:
    """Whether somebody listens, by the kernel's table: asking would be one more connection."""
    wanted = f":{port:04X}"
    tables = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
    rows = (line.split() for table in tables if table.exists() for line in table.open())
    return any(row[1].endswith(wanted) and row[3] == "0A" for row in rows)


def _children_of(pid: int) -> set[int]:
    """Of all threads of a process."""
    found: set[int] = set()
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found.update(map(int, listed.read_text().split()))
    return {child for child in found if _lives(child)}


def _lives(pid: int) -> bool:
    """Whether it runs; one that was killed stays listed until its parent has looked."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
