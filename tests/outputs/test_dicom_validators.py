"""What other people's programs say of the objects: dciodvfy of dicom3tools, and dcmtk."""

import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from dcmtk_reference import viewers
from dicom_cases import complaints, file_of, film, predict, run
from dicom_maker import DX, SC, table
from pydicom.dataset import FileDataset

from pleura import Predictor
from pleura.outputs import draw_overlay

POSITIVES: dict[str, dict[str, Any]] = {
    "usual": {},
    "dx": {"SOPClassUID": DX, "Modality": "DX"},
    "capture": {"SOPClassUID": SC},
    "capture of frames": {"SOPClassUID": f"{SC}.2"},
    "bare": dict.fromkeys(
        ("PatientOrientation", "PixelSpacing", "Manufacturer", "PatientAge", "BodyPartExamined")
    ),
    "another part": {"BodyPartExamined": "LUNG"},
    "lossy": {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "10",
        "LossyImageCompressionMethod": "ISO_10918_1",
        "BurnedInAnnotation": "NO",
    },
    "lossy without a ratio": {"LossyImageCompression": "01"},
    "japanese": {
        "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    },
    "cyrillic": {"SpecificCharacterSet": "ISO_IR 144", "PatientName": "Люкceмбypг"},
    "unicode": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Ørsted^Hans=山田^太郎"},
    "no character set": {"SpecificCharacterSet": None},
    "with a table": {"VOILUTSequence": table(0, list(range(256)), 8)},
}
OBJECTS = {
    "seg": {},
    "seg fractional": {"fractional": True},
    "sr": {},
    "sr with seg": {"seg_written": True},
    "sc": {},
}


def written(
    predictor: Predictor, source: FileDataset, name: str, path: Path, **options: bool
) -> Path:
    kind = name.split()[0]
    path.write_bytes(file_of(predict(predictor, source), kind, **OBJECTS[name], **options))
    return path


@pytest.mark.parametrize("case", POSITIVES)
@pytest.mark.parametrize("name", OBJECTS)
def test_dciodvfy_finds_no_error(
    predictor: Predictor, tmp_path: Path, name: str, case: str
) -> None:
    path = written(predictor, film(**POSITIVES[case]), name, tmp_path / "object.dcm")
    assert complaints(path) == []


@pytest.mark.parametrize("name", OBJECTS)
def test_dciodvfy_finds_no_error_in_negatives(
    predictor: Predictor, tmp_path: Path, name: str
) -> None:
    path = written(predictor, film(box=None), name, tmp_path / "object.dcm", negatives=True)
    assert complaints(path) == []


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_dciodvfy_would_find_one(predictor: Predictor, tmp_path: Path) -> None:
    path = written(predictor, film(StudyTime="noon"), "sr", tmp_path / "object.dcm")
    assert any("Study Time" in line for line in complaints(path))


@pytest.mark.parametrize("name", OBJECTS)
def test_dcmtk_reads_every_element(predictor: Predictor, tmp_path: Path, name: str) -> None:
    path = written(predictor, film(), name, tmp_path / "object.dcm")
    said = run("dcmdump", path)
    assert "[Quixote^Alonso]" in said
    assert "PLEURA_" in said


@pytest.mark.parametrize("name", ["sr", "sr with seg"])
@pytest.mark.parametrize("box", [(60, 40, 120, 100), None])
def test_dcmtk_reads_the_report(
    predictor: Predictor, tmp_path: Path, name: str, box: tuple[int, int, int, int] | None
) -> None:
    path = written(predictor, film(box=box), name, tmp_path / "sr.dcm")
    said = run("dsrdump", "+Pl", path)
    assert f'"Pneumothorax")=({"52101004" if box else "272519000"},SCT' in said
    assert "Verification Flag   : UNVERIFIED" in said
    assert "Research software, not a medical device." in said
    assert ("POLYLINE" in said) == (box is not None)
    assert ("Referenced Segmentation Frame" in said) == (box is not None and "seg" in name)


def shown(path: Path) -> np.ndarray:
    """What dcmtk shows of an image, uint8, blue-green-red or grey."""
    target = path.with_suffix(".pnm")
    subprocess.run([viewers()[0], "-q", "-O", "+op", str(path), str(target)], check=True)
    picture = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return picture


def test_dcmtk_shows_the_mask(predictor: Predictor, tmp_path: Path) -> None:
    path = written(predictor, film(), "seg", tmp_path / "seg.dcm")
    mask = predict(predictor, film()).mask
    assert mask.any()
    assert ((shown(path) > 0) == mask).all()


def test_dcmtk_shows_the_overlay(predictor: Predictor, tmp_path: Path) -> None:
    path = written(predictor, film(), "sc", tmp_path / "sc.dcm")
    assert (shown(path) == draw_overlay(predict(predictor, film()))).all()
