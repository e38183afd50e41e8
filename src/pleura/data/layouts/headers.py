"""What a DICOM header says of an image, without its pixels and without the patient's identity."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pleura.errors import InvalidHeaderError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_TAGS = (
    "SOPInstanceUID",
    "PatientID",
    "PatientSex",
    "PatientAge",
    "ViewPosition",
    "SeriesDescription",
    "Rows",
    "Columns",
)
_AGE = re.compile(r"0*(\d+)\s*([DWMY]?)", re.IGNORECASE)
_UNITS_PER_YEAR = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0, "": 1.0}
_HASH_DIGITS = 16


@dataclass(frozen=True, slots=True)
class HeaderFacts:
    """The part of a DICOM header that the index keeps.

    Attributes:
        sop_instance_uid: SOP Instance UID (0008,0018), or "".
        group: truncated SHA-256 of PatientID (0010,0020), or "" without one; never the ID itself.
        rows: Rows (0028,0010), or None.
        columns: Columns (0028,0011), or None.
        view: ViewPosition (0018,5101) in upper case, or "".
        age_years: PatientAge (0010,1010) in years, or None.
        sex: M, F, O, or "".
    """

    sop_instance_uid: str
    group: str
    rows: int | None
    columns: int | None
    view: str
    age_years: float | None
    sex: str


def hash_patient(identifier: str, salt: str = "") -> str:
    """A name for a patient that does not show the identifier: 16 hexadecimal digits.

    Identifiers are few and can be tried one by one: with real patients give a secret salt, and
    treat the index like the images.
    """
    if not identifier:
        return ""
    return hashlib.sha256(f"{salt}:{identifier}".encode()).hexdigest()[:_HASH_DIGITS]


def parse_age(text: str) -> float | None:
    """Years from an age string (PS3.5 6.2, VR AS: `045Y`, `006M`), also without its unit (`45`)."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        return None
    return int(match.group(1)) / _UNITS_PER_YEAR[match.group(2).upper()]


def _text(dataset: "Dataset", keyword: str) -> str:
    """The value as stored: the SIIM files break the VR's rules (age without unit), harmlessly."""
    if keyword not in dataset:
        return ""
    value = dataset.get_item(keyword).value
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    return str(value or "").strip(" \0")


def read_header(path: Path, salt: str = "") -> HeaderFacts:
    """Read the header of a DICOM file up to its pixels.

    Args:
        path: DICOM file.
        salt: mixed into the hash of the patient's identifier.

    Raises:
        InvalidHeaderError: the file is not DICOM, or its header cannot be read.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
        rows, columns = dataset.get("Rows"), dataset.get("Columns")
    except (InvalidDicomError, OSError, ValueError, KeyError, AttributeError, EOFError) as error:
        raise InvalidHeaderError(f"{path.suffix or 'The'} file has no readable header.") from error
    view = _text(dataset, "ViewPosition").upper()
    if not view:
        described = re.search(r"view:\s*(\w+)", _text(dataset, "SeriesDescription"), re.IGNORECASE)
        view = described.group(1).upper() if described else ""
    sex = _text(dataset, "PatientSex").upper()
    return HeaderFacts(
        sop_instance_uid=_text(dataset, "SOPInstanceUID"),
        group=hash_patient(_text(dataset, "PatientID"), salt),
        rows=int(rows) if isinstance(rows, int) else None,
        columns=int(columns) if isinstance(columns, int) else None,
        view=view,
        age_years=parse_age(_text(dataset, "PatientAge")),
        sex=sex if sex in ("M", "F", "O") else "",
    )
