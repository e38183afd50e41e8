"""Ray nodes as processes of their own, each with an address of the loopback network (Linux)."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from scale_tools import descendants, end_with_the_tests, environment, until

HEAD, SECOND = "127.0.0.2", "127.0.0.3"
NO_TOKEN = {"RAY_AUTH_MODE": "disabled"}
"""For nodes and whoever joins them: by default it depends on a file in the user's folder."""
STORE_BYTES = 100 * 1024 * 1024


def free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class Node:
    """One node, with one processor; all of its processes can be killed at once."""

    def __init__(self, host: str, log: Path, *arguments: str) -> None:
        self.log = log
        command = [Path(sys.executable).with_name("ray"), "start", "--block", "--num-cpus=1"]
        ports = ("--min-worker-port=0", "--max-worker-port=0", "--disable-usage-stats")
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [
                    *map(str, command),
                    f"--node-ip-address={host}",
                    f"--object-store-memory={STORE_BYTES}",
                    f"--dashboard-agent-listen-port={free_port(host)}",
                    *ports,
                    *arguments,
                ],
                env=environment(**NO_TOKEN),
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                preexec_fn=end_with_the_tests,
            )

    def started(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return "Ray runtime started" in self.log.read_text()

    def processes(self) -> list[int]:
        """All of its processes; Ray gives each worker a group of its own."""
        return descendants(self.process.pid)

    def has_actor(self) -> bool:
        """Whether one of its processes is an actor that judges."""
        return any(b"ChunkActor" in _command(pid) for pid in self.processes())

    def kill(self) -> None:
        """SIGKILL to every process at once, as when a machine loses its power."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(20)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


class TwoNodes:
    """A head and a second node."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="plr-"))  # short: paths of sockets are
        port = free_port(HEAD)
        self.address = f"{HEAD}:{port}"
        self.head = Node(
            HEAD,
            self._folder / "head.log",
            "--head",
            f"--port={port}",
            f"--ray-client-server-port={free_port(HEAD)}",
            "--include-dashboard=false",
            f"--temp-dir={self._folder}",
        )
        until(self.head.started, 60, "the head starts")
        self.second = self.add()

    def add(self) -> Node:
        """A further node."""
        node = Node(SECOND, self._folder / "second.log", f"--address={self.address}")
        until(node.started, 60, "the second node starts")
        return node

    def close(self) -> None:
        self.second.kill()
        self.head.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
