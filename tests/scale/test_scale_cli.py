"""The command: exit statuses, what it says, and what it says on a terminal."""

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from scale_tools import (
    COMMAND,
    alive,
    children_of,
    environment,
    fill,
    image,
    linux,
    run,
    running,
    until,
)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Two radiographs and nothing else."""
    folder = tmp_path / "good"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.dcm").write_bytes(image(number))
    return folder


def test_all_predicted(good: Path, model: Path, tmp_path: Path) -> None:
    said = run(good, tmp_path / "out", "--model", model, status=0)
    assert "2 predicted (1 with pneumothorax), 0 refused, 0 failed." in said
    assert "not a medical device" in said
    again = run(good, tmp_path / "out", "--model", model, status=0)
    assert "2 of 2 had been judged before." in again


def test_nothing_predicted(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    run(tmp_path / "in", tmp_path / "out", "--model", model, status=3)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["inputs"] == 0
    (tmp_path / "in" / "notes.txt").write_text("no radiograph")
    run(tmp_path / "in", tmp_path / "out", "--model", model, status=3)


def test_an_object_that_cannot_be_made_is_said(model: Path, tmp_path: Path) -> None:
    import cv2
    import numpy as np

    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.png"), np.arange(300 * 300).reshape(300, 300) % 251)
    arguments = (tmp_path / "in", tmp_path / "out", "--model", model, "--write", "sr")
    assert "DICOM objects: 1 not written (no_dicom_source 1)." in run(*arguments, status=1)


def test_the_networks_run_in_the_engine_that_is_asked_for(
    good: Path, model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    arguments = (good, tmp_path / "out", "--model", model, "--networks")
    run(*arguments, "openvino", status=0)
    (part,) = (tmp_path / "out" / "parts").iterdir()
    assert pq.read_table(part)["model_engine"].to_pylist() == ["openvino"] * 2
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["model"]["engine"] == "openvino"
    assert "batch_changed" in run(*arguments, "onnxruntime", status=2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--networks", "pytorch"], "--networks"),
        (["--engine", "spark"], "--engine"),
        (["--address", "127.0.0.1:1"], "--address"),
        (["--write", "tiff"], "--write"),
        (["--gate", "perhaps"], "--gate"),
        (["--chunk", "0"], "--chunk"),
        (["--model", "no-such-model"], "model_error"),
        (["--operating-point", "no-such-point"], "model_error"),
    ],
)
def test_wrong_usage_writes_nothing(
    arguments: list[str], said: str, good: Path, model: Path, tmp_path: Path
) -> None:
    given = arguments if "--model" in arguments else [*arguments, "--model", str(model)]
    assert said in run(good, tmp_path / "out", *given, status=2, NO_COLOR="1", TERM="dumb")
    assert not (tmp_path / "out").exists()


def test_an_input_that_is_not_there(model: Path, tmp_path: Path) -> None:
    said = run(tmp_path / "absent", tmp_path / "out", "--model", model, status=2)
    assert "not_found" in said
    assert not (tmp_path / "out").exists()


def test_a_damaged_model(good: Path, model: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "model"
    damaged.mkdir()
    for path in model.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    (damaged / "classifier.onnx").write_bytes(b"no network")
    run(good, tmp_path / "out", "--model", damaged, status=3)
    (damaged / "manifest.json").write_text("{}")
    run(good, tmp_path / "other", "--model", damaged, status=3)


@pytest.mark.parametrize(("package", "engine"), [("pyarrow", "local"), ("ray", "ray")])
def test_a_package_that_is_missing_is_named(
    package: str, engine: str, good: Path, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{package!r}] = None\n")
    arguments = (good, tmp_path / "out", "--model", model, "--engine", engine)
    said = run(*arguments, status=2, PYTHONPATH=str(tmp_path))
    assert f"'{package}'" in said
    assert "pleura[scale]" in said


@linux
def test_an_interrupt_ends_the_workers(model: Path, tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 400)
    arguments = (folder, tmp_path / "out", "--model", model, "--chunk", "8", "--workers", "1")
    with running(*arguments) as process:
        until(lambda: any((tmp_path / "out").glob("parts/*.parquet")))
        workers = children_of(process.pid)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode not in (0, 3), said
    assert workers
    until(lambda: not any(map(alive, workers)), 20, "the workers end")


def test_progress_on_a_terminal(model: Path, tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 200)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, str(folder), str(tmp_path / "out"), "--model", str(model), "--chunk", "16"],
        env=environment(TERM="xterm", COLUMNS="120"),
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while read := os.read(ours, 65536):
            shown += read
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    assert process.wait(60) == 1
    assert b"listed so far" in shown
    assert b"images/s" in shown
