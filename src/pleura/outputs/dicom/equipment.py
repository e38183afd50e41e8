"""Who made an object: Pleura, its model, and the machines before them (PS3.3 C.7.5.1, C.12.1)."""

from datetime import datetime

from highdicom import AlgorithmIdentificationSequence, ContributingEquipment
from highdicom.version import __version__ as highdicom_version
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import DT

from pleura import __version__
from pleura.inference.prediction import ModelReference, Prediction
from pleura.io.origin import EQUIPMENT_TAGS
from pleura.outputs.dicom.elements import Encoded, encode_all, sequence
from pleura.outputs.dicom.identity import encodings_of
from pleura.outputs.dicom.marks import MANUFACTURER, MODEL_NAME
from pleura.outputs.pictures import DISCLAIMER

LONG_STRING = 64
"""Characters of an LO (PS3.5 6.2)."""
_CONTRIBUTING_EQUIPMENT = 0x0018A001
_MANUFACTURER = 0x00080070


def ascii_text(text: str, most: int = LONG_STRING) -> str:
    """Text that every character set of DICOM holds; a backslash would part it into values."""
    plain = text.encode("ascii", "replace").decode("ascii")
    plain = "".join(letter if letter.isprintable() and letter != "\\" else "?" for letter in plain)
    return plain[:most].strip()


def model_version(model: ModelReference) -> str:
    """Name and version of the model."""
    return ascii_text(f"{model.name} {model.version}")


def software_versions(model: ModelReference) -> list[str]:
    """Software Versions (0018,1020): of Pleura and of the model."""
    return [f"pleura {__version__}", model_version(model)]


def serial_number(model: ModelReference) -> str:
    """Device Serial Number (0018,1000): the SHA-256 that tells one model from every other."""
    return ascii_text(model.sha256) or "0"


def algorithm_parameters(prediction: Prediction) -> dict[str, str]:
    """What was chosen for this result: the operating point and the exact model."""
    point, model = prediction.operating_point, prediction.model
    return {
        "operating point": ascii_text(point.name),
        "threshold": f"{point.threshold:.6g}",
        "manifest SHA-256": ascii_text(model.sha256),
    }


def algorithm_of(prediction: Prediction) -> AlgorithmIdentificationSequence:
    """Algorithm Identification Macro (PS3.3 10.16) with name and version of the model."""
    model = prediction.model
    return AlgorithmIdentificationSequence(
        name=ascii_text(f"Pleura {model.name}"),
        family=codes.cid7162.ArtificialIntelligence,
        version=ascii_text(model.version),
        source=MANUFACTURER,
        parameters=algorithm_parameters(prediction),
    )


def contributing_equipment(header: Dataset, prediction: Prediction, made_at: datetime) -> Encoded:
    """Contributing Equipment Sequence: what took the radiograph, what judged it, what wrote this.

    The first item has the words of the source's header; it is left out where the header names no
    manufacturer.
    """
    model = prediction.model
    items = []
    acquisition = _acquisition(header)
    if acquisition:
        items.append(acquisition)
    processing = ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=codes.DCM.ProcessingEquipment,
        manufacturer_model_name=MODEL_NAME,
        software_versions=software_versions(model),
        device_serial_number=serial_number(model),
        contribution_datetime=DT(made_at),
        contribution_description=f"Judged the image. {DISCLAIMER}",
    )
    library = ContributingEquipment(
        manufacturer="Highdicom open-source contributors",
        purpose_of_reference=codes.DCM.ProcessingEquipment,
        manufacturer_model_name="highdicom",
        software_versions=highdicom_version,
        contribution_description="Library that this object was built with",
    )
    items += [encode_all(processing, ["ascii"]), encode_all(library, ["ascii"])]
    return sequence(_CONTRIBUTING_EQUIPMENT, items)


def _acquisition(header: Dataset) -> tuple[Encoded, ...]:
    said = Dataset()
    for tag in header.keys():  # noqa: SIM118 - raw elements
        if tag in EQUIPMENT_TAGS:
            said[tag] = header.get_item(tag)
    found = encode_all(said, encodings_of(header))
    if not any(element.tag == _MANUFACTURER and element.data.strip() for element in found):
        return ()
    purpose = ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=codes.DCM.AcquisitionEquipment,
        contribution_description="Took the source image",
    )
    del purpose.Manufacturer
    return (*found, *encode_all(purpose, ["ascii"]))
