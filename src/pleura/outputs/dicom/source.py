"""The radiograph that an object is derived from, as far as the object refers to it."""

from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.valuerep import DS

from pleura.errors import NoDicomSourceError
from pleura.inference.prediction import Prediction
from pleura.io.dicom_file import NATIVE
from pleura.io.elements import Header
from pleura.io.gate import (
    COMPUTED_RADIOGRAPHY,
    DIGITAL_X_RAY_FOR_PRESENTATION,
    DIGITAL_X_RAY_FOR_PROCESSING,
    SECONDARY_CAPTURE,
)
from pleura.io.stored import LOSSLESS
from pleura.outputs.dicom.elements import encode_all
from pleura.outputs.dicom.identity import encodings_of
from pleura.radiograph import Radiograph

_SOP_CLASSES = frozenset(
    {
        COMPUTED_RADIOGRAPHY,
        DIGITAL_X_RAY_FOR_PRESENTATION,
        DIGITAL_X_RAY_FOR_PROCESSING,
        SECONDARY_CAPTURE,
        *(f"{SECONDARY_CAPTURE}.{kind}" for kind in range(1, 5)),
    }
)
_BURNED_IN = 0x00280301
_LOSSY = 0x00282110
_LOSSY_RATIO = 0x00282112
_LOSSY_METHOD = 0x00282114
# PS3.3 C.7.6.1.1.5.1: the method by the transfer syntax, where the header does not say it.
_METHODS = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The radiograph's own header and what is told of it.

    Attributes:
        header: patient, study, equipment, as in the file.
        header_bytes: the whole of it, whatever its encoding in the file.
        stand_in: what highdicom takes for the source: references and flags, and an empty patient,
            so that no name passes through code that may check, change or log it.
        burned_in: Burned In Annotation (0028,0301): "YES", "NO", or "" where the file is silent.
    """

    header: Dataset = field(repr=False)
    header_bytes: bytes = field(repr=False)
    stand_in: Dataset
    burned_in: str


def source_of(prediction: Prediction) -> Source:
    """The source of a result.

    Raises:
        NoDicomSourceError: a raster file, or a header without the UIDs that a reference needs.
    """
    radiograph = prediction.radiograph
    if radiograph.header is None:
        raise NoDicomSourceError("The input is no DICOM file: there is no patient and no study.")
    uids = radiograph.identifiers
    if not (uids.sop_instance_uid and uids.series_instance_uid and uids.study_instance_uid):
        raise NoDicomSourceError("The header lacks a UID of the image, its series or its study.")
    if uids.sop_class_uid not in _SOP_CLASSES:
        raise NoDicomSourceError("The header's SOP class is none of a radiograph.")
    header = Header(radiograph.header)
    burned_in = header.text(_BURNED_IN).upper()
    elements = encode_all(radiograph.header, encodings_of(radiograph.header))
    return Source(
        header=radiograph.header,
        header_bytes=b"".join(element.to_bytes() for element in elements),
        stand_in=_stand_in(radiograph, header),
        burned_in=burned_in if burned_in in ("YES", "NO") else "",
    )


def _stand_in(radiograph: Radiograph, header: Header) -> Dataset:
    uids = radiograph.identifiers
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = uids.sop_class_uid, uids.sop_instance_uid
    made.StudyInstanceUID = uids.study_instance_uid
    made.SeriesInstanceUID = uids.series_instance_uid
    made.Modality = radiograph.modality or "OT"
    made.Rows, made.Columns = radiograph.shape
    made.NumberOfFrames = 1
    # highdicom demands spacing here of a class that allows several frames; see `build_seg`.
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing = ["1", "1"]
    shared.PixelMeasuresSequence = [measures]
    made.SharedFunctionalGroupsSequence = [shared]
    made.PatientName = made.PatientID = made.PatientBirthDate = made.PatientSex = ""
    made.StudyDate = made.StudyTime = made.StudyID = made.AccessionNumber = ""
    _put_lossy(made, radiograph, header)
    return made


def _put_lossy(made: Dataset, radiograph: Radiograph, header: Header) -> None:
    """Lossy Image Compression: once an image has lost something, so has what is made from it.

    By the header, or by the transfer syntax where the header is silent (PS3.3 C.7.6.1.1.5).
    """
    coded = radiograph.encoding not in NATIVE | LOSSLESS
    lossy = header.text(_LOSSY) == "01" or (coded and header.text(_LOSSY) != "00")
    made.LossyImageCompression = "01" if lossy else "00"
    if not lossy:
        return
    ratios = [ratio for ratio in header.decimals(_LOSSY_RATIO) if ratio > 0]
    if ratios:
        made.LossyImageCompressionRatio = [DS(ratio, auto_format=True) for ratio in ratios]
    methods = header.texts(_LOSSY_METHOD) or [_METHODS.get(radiograph.encoding, "")]
    if all(method.isascii() and 0 < len(method) <= 16 for method in methods):
        made.LossyImageCompressionMethod = methods
