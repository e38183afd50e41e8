"""Films with and without a bright box, the objects made of them, and other people's tools."""

import re
import shutil
import subprocess
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_maker import dataset, to_bytes
from pydicom.dataset import Dataset, FileDataset

from pleura import Prediction, Predictor
from pleura.outputs.dicom.build import build
from pleura.outputs.dicom.options import DicomOptions, Kind

NOW = datetime(2026, 3, 14, 15, 9, 26, 535897)
ROWS, COLUMNS = 300, 236
"""The bits of a row do not fill its bytes."""
BOX = (60, 40, 120, 100)
USUAL: dict[str, Any] = {
    "PatientBirthDate": "19700101",
    "PatientSex": "F",
    "PatientAge": "050Y",
    "StudyTime": "101112",
    "StudyID": "7",
    "AccessionNumber": "A-1605",
    "PatientOrientation": ["L", "F"],
    "PixelSpacing": ["0.143", "0.143"],
    "ReferringPhysicianName": "Rocinante^R",
    "Manufacturer": "Acme X-ray",
    "ManufacturerModelName": "Lamp 3",
    "BodyPartExamined": "CHEST",
    "SpecificCharacterSet": "ISO_IR 100",
}


def film(
    *, box: tuple[int, int, int, int] | None = BOX, columns: int = COLUMNS, **elements: Any
) -> FileDataset:
    """A dark film, with a bright box for a positive; `elements` replace or, with None, remove."""
    pixels = np.full((ROWS, columns), 5, dtype=np.uint8)
    pixels[::2, ::2] = 0
    if box is not None:
        top, left, bottom, right = box
        pixels[top:bottom, left:right] = 255
    return dataset(pixels, **{**USUAL, **elements})


def predict(predictor: Predictor, made: FileDataset | bytes, **options: Any) -> Prediction:
    data = made if isinstance(made, bytes) else to_bytes(made, **options)
    return predictor.predict(data)


def file_of(prediction: Prediction, kind: str, now: datetime = NOW, **options: bool) -> bytes:
    """The bytes of one object; of a Segmentation that is not written, an error."""
    made = build(Kind(kind), prediction, DicomOptions(**options), now)
    assert made is not None
    return made


def read(data: bytes) -> FileDataset:
    return pydicom.dcmread(BytesIO(data))


def object_of(prediction: Prediction, kind: str, **options: bool) -> FileDataset:
    return read(file_of(prediction, kind, **options))


def tool(name: str) -> str:
    """Path of a program; the test is skipped by name without it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def complaints(path: Path) -> list[str]:
    """What dciodvfy calls an error in a file."""
    done = subprocess.run([tool("dciodvfy"), str(path)], capture_output=True, timeout=60)
    said = (done.stdout + done.stderr).decode("latin-1").splitlines()
    assert any(re.match(r"(Segmentation|ComprehensiveSR|SCImage|CR|DX)", line) for line in said)
    return [line for line in said if line.startswith("Error")]


def run(name: str, *arguments: object) -> str:
    """What a program says, when it ends well and without a warning."""
    done = subprocess.run(
        [tool(name), *map(str, arguments)], capture_output=True, timeout=60, check=False
    )
    said = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 0, said
    assert not said, said
    return done.stdout.decode("utf-8", "replace")


def raw(made: Dataset, tag: int) -> bytes:
    """The bytes of an element's value, as they stand in the file."""
    return made.get_item(tag).value or b""
