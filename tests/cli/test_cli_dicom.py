"""`pleura predict --write seg,sr,sc` as a user meets it: files, refusals, exit status."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from pleura.cli.main import main
from pleura.phantom import draw, spec_for, write_dicom


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films as DICOM, one as PNG."""
    folder = tmp_path_factory.mktemp("drawn")
    for seed in (1, 2):
        write_dicom(draw(spec_for(seed, True)), folder / f"film-{seed}.dcm")
    picture = draw(spec_for(3, True)).pixels
    assert cv2.imwrite(str(folder / "film-3.png"), np.asarray(picture))
    return folder


@pytest.fixture
def inputs(drawn: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(drawn, tmp_path / "in"))


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_each_and_status_0(
    capsys: pytest.CaptureFixture[str], model_folder: Path, inputs: Path, tmp_path: Path
) -> None:
    (inputs / "film-3.png").unlink()
    out = tmp_path / "out"
    arguments = ("--write", "seg,sr,sc", "--seg-negatives", "--model", model_folder)
    status, said, _ = call(capsys, "predict", inputs, "-o", out, *arguments)
    assert status == 0
    assert "DICOM objects" not in said
    assert names(out) == ["sc", "seg", "sr"]
    for kind, modality in (("seg", "SEG"), ("sr", "SR"), ("sc", "OT")):
        assert names(out / kind) == ["film-1.dcm", "film-2.dcm"]
        for name in names(out / kind):
            made = pydicom.dcmread(out / kind / name)
            source = pydicom.dcmread(inputs / name)
            assert made.Modality == modality
            assert made.PatientID == source.PatientID
            assert made.StudyInstanceUID == source.StudyInstanceUID


@pytest.mark.parametrize("jsonl", [False, True])
def test_an_input_without_a_header_is_said_and_is_status_1(
    capsys: pytest.CaptureFixture[str],
    model_folder: Path,
    inputs: Path,
    tmp_path: Path,
    jsonl: bool,
) -> None:
    out = tmp_path / "out"
    arguments = ["--write", "json,sr,sc", "--model", model_folder, *(["--jsonl"] * jsonl)]
    status, said, errors = call(capsys, "predict", inputs, "-o", out, *arguments)
    assert status == 1
    told = errors if jsonl else said
    assert "DICOM objects: 2 not written [no_dicom_source]." in told
    assert "film-3.png" in told.split("DICOM objects")[1]
    assert "3 predicted" in told
    if jsonl:
        assert "DICOM objects" not in said
    assert names(out / "sr") == names(out / "sc") == ["film-1.dcm", "film-2.dcm"]
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 3


def test_objects_are_not_taken_as_inputs_again(
    capsys: pytest.CaptureFixture[str], model_folder: Path, inputs: Path
) -> None:
    (inputs / "film-3.png").unlink()
    out = inputs / "results"
    arguments = ("-o", out, "--write", "seg,sr,sc", "--model", model_folder)
    for _ in range(2):
        status, said, _ = call(capsys, "predict", inputs, *arguments)
        assert status == 0
        assert "2 predicted" in said


def test_the_demo_writes_them_too(
    capsys: pytest.CaptureFixture[str], model_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "demo"
    _, said, _ = call(capsys, "demo", "-o", out, "--model", model_folder)
    assert str(out / "seg") in said
    assert len(names(out / "sr")) == len(names(out / "sc")) == 4
