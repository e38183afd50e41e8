"""A command of the service as a process of its own, which can be killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service_tools import end_with_the_tests

from pleura.service.settings import Settings

PLEURA = (sys.executable, "-c", "from pleura.cli.main import main; main()")


def environment(settings: Settings) -> dict[str, str]:
    """Every section as a variable: what `PLEURA_STORAGE={...}` may be."""
    sections = {
        f"PLEURA_{name.upper()}": getattr(settings, name).model_dump_json(exclude_defaults=True)
        for name in ("storage", "model", "worker", "node")
    }
    return os.environ | sections | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


class Running:
    """A process that runs."""

    def __init__(
        self,
        log: Path,
        settings: Settings,
        *command: str,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self.log = log
        tie = end_with_the_tests()

        def before() -> None:
            tie()
            prepare()

        with log.open("ab") as stream:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                [*PLEURA, *command],
                env=environment(settings),
                stdout=stream,
                stderr=stream,
                preexec_fn=before,
            )

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: Any) -> None:
        self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)

    def terminate(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def said(self) -> str:
        return self.log.read_text(errors="replace")
