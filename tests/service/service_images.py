"""Radiographs to send: small, synthetic, and as many different ones as are asked for."""

from dataclasses import replace
from functools import cache
from io import BytesIO

import numpy as np
import pydicom
from pydicom.dataset import FileDataset
from pydicom.uid import UID

from pleura.phantom import draw, spec_for, to_dicom

ROOT = "2.25.7700"
SIDE = 224


@cache
def _base() -> bytes:
    return to_dicom(draw(replace(spec_for(5, False), rows=SIDE, columns=SIDE)))


def dataset(number: int = 0, *, positive: bool = True) -> FileDataset:
    """A DX image; each number has its own UIDs, patient and pixels.

    Args:
        number: below 2**32.
        positive: for the tiny model, which goes by brightness: nearly black, and a positive one
            has a bright box in it.
    """
    made = pydicom.dcmread(BytesIO(_base()))
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = UID(f"{ROOT}.1.{number}")
    made.StudyInstanceUID = UID(f"{ROOT}.2.{number}")
    made.SeriesInstanceUID = UID(f"{ROOT}.3.{number}")
    made.PatientID = f"P{number}"
    made.PatientName = f"Synthetic^Number {number}"
    pixels = np.frombuffer(made.PixelData, np.uint8).reshape(SIDE, SIDE) // 32
    if positive:
        pixels[40:100, 50:110] = 255
    pixels[0, :4] = np.frombuffer(number.to_bytes(4, "little"), np.uint8)
    made.PixelData = pixels.tobytes()
    return made


def image(number: int = 0, *, positive: bool = True) -> bytes:
    """The same as a DICOM file."""
    stream = BytesIO()
    dataset(number, positive=positive).save_as(stream, enforce_file_format=True)
    return stream.getvalue()
