"""Films for the tiny model, which finds a pneumothorax where something is bright."""

import io
import zipfile
from functools import cache
from typing import Any

import cv2
import numpy as np

ROWS, COLUMNS = 300, 240
BOX = (60, 40, 120, 100)
"""Top, left, bottom, right of what is bright in a positive film."""


def pixels(number: int, positive: bool) -> np.ndarray:
    """A dark film; no two numbers give the same."""
    film = np.full((ROWS, COLUMNS), 5, dtype=np.uint8)
    film[::2, ::2] = 0
    film[-1 - number // COLUMNS, number % COLUMNS] = 7
    if positive:
        top, left, bottom, right = BOX
        film[top:bottom, left:right] = 255
    return film


def png(number: int = 0, positive: bool = True) -> bytes:
    done, encoded = cv2.imencode(".png", pixels(number, positive))
    assert done
    return encoded.tobytes()


def dicom(number: int = 0, positive: bool = True) -> bytes:
    """A film of a patient whose name must not be seen unless a reader asks for it."""
    from dicom_maker import dataset, to_bytes

    made = dataset(
        pixels(number, positive),
        PatientOrientation=["L", "F"],
        PixelSpacing=["0.5", "0.5"],
        SOPInstanceUID=f"1.2.826.0.1.3680043.10.999.7.{number + 1}",
        BodyPartExamined="CHEST",
    )
    return to_bytes(made)


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@cache
def drawn(seed: int, positive: bool) -> Any:
    """A synthetic radiograph, drawn once for all tests."""
    from pleura.phantom import draw, spec_for

    return draw(spec_for(seed, positive))


@cache
def phantom(seed: int, positive: bool) -> bytes:
    """The same as a DICOM file."""
    from pleura.phantom import to_dicom

    return to_dicom(drawn(seed, positive))


def upside_down() -> bytes:
    """A synthetic radiograph that an input gate should not let pass, as PNG."""
    picture = np.ascontiguousarray(np.rot90(drawn(2, False).pixels, 2))
    done, encoded = cv2.imencode(".png", picture)
    assert done
    return encoded.tobytes()
