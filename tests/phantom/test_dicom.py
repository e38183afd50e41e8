"""A phantom as a DICOM file, read back with pydicom and judged by a validator."""

import shutil
import subprocess
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest

from pleura.phantom import (
    Phantom,
    PhantomSpec,
    Photometric,
    draw,
    spec_for,
    to_dicom,
    write_dicom,
)


@cache
def phantom(seed: int = 13, rows: int = 192, columns: int = 192) -> Phantom:
    return draw(replace(spec_for(seed, True), rows=rows, columns=columns))


def read(raw: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(BytesIO(raw))


def test_pixels_return_unchanged() -> None:
    dataset = read(to_dicom(phantom()))
    assert dataset.PhotometricInterpretation == "MONOCHROME2"
    assert dataset.BitsStored == 8
    assert np.array_equal(dataset.pixel_array, phantom().pixels)


def test_an_odd_number_of_pixels_is_padded() -> None:
    odd = phantom(13, 129, 131)
    assert np.array_equal(read(to_dicom(odd)).pixel_array, odd.pixels)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("photometric", list(Photometric))
def test_every_depth_and_interpretation_shows_the_same_picture(
    photometric: Photometric, bits: int
) -> None:
    dataset = read(to_dicom(phantom(), photometric=photometric, bits=bits))
    top = 2**bits - 1
    stored = dataset.pixel_array.astype(float)
    shown = stored if photometric is Photometric.MONOCHROME2 else top - stored
    assert (dataset.BitsStored, dataset.HighBit) == (bits, bits - 1)
    assert np.array_equal(np.round(shown * 255 / top), phantom().pixels)
    assert float(dataset.WindowCenter) == 2 ** (bits - 1)
    assert float(dataset.WindowWidth) == 2**bits
    inverse = photometric is Photometric.MONOCHROME1
    assert dataset.PresentationLUTShape == ("INVERSE" if inverse else "IDENTITY")


def test_the_header_says_that_nobody_was_x_rayed() -> None:
    dataset = read(to_dicom(phantom()))
    assert str(dataset.PatientName) == "SYNTHETIC^PHANTOM"
    assert dataset.PatientID == "SYNTHETIC-13"
    assert dataset.PatientBirthDate == ""
    assert "synthetic" in dataset.ImageComments.lower()
    assert "synthetic" in dataset.DerivationDescription.lower()
    assert dataset.BurnedInAnnotation == "NO"


def test_the_header_describes_a_frontal_chest_radiograph() -> None:
    drawn = phantom()
    dataset = read(to_dicom(drawn))
    assert dataset.SOPClassUID.name == "Digital X-Ray Image Storage - For Presentation"
    assert dataset.PresentationIntentType == "FOR PRESENTATION"
    assert dataset.Modality == "DX"
    assert dataset.BodyPartExamined == "CHEST"
    assert dataset.ViewPosition == drawn.spec.view.value
    assert dataset.PatientSex == drawn.spec.sex.value
    assert list(dataset.PatientOrientation) == ["L", "F"]
    for spacing in (dataset.PixelSpacing, dataset.ImagerPixelSpacing):
        assert list(spacing) == pytest.approx([drawn.spacing_mm] * 2, rel=1e-4)


def test_bytes_and_uids_follow_from_the_spec() -> None:
    one, again, other = (read(to_dicom(phantom(seed))) for seed in (13, 13, 3))
    assert to_dicom(phantom()) == to_dicom(draw(phantom().spec))
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        uid = one[keyword].value
        assert uid.is_valid
        assert uid.startswith("2.25.")
        assert uid == again[keyword].value
        assert uid != other[keyword].value
    inverted = read(to_dicom(phantom(), photometric="MONOCHROME1"))
    assert inverted.SOPInstanceUID != one.SOPInstanceUID
    assert inverted.StudyInstanceUID == one.StudyInstanceUID


def test_the_uid_of_a_spec_stays_what_it_is() -> None:
    blank = Phantom(np.zeros((128, 128), np.uint8), np.zeros((128, 128), np.bool_), PhantomSpec(3))
    alike = replace(blank, spec=PhantomSpec(np.int64(3)))  # type: ignore[arg-type]
    assert to_dicom(alike) == to_dicom(blank)
    assert read(to_dicom(blank)).StudyInstanceUID == "2.25.300324371548928605139814571004606643498"


def test_write_dicom_writes_the_same_bytes(tmp_path: Path) -> None:
    path = write_dicom(phantom(), tmp_path / "phantom.dcm", bits=12)
    assert path.read_bytes() == to_dicom(phantom(), bits=12)


@pytest.mark.parametrize("options", [{"bits": 10}, {"bits": 32}, {"photometric": "RGB"}])
def test_other_encodings_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"bits|RGB"):
        to_dicom(phantom(), **options)  # type: ignore[arg-type]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize(
    ("seed", "photometric", "bits"),
    [(13, "MONOCHROME2", 8), (3, "MONOCHROME1", 12), (10, "MONOCHROME1", 8)],
)
def test_dciodvfy_finds_no_error(tmp_path: Path, seed: int, photometric: str, bits: int) -> None:
    path = write_dicom(phantom(seed), tmp_path / "p.dcm", photometric=photometric, bits=bits)
    report = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    findings = (report.stdout + report.stderr).splitlines()
    assert "DXImageForPresentation" in findings
    assert [line for line in findings if line.startswith(("Error", "Warning"))] == []
