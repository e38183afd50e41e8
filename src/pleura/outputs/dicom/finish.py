"""What all objects have in common, put on after highdicom has built one; and its bytes."""

from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.uid import UID

from pleura import __version__
from pleura.inference.prediction import Prediction
from pleura.outputs.dicom.equipment import (
    contributing_equipment,
    serial_number,
    software_versions,
)
from pleura.outputs.dicom.identity import put_identity
from pleura.outputs.dicom.marks import IMPLEMENTATION_UID, MANUFACTURER, MODEL_NAME
from pleura.outputs.dicom.source import Source
from pleura.outputs.dicom.uids import ObjectUids


@dataclass(frozen=True, slots=True)
class Plan:
    """What is settled of an object before it is built.

    Attributes:
        uids: of the object.
        series_number: Series Number (0020,0011).
        description: Series Description (0008,103E).
        made_at: local time at which the result was written.
    """

    uids: ObjectUids
    series_number: int
    description: str
    made_at: datetime


def finish(dataset: Dataset, source: Source, prediction: Prediction, plan: Plan) -> None:
    """Put patient, study, series, equipment and times on an object (PS3.3 C.7, C.12.1)."""
    model = prediction.model
    # Now, because pydicom converts all elements when it does this while writing.
    correct_ambiguous_vr(dataset, is_little_endian=True)
    put_identity(dataset, source.header)
    dataset.SeriesNumber = plan.series_number
    dataset.SeriesDescription = plan.description
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MODEL_NAME
    dataset.DeviceSerialNumber = serial_number(model)
    dataset.SoftwareVersions = software_versions(model)
    dataset.ContentQualification = "RESEARCH"
    equipment = contributing_equipment(source.header, prediction, plan.made_at)
    dataset[equipment.tag] = equipment.raw()
    dataset.ContentDate = dataset.InstanceCreationDate = f"{plan.made_at:%Y%m%d}"
    dataset.ContentTime = dataset.InstanceCreationTime = f"{plan.made_at:%H%M%S.%f}"
    dataset.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    dataset.file_meta.ImplementationVersionName = f"PLEURA_{__version__}"[:16]


def to_bytes(dataset: Dataset) -> bytes:
    """The object as a DICOM file (PS3.10 7)."""
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
