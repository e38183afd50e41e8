"""Patient and study of the source, in an object that is derived from it.

A PACS files an object under what it says of patient and study, so these are the source's own, byte
for byte, in its own character set: not read, corrected, and written again.
"""

import re
from types import MappingProxyType

from pydicom.charset import convert_encodings, python_encoding
from pydicom.dataset import Dataset

from pleura.io.elements import Header
from pleura.io.origin import IDENTITY_TAGS
from pleura.outputs.dicom.elements import Encoded, encode_all

CHARACTER_SET = 0x00080005
_REQUIRED = MappingProxyType(
    {
        0x00080020: "DA",  # Study Date
        0x00080030: "TM",  # Study Time
        0x00080050: "SH",  # Accession Number
        0x00080090: "PN",  # Referring Physician's Name
        0x00100010: "PN",  # Patient's Name
        0x00100020: "LO",  # Patient ID
        0x00100030: "DA",  # Patient's Birth Date
        0x00100040: "CS",  # Patient's Sex
        0x00200010: "SH",  # Study ID
    }
)
"""Type 2 (PS3.3 C.7.1.1, C.7.2.1): there with or without a value, and always as in the source."""
_STUDY_INSTANCE_UID = 0x0020000D
_FORMS = MappingProxyType(
    {
        "AS": r"\d{3}[DWMY]",
        "CS": r"[A-Z0-9_ ]{0,16}",
        "DA": r"\d{8}",
        "DS": r" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *",
        "IS": r" *[+-]?\d{1,10} *",
        "TM": r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)? *",
        "UI": r"[0-9.]{1,64}",
    }
)
"""What a value may look like (PS3.5 6.2), where that can be told from its form."""
_MOST_CHARACTERS = MappingProxyType({"AS": 4, "CS": 16, "DA": 8, "DS": 16, "IS": 12, "TM": 14})
# Compared without blanks and underscores, which writers confuse: "ISO-IR 100" is "ISO_IR 100".
_TERMS = MappingProxyType(
    {re.sub(r"[^A-Z0-9]", "", term): term for term in python_encoding} | {"UTF8": "ISO_IR 192"}
)
_DEFAULT_TERMS = ("", "ISO_IR 6")


def character_set(header: Dataset) -> list[str]:
    """Specific Character Set as defined terms (PS3.3 C.12.1.1.2); [] for the default repertoire.

    A term that is none is left out: no reader could go by it.
    """
    said = Header(header).texts(CHARACTER_SET)
    squeezed = [re.sub(r"[^A-Z0-9]", "", term.upper()) for term in said]
    terms = [_TERMS[term] for term in squeezed if term in _TERMS]
    return [] if all(term in _DEFAULT_TERMS for term in terms) else terms


def encodings_of(header: Dataset) -> list[str]:
    """Python's names of the header's character sets."""
    return convert_encodings(character_set(header))


def identity_of(header: Dataset) -> tuple[Encoded, ...]:
    """Patient, clinical trial and study as in the source (PS3.3 C.7.1.1, C.7.1.3, C.7.2).

    What a PACS goes by is taken over whatever it looks like, and is empty where the source has
    none. An optional attribute is left out where its value breaks the rules of its VR.
    """
    chosen = Dataset()
    for tag in header.keys():  # noqa: SIM118 - raw elements
        if tag in IDENTITY_TAGS:
            chosen[tag] = header.get_item(tag)
    found = {element.tag: element for element in encode_all(chosen, encodings_of(header))}
    kept = {
        tag: element
        for tag, element in found.items()
        if tag in _REQUIRED or tag == _STUDY_INSTANCE_UID or _is_well_formed(element)
    }
    empty = {tag: Encoded(tag, vr, b"") for tag, vr in _REQUIRED.items() if tag not in kept}
    return tuple(sorted((kept | empty).values()))


def put_identity(dataset: Dataset, header: Dataset) -> None:
    """Put the source's patient and study in place of what the data set has.

    From then on the data set is written as the source's character set demands, and what was put in
    is written as it is.
    """
    for tag in [tag for tag in dataset.keys() if tag in IDENTITY_TAGS]:  # noqa: SIM118 - raw keys
        del dataset[tag]
    for element in identity_of(header):
        dataset[element.tag] = element.raw()
    terms = character_set(header)
    if CHARACTER_SET in dataset:
        del dataset[CHARACTER_SET]
    if terms:
        dataset.SpecificCharacterSet = terms if len(terms) > 1 else terms[0]
    dataset.set_original_encoding(False, True, encodings_of(header))


def _is_well_formed(element: Encoded) -> bool:
    form = _FORMS.get(element.vr)
    if form is None or not element.data:
        return True
    most = _MOST_CHARACTERS.get(element.vr, 64)
    values = element.data.decode("latin-1").rstrip("\0 ").split("\\")
    return all(len(value) <= most and (not value or re.fullmatch(form, value)) for value in values)
