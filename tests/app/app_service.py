"""`pleura serve` in a process of its own, and a worker in a thread of the tests."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app_server import end_with_the_tests

START_SECONDS = 60.0


@dataclass
class Service:
    """A REST API that runs for these tests alone.

    Attributes:
        url: its address.
        keys: by role.
        working: while it is set, films are judged.
    """

    url: str
    keys: dict[str, str]
    working: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving_api(folder: Path, model: Path, wait_seconds: float) -> Iterator[Service]:
    """Run the service until the block ends.

    Args:
        folder: for settings, data and log.
        model: folder of the model.
        wait_seconds: that an upload waits for its results at most.
    """
    from pleura.service.keys import KeyStore, Role
    from pleura.service.settings import load_settings
    from pleura.service.wiring import open_service

    path = folder / "pleura.toml"
    path.write_text(
        f'[storage]\nfolder = "{folder / "data"}"\nreserve_gib = 0.01\n'
        f'[model]\nmodel = "{model}"\nthreads = 1\n[worker]\nformats = ["png", "seg", "sr"]\n'
        f"[api]\nport = 0\nwait_seconds = {wait_seconds}\n"
    )
    opened = open_service(load_settings(path))
    keys = {role.value: KeyStore(opened.engine).make(role.value, role) for role in Role}
    log = folder / "service.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", "from pleura.cli.main import main; main()",
             "serve", "--settings", str(path)],
            stdout=stream,
            stderr=stream,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            preexec_fn=end_with_the_tests,
        )  # fmt: skip
    stop = threading.Event()
    try:
        service = Service(_address(log, process), keys)
        service.working.set()
        worker = threading.Thread(target=_work, args=(opened, service, stop), daemon=True)
        worker.start()
        yield service
        stop.set()
        worker.join(20)
    finally:
        stop.set()
        process.kill()
        process.wait()
        opened.close()


def _address(log: Path, process: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        said = log.read_text(errors="replace")
        assert process.poll() is None, said
        found = re.search(r"listening on (http://127\.0\.0\.1:\d+)", said)
        if found:
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"the service did not start:\n{log.read_text(errors='replace')}")


def _work(opened: Any, service: Service, stop: threading.Event) -> None:
    from pleura.service.judge import Judge
    from pleura.service.recipe import load_predictor

    predictor = load_predictor(opened.settings.model)
    judge = Judge(
        predictor, opened.recipe, opened.files, opened.jobs, opened.settings.worker, "tests"
    )
    while not stop.is_set():
        if not service.working.is_set() or judge.work() is None:
            stop.wait(0.02)
