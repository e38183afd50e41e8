"""What the header of a stored object says of its identity, without reading the pixels."""

import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pleura.errors import TruncatedError
from pleura.io import Limits, tags
from pleura.io.dicom_file import DEFLATED, DicomObject, parse_dicom
from pleura.outputs.dicom.marks import MANUFACTURER, MODEL_NAME

_MANUFACTURER_TAG, _MODEL_NAME_TAG = 0x00080070, 0x00081090
_LIMITS = Limits()
_FIRST = 1 << 18
"""Bytes that hold the header of nearly every radiograph."""
_MOST = _LIMITS.max_header_bytes + _FIRST
_DATA_SET = 132
"""Where the file meta information begins (PS3.10 7.1)."""


@dataclass(frozen=True, slots=True)
class Heading:
    """Identity of an object; a UID that is none is empty.

    Attributes:
        sop_class_uid: as the data set states it, or empty.
        sop_instance_uid: likewise.
        study_instance_uid: likewise.
        own: it is a result of Pleura, by manufacturer and model name.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    own: bool


def well_formed(uid: str) -> str:
    """The UID, or "" where it is none (PS3.5 9.1), whoever forgot which rule of its digits."""
    return uid if re.fullmatch(r"[0-9.]{1,64}", uid) else ""


def read_heading(path: Path) -> Heading:
    """Read the identity of a DICOM file; at most 17 MiB of it are held in memory.

    Raises:
        PleuraError: the header cannot be read.
    """
    with path.open("rb") as stream:
        parsed = _parsed(stream)
    header = parsed.header
    maker = tuple(header.text(tag).casefold() for tag in (_MANUFACTURER_TAG, _MODEL_NAME_TAG))
    return Heading(
        sop_class_uid=well_formed(header.text(tags.SOP_CLASS_UID)),
        sop_instance_uid=well_formed(header.text(tags.SOP_INSTANCE_UID)),
        study_instance_uid=well_formed(header.text(tags.STUDY_INSTANCE_UID)),
        own=maker == (MANUFACTURER.casefold(), MODEL_NAME.casefold()),
    )


def _parsed(stream: BinaryIO) -> DicomObject:
    start = stream.read(_FIRST)
    if DEFLATED.encode() in start[:1024]:
        return parse_dicom(_inflated(start, stream), _LIMITS)
    try:
        return parse_dicom(start, _LIMITS)
    except TruncatedError:
        if len(start) < _FIRST:
            raise
    return parse_dicom(start + stream.read(_MOST - _FIRST), _LIMITS)


def _inflated(start: bytes, stream: BinaryIO) -> bytes:
    """The beginning of a deflated data set (PS3.5 A.5), however far the rest would expand."""
    meta_length = int.from_bytes(start[_DATA_SET + 8 : _DATA_SET + 12], "little")
    chunk = start[_DATA_SET + 12 + meta_length :]
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    found = bytearray()
    while chunk and len(found) < _MOST:
        try:
            found += inflater.decompress(chunk, _MOST - len(found))
        except zlib.error:
            break  # what was found before may do
        chunk = stream.read(_FIRST)
    return bytes(found)
