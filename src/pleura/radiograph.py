"""One value for one radiograph: what every reader produces and every later stage takes."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


class SpacingSource(StrEnum):
    """Which attribute the pixel spacing comes from.

    `PIXEL_SPACING` (0028,0030) is calibrated to the patient when it differs from the detector's;
    `IMAGER_PIXEL_SPACING` (0018,1164) is measured at the detector and overstates lengths in the
    patient by the geometric magnification (PS3.3 10.7.1.3).
    """

    PIXEL_SPACING = "PixelSpacing"
    IMAGER_PIXEL_SPACING = "ImagerPixelSpacing"


@dataclass(frozen=True, slots=True)
class Spacing:
    """Distance between pixel centres in millimetres: between rows, between columns."""

    row_mm: float
    column_mm: float
    source: SpacingSource

    @property
    def pixel_area_mm2(self) -> float:
        """Area of one pixel in square millimetres."""
        return self.row_mm * self.column_mm


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the reader of a result should know; `code` is stable, `message` is a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Identifiers:
    """UIDs of the DICOM object; empty strings where the input has none (PS3.3 C.12.1)."""

    sop_instance_uid: str = ""
    sop_class_uid: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Radiograph:
    """A projection radiograph, ready to be judged.

    Attributes:
        pixels: float32, (rows, columns), in [0, 1]; air is dark and bone is bright, whatever the
            file's photometric interpretation; the grid is the file's own (Rows, Columns).
        source: name of the input as the user gave it (path, or path#member); never a header value.
        spacing: pixel spacing, or None when the file states none.
        view: ViewPosition (0018,5101) in upper case (`PA`, `AP`, `LL` ...), or "".
        patient_orientation: PatientOrientation (0020,0020), e.g. ("L", "F"): the directions of
            the rows and of the columns; None when absent or empty.
        modality: Modality (0008,0060), or "" for raster files.
        body_part: BodyPartExamined (0018,0015) in upper case, or "".
        age_years: patient's age in years, or None.
        sex: "M", "F", "O" or "".
        identifiers: UIDs.
        encoding: transfer syntax UID, or "PNG", "JPEG", "TIFF".
        notices: what the reader had to assume or repair.
        header: patient, study, equipment and a few attributes of the image as the DICOM file has
            them, for objects that are derived from it; None for raster files. It names the
            patient: it is never logged, shown or compared.
    """

    pixels: NDArray[np.float32]
    source: str = ""
    spacing: Spacing | None = None
    view: str = ""
    patient_orientation: tuple[str, str] | None = None
    modality: str = ""
    body_part: str = ""
    age_years: float | None = None
    sex: str = ""
    identifiers: Identifiers = field(default_factory=Identifiers)
    encoding: str = ""
    notices: tuple[Notice, ...] = ()
    header: "Dataset | None" = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.dtype != np.float32:
            raise ValueError(
                "pixels must be float32 (rows, columns),"
                f" not {self.pixels.dtype} {self.pixels.shape}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        rows, columns = self.pixels.shape
        return rows, columns
