"""The Ray engine on two nodes: the same rows as the local engine, also when a node is killed."""

import ipaddress
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scale_cluster import NO_TOKEN, TwoNodes
from scale_tools import (
    alive,
    descendants,
    fill,
    listening,
    parts,
    rows_of,
    run,
    running,
    until,
)

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="two nodes on one machine need addresses 127.0.0.2 and .3"
)
COUNT, CHUNK = 400, 10


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoNodes]:
    nodes = TwoNodes()
    yield nodes
    nodes.close()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Names enough to kill a node among them."""
    return fill(tmp_path_factory.mktemp("many"), COUNT, side=448)


@pytest.fixture(scope="module")
def expected(
    many: Path, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, object]]:
    """The rows of the local engine."""
    output = tmp_path_factory.mktemp("expected") / "out"
    run(many, output, "--model", model, "--chunk", str(CHUNK), status=1)
    return rows_of(output)


def test_a_node_is_killed_in_the_middle(
    cluster: TwoNodes,
    many: Path,
    model: Path,
    expected: list[dict[str, object]],
    tmp_path: Path,
) -> None:
    output = tmp_path / "out"
    arguments = [many, output, "--model", model, "--chunk", str(CHUNK), "--engine", "ray"]
    arguments += ["--address", cluster.address, "--workers", "2"]
    with running(*arguments, **NO_TOKEN) as process:
        until(lambda: cluster.second.has_actor(), 90, "an actor is on the second node")
        until(lambda: len(parts(output)) >= 10, 90, "the cluster judges")
        cluster.second.kill()
        before = len(parts(output))
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 1, said
    assert 10 <= before < len(parts(output)), "killed in the middle"
    assert rows_of(output) == expected
    report = json.loads((output / "report.json").read_text())
    assert report["inputs"] == len(expected) == COUNT + 3
    assert report["last_command"]["engine"] == "ray"


def test_a_killed_run_continues_on_either_engine(
    cluster: TwoNodes,
    many: Path,
    model: Path,
    expected: list[dict[str, object]],
    tmp_path: Path,
) -> None:
    output = tmp_path / "out"
    arguments = [many, output, "--model", model, "--chunk", str(CHUNK)]
    on_ray = [*arguments, "--engine", "ray", "--address", cluster.address, "--workers", "1"]
    with running(*on_ray, **NO_TOKEN) as process:
        until(lambda: len(parts(output)) >= 5, 90, "the cluster judges")
        process.kill()
        process.wait(20)
    before = parts(output)
    assert len(before) < COUNT // CHUNK, "killed in the middle"
    run(*arguments, "--workers", "1", status=1)
    assert rows_of(output) == expected


def test_a_cluster_that_is_not_there(many: Path, model: Path, tmp_path: Path) -> None:
    arguments = ["--engine", "ray", "--address", "nowhere", "--model", model]
    said = run(many, tmp_path / "out", *arguments, status=2)
    assert "store_error" in said or "address" in said


def test_a_ray_of_this_machine_alone(model: Path, tmp_path: Path) -> None:
    """Without an address Ray begins and ends with the run, and listens to this machine alone."""
    folder = fill(tmp_path / "in", 30)
    arguments = [folder, tmp_path / "out", "--model", model, "--chunk", "8", "--workers", "1"]
    with running(*arguments, "--engine", "ray", RAY_ADDRESS="") as process:
        until(lambda: parts(tmp_path / "out"), 90, "Ray judges")
        found = descendants(process.pid)
        addresses = listening(found)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert addresses, "Ray listens"
    assert all(ipaddress.ip_address(address).is_loopback for address in addresses), addresses
    until(lambda: not any(map(alive, found)), 30, "Ray ends with the run")
    run(folder, tmp_path / "local", *arguments[2:], status=1)
    assert rows_of(tmp_path / "out") == rows_of(tmp_path / "local")
