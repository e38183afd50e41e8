"""Results that do not say whose they are: the Basic Profile of PS3.15 Annex E, and a map apart.

Only what is known to be harmless is kept of a header; everything else goes, standard or private,
whatever it is called. UIDs, the patient and the input's name get replacements that are drawn at
random, so that none can be reckoned back; the map that leads back is a file of its own.

The pixels stay as they are: words that are burnt into a film are burnt into its overlay too, and
the Clean Pixel Data Option is not claimed.
"""

import csv
import os
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pleura.errors import OutputError
from pleura.inference.prediction import Refusal, Result
from pleura.outputs.names import IMAGE_SUFFIXES, input_name
from pleura.radiograph import Identifiers, Radiograph

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

METHOD = "DICOM PS3.15 Annex E Basic Profile"
KEPT = (
    "Manufacturer",
    "ManufacturerModelName",
    "BurnedInAnnotation",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "PixelSpacingCalibrationType",
)
"""Attributes of the source that a de-identified object still holds."""
UID, PATIENT, INPUT = "uid", "patient", "input"
_HEADER = ("kind", "original", "replacement")
_UNNAMED = ""


class ReplacementMap:
    """What stands for what; a CSV file with the columns `kind`, `original` and `replacement`.

    A file that is there is read and added to, so that a study which comes in two runs stays one
    study. Each line is on disk before the first result that needs it. The file is made for its
    owner's eyes alone, because it leads back to the patients.

    Args:
        path: of the file.

    Raises:
        OutputError: it cannot be read or written, or is another kind of file.
    """

    def __init__(self, path: Path) -> None:
        self._known: dict[tuple[str, str], str] = {}
        try:
            if path.exists() and path.stat().st_size:
                self._read(path)
            descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
            self._stream = os.fdopen(descriptor, "a", encoding="utf-8", newline="")
        except (OSError, UnicodeDecodeError) as error:
            raise OutputError("The map of replacements cannot be read or written.") from error
        self._writer = csv.writer(self._stream)
        if not path.stat().st_size:
            self._put(*_HEADER)

    def of(self, kind: str, original: str) -> str:
        """The replacement of a value, drawn when it is met first; empty for an empty one."""
        if not original:
            return ""
        known = self._known.get((kind, original))
        if known is None:
            known = _draw(kind, original)
            self._put(kind, original, known)
            self._known[kind, original] = known
        return known

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, path: Path) -> None:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
        if tuple(rows[0]) != _HEADER or any(len(row) != len(_HEADER) for row in rows):
            raise OutputError(
                "The file that was named for the map of replacements is none.",
                f"Name a new file, or one with the columns {', '.join(_HEADER)}.",
            )
        self._known = {(kind, original): found for kind, original, found in rows[1:]}

    def _put(self, *row: str) -> None:
        self._writer.writerow(row)
        self._stream.flush()
        os.fsync(self._stream.fileno())


def _draw(kind: str, original: str) -> str:
    """A UID below 2.25 (PS3.5 B.2), a patient's number, or a file's name, from random bits."""
    drawn = uuid.uuid4()
    if kind == UID:
        return f"2.25.{drawn.int}"
    if kind == PATIENT:
        return f"PATIENT-{drawn.hex[:12].upper()}"
    suffix = next((end for end in IMAGE_SUFFIXES if original.lower().endswith(end)), "")
    return f"input-{drawn.hex[:12]}{suffix}"


def deidentified(result: Result, replacements: ReplacementMap) -> Result:
    """A result without what names the patient, the study, the file or its place.

    Messages, warnings, probabilities, masks and pixels stay as they are.
    """
    name = replacements.of(INPUT, input_name(result))
    if isinstance(result, Refusal):
        return replace(result, input=name)
    return replace(result, radiograph=_nameless(result.radiograph, name, replacements))


def _nameless(radiograph: Radiograph, name: str, replacements: ReplacementMap) -> Radiograph:
    said = radiograph.identifiers
    identifiers = Identifiers(
        sop_instance_uid=replacements.of(UID, said.sop_instance_uid),
        sop_class_uid=said.sop_class_uid,
        study_instance_uid=replacements.of(UID, said.study_instance_uid),
        series_instance_uid=replacements.of(UID, said.series_instance_uid),
    )
    header = radiograph.header
    if header is not None:
        header = _clean(header, identifiers.study_instance_uid, replacements)
    return replace(radiograph, source=name, identifiers=identifiers, header=header)


def _clean(header: "Dataset", study: str, replacements: ReplacementMap) -> "Dataset":
    """The part of the header that a derived object may hold (PS3.15 Table E.1-1)."""
    from pydicom.dataset import Dataset  # half a second that other runs need not pay

    clean = Dataset()
    for keyword in KEPT:
        if keyword in header:
            clean[keyword] = header[keyword]
    patient = replacements.of(PATIENT, _patient_of(header))
    clean.PatientID = clean.PatientName = patient
    for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        setattr(clean, keyword, _UNNAMED)
    clean.AccessionNumber = clean.ReferringPhysicianName = _UNNAMED
    clean.StudyInstanceUID = study
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = METHOD
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "113100", "DCM"
    code.CodeMeaning = "Basic Application Confidentiality Profile"
    clean.DeidentificationMethodCodeSequence = [code]
    return clean


def _patient_of(header: "Dataset") -> str:
    """What tells one patient from another: ID and its issuer, or the name where there is no ID."""
    try:
        given = str(header.get("PatientID", "") or "")
        if given:
            return "\\".join((given, str(header.get("IssuerOfPatientID", "") or "")))
        return str(header.get("PatientName", "") or "")
    except Exception:  # a header's values may break every rule; such a patient has no number
        return _UNNAMED
