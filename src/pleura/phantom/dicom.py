"""A phantom as a DICOM file: Digital X-Ray Image for presentation (PS3.3 A.26)."""

import hashlib
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from pleura.phantom.spec import Phantom, View

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

DX_FOR_PRESENTATION: Final = "1.2.840.10008.5.1.4.1.1.1.1"
EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
IMPLEMENTATION_UID: Final = "2.25.207131421386149283904177306241826354017"
DATE: Final = "20000101"
TIME: Final = "120000"


class Photometric(StrEnum):
    """PhotometricInterpretation (0028,0004) of the stored pixels."""

    MONOCHROME1 = "MONOCHROME1"
    MONOCHROME2 = "MONOCHROME2"


def to_dicom(
    phantom: Phantom, *, photometric: Photometric | str = Photometric.MONOCHROME2, bits: int = 8
) -> bytes:
    """Writes a phantom as a DICOM Part 10 file, Explicit VR Little Endian.

    The patient is called SYNTHETIC^PHANTOM, every UID follows from the phantom's spec and the
    options (below 2.25, PS3.5 B.2), and no clock is read: equal phantoms give equal bytes.

    Args:
        phantom: what `draw` returned.
        photometric: MONOCHROME1 stores the pixels inverted, with an inverse presentation LUT.
        bits: 8, or 12 to 16 stored in two bytes; the grey levels are spread over the range.

    Returns:
        The file's bytes.

    Raises:
        ValueError: for another photometric interpretation or number of bits.
    """
    photometric = Photometric(photometric)
    if bits != 8 and not 12 <= bits <= 16:
        raise ValueError(f"bits must be 8 or 12 to 16, not {bits}")
    dataset = _dataset(phantom, photometric, bits)
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def write_dicom(
    phantom: Phantom,
    path: Path,
    *,
    photometric: Photometric | str = Photometric.MONOCHROME2,
    bits: int = 8,
) -> Path:
    """Writes the bytes of `to_dicom` to a file and returns its path."""
    path.write_bytes(to_dicom(phantom, photometric=photometric, bits=bits))
    return path


def stored_pixels(
    phantom: Phantom, photometric: Photometric, bits: int
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The pixel values of the file: uint8 for 8 bits, else uint16, (rows, columns)."""
    pixels = phantom.pixels if photometric is Photometric.MONOCHROME2 else 255 - phantom.pixels
    if bits == 8:
        return pixels
    top = (1 << bits) - 1
    return ((pixels.astype(np.uint32) * top + 127) // 255).astype(np.uint16)


def _uid(phantom: Phantom, role: str) -> str:
    digest = hashlib.sha256(f"pleura phantom|{phantom.spec!r}|{role}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _code(value: str, scheme: str, meaning: str) -> "Dataset":
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _dataset(phantom: Phantom, photometric: Photometric, bits: int) -> "Dataset":
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID

    spec = phantom.spec
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = UID(DX_FOR_PRESENTATION)
    dataset.SOPInstanceUID = UID(_uid(phantom, f"instance|{photometric}|{bits}"))
    dataset.StudyInstanceUID = UID(_uid(phantom, "study"))
    dataset.SeriesInstanceUID = UID(_uid(phantom, "series"))
    _describe_patient_and_study(dataset, phantom)
    _describe_acquisition(dataset, phantom)
    _describe_pixels(dataset, phantom, photometric, bits)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(EXPLICIT_LITTLE_ENDIAN)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "PLEURA_PHANTOM"
    dataset.file_meta = meta
    dataset.ImageComments = f"Synthetic radiograph, seed {spec.seed}. Not a patient."
    return dataset


def _describe_patient_and_study(dataset: "Dataset", phantom: Phantom) -> None:
    """Patient, General Study, General Series, DX Series, Equipment (PS3.3 C.7, C.8.11.1)."""
    spec = phantom.spec
    dataset.PatientName = "SYNTHETIC^PHANTOM"
    dataset.PatientID = f"SYNTHETIC-{spec.seed}"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = spec.sex.value
    dataset.PatientAge = f"{spec.age_years:03d}Y"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = dataset.AcquisitionDate = DATE
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = dataset.AcquisitionTime = TIME
    dataset.ReferringPhysicianName = ""
    dataset.AccessionNumber = ""
    dataset.StudyID = "1"
    dataset.StudyDescription = "Synthetic chest radiograph"
    dataset.SeriesDescription = f"Synthetic chest {spec.view.value}"
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.Modality = "DX"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.Manufacturer = "Pleura"
    dataset.ManufacturerModelName = "Phantom"
    dataset.SoftwareVersions = "1"


def _describe_acquisition(dataset: "Dataset", phantom: Phantom) -> None:
    """DX Anatomy Imaged, DX Detector, DX Positioning, Context (PS3.3 C.8.11, C.7.6.14)."""
    spec = phantom.spec
    spacing = [f"{phantom.spacing_mm:.5f}"] * 2
    dataset.BodyPartExamined = "CHEST"
    dataset.AnatomicRegionSequence = [_code("816094009", "SCT", "Chest")]
    dataset.ImageLaterality = "U"
    dataset.ViewPosition = spec.view.value
    if spec.view is View.PA:
        view = _code("272479007", "SCT", "postero-anterior")
        posture = _code("10904000", "SCT", "orthostatic")
    else:
        view = _code("399348003", "SCT", "antero-posterior")
        posture = _code("102538003", "SCT", "recumbent")
    view.ViewModifierCodeSequence = []
    dataset.ViewCodeSequence = [view]
    dataset.PatientOrientation = ["L", "F"]
    dataset.PatientOrientationCodeSequence = [posture]
    dataset.PositionerType = "NONE"
    dataset.DetectorType = "DIRECT"
    dataset.ImagerPixelSpacing = spacing
    dataset.PixelSpacing = spacing
    dataset.PixelSpacingCalibrationType = "GEOMETRY"
    dataset.PixelSpacingCalibrationDescription = "As at the detector"
    dataset.AcquisitionContextSequence = []


def _describe_pixels(
    dataset: "Dataset", phantom: Phantom, photometric: Photometric, bits: int
) -> None:
    """General Image, Image Pixel, DX Image, VOI LUT (PS3.3 C.7.6.1, C.7.6.3, C.8.11.3, C.11.2)."""
    pixels = stored_pixels(phantom, photometric, bits)
    bright = photometric is Photometric.MONOCHROME2
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.DerivationDescription = "Synthetic image computed from a model of the chest"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = photometric.value
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = 8 if bits == 8 else 16
    dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = -1 if bright else 1
    dataset.RescaleIntercept = "0"
    dataset.RescaleSlope = "1"
    dataset.RescaleType = "US"
    dataset.PresentationLUTShape = "IDENTITY" if bright else "INVERSE"
    dataset.LossyImageCompression = "00"
    dataset.BurnedInAnnotation = "NO"
    dataset.WindowCenter = str(1 << (bits - 1))
    dataset.WindowWidth = str(1 << bits)
    raw = pixels.astype("<u2" if bits > 8 else "u1").tobytes()
    dataset.PixelData = raw + b"\0" * (len(raw) % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
