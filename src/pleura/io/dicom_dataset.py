"""A pydicom Dataset that the caller holds -> the same value that a file gives."""

from typing import Any

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from pleura.errors import InvalidHeaderError, NotFoundError
from pleura.io import tags
from pleura.io.dicom_file import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    NATIVE,
    DicomObject,
    PixelElement,
)
from pleura.io.elements import Header

_ITEM = b"\xfe\xff\x00\xe0"


def object_of(dataset: Dataset) -> DicomObject:
    """View of a data set; nothing is copied and the data set is not changed.

    The transfer syntax comes from `file_meta`, else from how the data set was read; a data set
    made in memory without either is taken as Explicit VR Little Endian.

    Raises:
        InvalidHeaderError: the pixel data is no bytes.
        NotFoundError: the pixel data stands in a file that cannot be read any more.
    """
    meta = Header(getattr(dataset, "file_meta", None) or Dataset())
    syntax = meta.text(0x00020010)
    implicit, little = dataset.original_encoding
    if not syntax and little is not None:
        syntax = EXPLICIT_BIG if not little else IMPLICIT_LITTLE if implicit else EXPLICIT_LITTLE
    return DicomObject(
        Header(dataset),
        _pixel_element(dataset, syntax),
        syntax or EXPLICIT_LITTLE,
        meta.text(0x00020002),
    )


def _pixel_element(dataset: Dataset, syntax: str) -> PixelElement | None:
    for tag in (tags.PIXEL_DATA, tags.FLOAT_PIXEL_DATA, tags.DOUBLE_FLOAT_PIXEL_DATA):
        # A value that pydicom deferred is read now; its errors name the path.
        try:
            element: Any = dataset.get_item(tag)
        except Exception as error:
            raise NotFoundError(
                f"The pixel data of the data set cannot be read ({type(error).__name__})."
            ) from None
        if element is None:
            continue
        value = element.value
        if value is None:
            value = b""
        if not isinstance(value, bytes | bytearray | memoryview):
            raise InvalidHeaderError("The pixel data of the data set is no bytes.")
        encapsulated = syntax not in NATIVE and bytes(value[:4]) == _ITEM
        little = element.is_little_endian if isinstance(element, RawDataElement) else True
        if syntax == EXPLICIT_BIG:
            little = False
        return PixelElement(tag, str(element.VR or ""), memoryview(value), encapsulated, little)
    return None
