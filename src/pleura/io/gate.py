"""Which DICOM objects are projection radiographs: by SOP class and modality.

Sources: PS3.4 B.5 (storage classes), PS3.3 C.7.3.1.1.1 (defined terms of the modality). What body
part is shown is not asked here; the quality gate does that.
"""

from pleura.errors import NoPixelDataError, NotProjectionRadiographError
from pleura.io import tags
from pleura.io.dicom_file import DicomObject
from pleura.radiograph import Notice

_STORAGE = "1.2.840.10008.5.1.4.1.1."
COMPUTED_RADIOGRAPHY = _STORAGE + "1"
DIGITAL_X_RAY_FOR_PRESENTATION = _STORAGE + "1.1"
DIGITAL_X_RAY_FOR_PROCESSING = _STORAGE + "1.1.1"
SECONDARY_CAPTURE = _STORAGE + "7"

_RADIOGRAPHY = frozenset(
    {COMPUTED_RADIOGRAPHY, DIGITAL_X_RAY_FOR_PRESENTATION, DIGITAL_X_RAY_FOR_PROCESSING}
)
# The multi-frame kinds may hold one frame, and are then like the plain one.
_CAPTURES = frozenset({SECONDARY_CAPTURE, *(f"{SECONDARY_CAPTURE}.{kind}" for kind in range(1, 5))})
_RADIOGRAPHY_MODALITIES = frozenset({"CR", "DX", "RG"})

MODALITY_NAMES = {
    "AU": "audio",
    "BI": "biomagnetic imaging",
    "BMD": "bone densitometry",
    "CT": "computed tomography",
    "DOC": "a document",
    "ECG": "electrocardiography",
    "ES": "endoscopy",
    "GM": "general microscopy",
    "IO": "intra-oral radiography",
    "IVUS": "intravascular ultrasound",
    "KO": "a key object selection",
    "M3D": "a model for 3D manufacturing",
    "MG": "mammography",
    "MR": "magnetic resonance",
    "NM": "nuclear medicine",
    "OCT": "optical coherence tomography",
    "OP": "ophthalmic photography",
    "PR": "a presentation state",
    "PT": "positron emission tomography",
    "PX": "panoramic radiography",
    "REG": "a registration",
    "RF": "radiofluoroscopy",
    "RTDOSE": "a radiotherapy dose",
    "RTIMAGE": "a radiotherapy image",
    "RTPLAN": "a radiotherapy plan",
    "RTSTRUCT": "a radiotherapy structure set",
    "SEG": "a segmentation",
    "SM": "slide microscopy",
    "SR": "a structured report",
    "US": "ultrasound",
    "XA": "X-ray angiography",
    "XC": "external-camera photography",
}
"""Defined terms that are refused, in words; a term that is not here is not repeated in messages."""


def check_is_radiograph(source: DicomObject) -> tuple[Notice, ...]:
    """Let pass radiography, and captures that do not say that they are something else.

    Returns:
        What had to be assumed.

    Raises:
        NotProjectionRadiographError: another kind of object.
        NoPixelDataError: an object that neither says what it is nor holds pixels.
    """
    sop_class = source.header.text(tags.SOP_CLASS_UID) or source.media_storage_class
    modality = source.header.text(tags.MODALITY).upper()
    if sop_class in _RADIOGRAPHY:
        if modality not in _RADIOGRAPHY_MODALITIES | {"", "OT"}:
            raise _another_kind(modality)
        if sop_class == DIGITAL_X_RAY_FOR_PROCESSING:
            said = "The image is meant for processing; its grey values are not those of a display."
            return (Notice("for_processing", said),)
        return ()
    if sop_class in _CAPTURES:
        if modality not in _RADIOGRAPHY_MODALITIES | {"", "OT", "SC"}:
            raise _another_kind(modality)
        return ()
    if _is_standard_storage(sop_class):
        raise _another_class(sop_class)
    if modality in _RADIOGRAPHY_MODALITIES:
        said = (
            "The SOP class is missing or private; the modality alone says that it is a radiograph."
        )
        return (Notice("sop_class_unknown", said),)
    if not modality and source.pixel_element is None:
        raise NoPixelDataError("The DICOM object holds no pixel data.")
    raise _another_kind(modality)


def _is_standard_storage(uid: str) -> bool:
    return uid.startswith("1.2.840.10008.")


def _another_kind(modality: str) -> NotProjectionRadiographError:
    name = MODALITY_NAMES.get(modality)
    if name:
        return NotProjectionRadiographError(f"The modality is {modality} ({name}).")
    if modality:
        return NotProjectionRadiographError("The modality is none of a projection radiograph.")
    return NotProjectionRadiographError(
        "Neither the SOP class nor the modality says that the image is a radiograph."
    )


def _another_class(uid: str) -> NotProjectionRadiographError:
    name = tags.standard_name(uid)
    what = f"the SOP class {name}" if name else "another standard SOP class"
    return NotProjectionRadiographError(f"The object is of {what}.")
