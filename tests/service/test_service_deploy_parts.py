"""The three parts as the units and the compose file start them, with the container's own check."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest
from service_tools import end_with_the_tests, free_port, until

DEPLOY = Path(__file__).parents[2] / "deploy"
PARTS = ("api", "node", "worker")
PLEURA = (sys.executable, "-c", "from pleura.cli.main import main; main()")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> dict[str, str]:
    """The example's settings, with ports, folder and model of the test's own."""
    folder = tmp_path_factory.mktemp("parts")
    return os.environ | {
        "PLEURA_SETTINGS": str(DEPLOY / "pleura.toml"),
        "PLEURA_STORAGE__FOLDER": str(folder),
        "PLEURA_STORAGE__RESERVE_GIB": "0.01",
        "PLEURA_MODEL__MODEL": str(tiny_model),
        "PLEURA_API__PORT": str(free_port()),
        "PLEURA_NODE__PORT": str(free_port()),
        "PLEURA_WATCH__SELFTEST": "false",
        "OMP_NUM_THREADS": "1",
    }


def command_of(part: str) -> list[str]:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.read_string((DEPLOY / "systemd" / f"pleura-{part}.service").read_text())
    return unit["Service"]["ExecStart"].split()[1:]


def is_well(part: str, environment: dict[str, str]) -> bool:
    command = [sys.executable, str(DEPLOY / "healthcheck.py"), part]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0


@pytest.fixture(scope="module")
def parts(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator["dict[str, subprocess.Popen[bytes]]"]:
    log = tmp_path_factory.mktemp("log") / "log"
    with log.open("wb") as stream:
        running = {
            part: subprocess.Popen(
                [*PLEURA, *command_of(part)],
                env=environment,
                stdout=stream,
                stderr=stream,
                preexec_fn=end_with_the_tests(),
            )
            for part in PARTS
        }
        try:
            yield running
        finally:
            for process in running.values():
                process.kill()
                process.wait(timeout=20)


def test_every_part_comes_up_and_is_found_well_and_stops_when_it_is_told(
    environment: dict[str, str], parts: "dict[str, subprocess.Popen[bytes]]"
) -> None:
    for part in PARTS:
        until(lambda part=part: is_well(part, environment), 90, f"{part} is not well")
    for part in PARTS:
        assert parts[part].poll() is None
        parts[part].send_signal(signal.SIGTERM)
    for part in PARTS:
        assert parts[part].wait(timeout=60) == 0, part
        assert not is_well(part, environment), part


def test_a_part_without_its_service_is_not_well(tmp_path: Path) -> None:
    elsewhere = os.environ | {
        "PLEURA_STORAGE__FOLDER": str(tmp_path / "none"),
        "PLEURA_API__PORT": str(free_port()),
        "PLEURA_NODE__PORT": str(free_port()),
    }
    for part in (*PARTS, "no such part"):
        assert not is_well(part, elsewhere)
    assert not (tmp_path / "none").exists()  # looking makes nothing
