"""`pleura serve` as a process of its own, and a socket to say to it whatever one likes."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from service_tools import end_with_the_tests, until

from pleura.service.keys import KeyStore, Role
from pleura.service.settings.storage import StorageSettings
from pleura.service.store import open_engine

_RUN = "from pleura.cli.main import main; main()"


class ApiProcess:
    """A running `pleura serve`; use as a context manager.

    Args:
        folder: for settings, data and log.
        model: folder of the model.
        settings: further lines of the section [api].
        arguments: of the command.
        more: further sections.
        scheme: `https` where the settings have TLS.
        port: to listen on; 0 for any.
    """

    def __init__(
        self,
        folder: Path,
        model: Path,
        settings: str = "",
        arguments: tuple[str, ...] = (),
        more: str = "",
        scheme: str = "http",
        port: int = 0,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.data = folder / "data"
        self._log = folder / "log"
        path = folder / "pleura.toml"
        path.write_text(
            f'[storage]\nfolder = "{self.data}"\nreserve_gib = 0.01\n'
            f'[model]\nmodel = "{model}"\nthreads = 1\n'
            f"[api]\nport = {port}\n{settings}\n{more}\n"
        )
        engine = open_engine(StorageSettings(folder=self.data))
        self.secrets = {role: KeyStore(engine).make(role.value, role) for role in Role}
        engine.dispose()
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _RUN, "serve", "--settings", str(path), *arguments],
                stdout=log,
                stderr=log,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                preexec_fn=end_with_the_tests(),
            )
        found = until(lambda: self._listens(scheme), seconds=60, what="pleura serve listens")
        self.address = ("127.0.0.1", int(found[1]))
        self.url = f"{scheme}://127.0.0.1:{found[1]}"

    def _listens(self, scheme: str) -> re.Match[str] | None:
        assert self.process.poll() is None, self.log
        return re.search(rf"listening on {scheme}://127.0.0.1:(\d+)", self.log)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def peak_mib(self) -> float:
        """Most memory that the process ever held (Linux)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024

    def headers(self, role: Role = Role.ADMIN) -> dict[str, str]:
        return {"authorization": f"Bearer {self.secrets[role]}"}

    def head(self, line: str, *more: str, role: Role = Role.ADMIN) -> bytes:
        """The head of a request with a key."""
        lines = [line, "Host: localhost", f"Authorization: Bearer {self.secrets[role]}", *more]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        made = socket.socket()
        if receive_buffer is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        made.settimeout(30)
        made.connect(self.address)
        return made

    def say(self, *pieces: bytes, hang_up: bool = False) -> bytes:
        """Send pieces, then read until the server closes or half a second is silent.

        Args:
            pieces: sent one after the other.
            hang_up: say that nothing more will come.
        """
        with self.connect() as connection:
            try:
                for piece in pieces:
                    connection.sendall(piece)
                if hang_up:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has answered, and does not listen any more
            return read_all(connection, silence=0.5)

    def stop(self, seconds: float = 30) -> int:
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.process.wait(seconds)

    def __enter__(self) -> "ApiProcess":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()


def read_all(connection: socket.socket, silence: float = 30) -> bytes:
    """What comes until the other side closes, or says nothing for so long after its first byte."""
    found = b""
    try:
        while piece := connection.recv(1 << 16):
            found += piece
            connection.settimeout(silence)
    except OSError:
        pass  # cut, or silent
    return found


def status_of(answer: bytes) -> int:
    """The status of the last answer; 0 for none."""
    found = re.findall(rb"HTTP/1\.1 (\d{3})", answer)
    statuses = [int(status) for status in found if status != b"100"]
    return statuses[-1] if statuses else 0


def closed_within(connection: socket.socket, seconds: float) -> bool:
    """Whether the other side closes in this time; what it says before is passed over."""
    end = time.monotonic() + seconds
    try:
        while (left := end - time.monotonic()) > 0:
            connection.settimeout(left)
            if not connection.recv(1 << 16):
                return True
    except TimeoutError:
        return False
    except OSError:
        return True
    return False
