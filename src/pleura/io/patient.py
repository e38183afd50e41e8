"""Header fields -> the attributes of a Radiograph (PS3.3 C.7.1, C.7.2, C.7.3, C.7.6, C.8.11)."""

import math
import re
from datetime import date

from pleura.io import tags
from pleura.io.elements import Header
from pleura.radiograph import Identifiers, Notice, Spacing, SpacingSource

MAX_AGE_YEARS = 120.0
SPACING_RANGE_MM = (0.01, 5.0)
"""Detectors have pixels of 0.05 to 0.4 mm; thumbnails of a radiograph up to a few millimetres."""

_CODE_STRING = re.compile(r"[A-Z0-9_ ]{1,16}")
_UID = re.compile(r"[0-9.]{1,64}")
_AGE = re.compile(r"(\d{1,3})([DWMY])?")
_DATE = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})")
_DIRECTIONS = re.compile(r"[LRAPHF]{1,3}")
_AXES = {"L": 0, "R": 0, "A": 1, "P": 1, "H": 2, "F": 2}
_UPRIGHT = ("L", "F")
_LIES = {
    ("R", "F"): "is mirrored from left to right",
    ("L", "H"): "is mirrored from top to bottom",
    ("R", "H"): "is upside down",
}
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


def read_code(header: Header, tag: int) -> str:
    """A code string in upper case, or "" when absent or no code string (PS3.5 6.2)."""
    value = header.text(tag).upper()
    return value if _CODE_STRING.fullmatch(value) else ""


def read_sex(header: Header) -> str:
    """Patient's Sex: "M", "F", "O", or ""."""
    value = header.text(tags.PATIENT_SEX).upper()
    return value if value in ("M", "F", "O") else ""


def read_identifiers(header: Header) -> Identifiers:
    """UIDs of the object; what is no UID is left empty."""

    def uid(tag: int) -> str:
        value = header.text(tag)
        return value if _UID.fullmatch(value) else ""

    return Identifiers(
        sop_instance_uid=uid(tags.SOP_INSTANCE_UID),
        sop_class_uid=uid(tags.SOP_CLASS_UID),
        study_instance_uid=uid(tags.STUDY_INSTANCE_UID),
        series_instance_uid=uid(tags.SERIES_INSTANCE_UID),
    )


def read_age(header: Header) -> tuple[float | None, tuple[Notice, ...]]:
    """Age in years: from Patient's Age, else from the birth date and the date of the study.

    A number without a unit is taken as years.
    """
    said = header.text(tags.PATIENT_AGE).upper().replace(" ", "")
    match = _AGE.fullmatch(said)
    if match:
        age = int(match[1]) * _YEARS[match[2] or "Y"]
        if age <= MAX_AGE_YEARS:
            return age, ()
    age_by_date = _age_by_dates(header)
    if age_by_date is not None:
        return age_by_date, ()
    if said:
        return None, (Notice("age_ignored", "The patient's age is not plausible and is ignored."),)
    return None, ()


def _age_by_dates(header: Header) -> float | None:
    born = _date(header.text(tags.PATIENT_BIRTH_DATE))
    if born is None:
        return None
    for tag in (tags.STUDY_DATE, tags.ACQUISITION_DATE, tags.CONTENT_DATE):
        taken = _date(header.text(tag))
        if taken is not None:
            age = (taken - born).days / 365.25
            return age if 0.0 <= age <= MAX_AGE_YEARS else None
    return None


def _date(text: str) -> date | None:
    match = _DATE.fullmatch(text)
    if not match:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def read_orientation(header: Header) -> tuple[tuple[str, str] | None, tuple[Notice, ...]]:
    """Patient Orientation (PS3.3 C.7.6.1.1.1), or None when absent, empty or malformed.

    A frontal view that does not run to the patient's left and feet is not turned, since masks lie
    on the file's own grid, but a notice says how it lies.
    """
    values = [value.upper() for value in header.texts(tags.PATIENT_ORIENTATION)]
    if not values:
        return None, ()
    if len(values) != 2 or not _are_directions(*values):
        said = "The Patient Orientation is malformed and is ignored."
        return None, (Notice("orientation_ignored", said),)
    main = (values[0][0], values[1][0])
    if main == _UPRIGHT:
        return (values[0], values[1]), ()
    said = f"By its header the picture {_how_it_lies(main)}; it is judged as the file has it."
    return (values[0], values[1]), (Notice("orientation_unusual", said),)


def _are_directions(row: str, column: str) -> bool:
    """Whether both are directions in the patient, and their main axes differ."""
    for value in (row, column):
        if not _DIRECTIONS.fullmatch(value) or len({_AXES[end] for end in value}) < len(value):
            return False
    return _AXES[row[0]] != _AXES[column[0]]


def _how_it_lies(main: tuple[str, str]) -> str:
    axes = {_AXES[end] for end in main}
    if _AXES["A"] in axes:
        return "is no frontal view"
    return _LIES.get(main, "lies on its side")


def read_spacing(header: Header) -> tuple[Spacing | None, tuple[Notice, ...]]:
    """Pixel Spacing, else Imager Pixel Spacing (PS3.3 10.7.1.3), and whether pixels are square."""
    notices: list[Notice] = []
    spacing = None
    for tag, source in (
        (tags.PIXEL_SPACING, SpacingSource.PIXEL_SPACING),
        (tags.IMAGER_PIXEL_SPACING, SpacingSource.IMAGER_PIXEL_SPACING),
    ):
        values = header.decimals(tag)
        if not values:
            continue
        low, high = SPACING_RANGE_MM
        # A comparison with NaN is false, so what is no number is left out here too.
        if len(values) == 2 and all(low <= value <= high for value in values):
            spacing = Spacing(values[0], values[1], source)
            break
        notices.append(Notice("spacing_ignored", f"{source} is not plausible and is ignored."))
    if not _square(header, spacing):
        notices.append(
            Notice("non_square_pixels", "The pixels are not square; shapes appear distorted.")
        )
    return spacing, tuple(notices)


def _square(header: Header, spacing: Spacing | None) -> bool:
    """Whether pixels are square within one per cent, by the spacing or the aspect ratio."""
    if spacing is not None:
        return math.isclose(spacing.row_mm, spacing.column_mm, rel_tol=0.01)
    ratio = header.decimals(tags.PIXEL_ASPECT_RATIO)
    if len(ratio) != 2 or not min(ratio) > 0:
        return True
    return math.isclose(ratio[0], ratio[1], rel_tol=0.01)
