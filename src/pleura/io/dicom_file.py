"""A DICOM file's bytes -> header and undecoded pixel data (PS3.10 7, PS3.5 7 and A.4)."""

import zlib
from dataclasses import dataclass

from pydicom.datadict import dictionary_has_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.valuerep import VR

from pleura.errors import (
    InvalidHeaderError,
    NotAnImageError,
    PleuraError,
    TooLargeError,
    TruncatedError,
)
from pleura.io import tags
from pleura.io.elements import Header
from pleura.io.limits import Limits
from pleura.io.origin import ORIGIN_TAGS
from pleura.io.source import too_many_bytes
from pleura.io.walk import UNDEFINED, Element, Walk
from pleura.radiograph import Notice

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
NATIVE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG})

_PIXEL_TAGS = frozenset({tags.PIXEL_DATA, tags.FLOAT_PIXEL_DATA, tags.DOUBLE_FLOAT_PIXEL_DATA})
_KEPT_TAGS = tags.HEADER_TAGS | ORIGIN_TAGS
_VRS = frozenset(vr.value.encode() for vr in VR if len(vr.value) == 2)
_MEDIA_STORAGE_SOP_CLASS_UID = 0x00020002
_TRANSFER_SYNTAX_UID = 0x00020010


@dataclass(frozen=True, slots=True)
class PixelElement:
    """The pixel data element as it stands in the file.

    Attributes:
        tag: PixelData, FloatPixelData or DoubleFloatPixelData.
        vr: `OB`, `OW`, or "" in implicit VR.
        data: value bytes; for encapsulated data the items from the first item tag on.
        encapsulated: whether the data is a sequence of fragments (PS3.5 A.4).
        little_endian: byte order of native data.
    """

    tag: int
    vr: str
    data: memoryview
    encapsulated: bool
    little_endian: bool


@dataclass(frozen=True, slots=True)
class DicomObject:
    """Header and undecoded pixel data of one DICOM object.

    Attributes:
        too_large: why the header was not read to its end; raised when the pixel data is asked for,
            so that what is no radiograph at all is refused as such.
    """

    header: Header
    pixel_element: PixelElement | None
    transfer_syntax: str
    media_storage_class: str = ""
    notices: tuple[Notice, ...] = ()
    too_large: TooLargeError | None = None


def looks_like_data_set(data: bytes) -> bool:
    """Whether bytes without the `DICM` prefix begin like a data set or a file meta header."""
    if len(data) < 16:
        return False
    little = data[1] == 0
    order = "little" if little else "big"
    group = int.from_bytes(data[0:2], order)  # type: ignore[arg-type]
    element = int.from_bytes(data[2:4], order)  # type: ignore[arg-type]
    if group not in (0x0002, 0x0008):
        return False
    if element != 0 and not dictionary_has_tag(group << 16 | element):
        return False
    if data[4:6] in _VRS:
        return True
    return int.from_bytes(data[4:8], order) <= len(data)  # type: ignore[arg-type]


def parse_dicom(data: bytes, limits: Limits) -> DicomObject:
    """Parse a DICOM file, with or without preamble, prefix and file meta header.

    How the data set is encoded is read from its own bytes, since files exist whose meta header
    names another encoding; what the meta header says decides on compression only.

    Raises:
        NotAnImageError: no element can be read.
        TruncatedError: the file ends inside an element.
        InvalidHeaderError: the header cannot be parsed.
        TooLargeError: a deflated data set inflates beyond `limits.max_bytes`.
    """
    try:
        return _parse(data, limits)
    except PleuraError:
        raise
    # The text of what pydicom raises on malformed bytes may hold header values, so neither the
    # text nor the chain is kept.
    except Exception as error:
        raise InvalidHeaderError(
            f"The DICOM header cannot be parsed ({type(error).__name__})."
        ) from None


def _parse(data: bytes, limits: Limits) -> DicomObject:
    start = 132 if data[128:132] == b"DICM" else 4 if data[:4] == b"DICM" else 0
    meta, start = _read_meta(data, start, limits)
    syntax = meta.text(_TRANSFER_SYNTAX_UID)
    storage_class = meta.text(_MEDIA_STORAGE_SOP_CLASS_UID)
    notices: list[Notice] = []
    if syntax == DEFLATED:
        data, start = _inflate(data[start:], limits), 0

    if len(data) - start < 8:
        raise TruncatedError("The file ends before the data set begins.")
    little, explicit = _encoding_at(data, start)
    found = _found_syntax(little, explicit)
    if syntax in NATIVE and syntax != DEFLATED and syntax != found:
        notices.append(
            Notice("transfer_syntax", "The data set is encoded otherwise than its header says.")
        )
    walk = Walk(data, explicit=explicit, little=little, limits=limits)
    elements, pixel, too_large = _read_elements(data, start, walk, little)
    if pixel is None or not pixel.encapsulated:
        syntax = (
            DEFLATED if syntax == DEFLATED else found if syntax in NATIVE or not syntax else syntax
        )
    header = Header(Dataset(elements))
    return DicomObject(header, pixel, syntax, storage_class, tuple(notices), too_large)


def _read_meta(data: bytes, start: int, limits: Limits) -> tuple[Header, int]:
    """File meta elements (group 0002, little endian) and where the data set starts."""
    if data[start : start + 2] != b"\x02\x00":
        return Header(Dataset()), start
    explicit = data[start + 4 : start + 6] in _VRS
    walk = Walk(data, explicit=explicit, little=True, limits=limits)
    kept: dict[BaseTag, RawDataElement | DataElement] = {}
    for element in walk.elements(start, last=lambda tag: tag >> 16 != 2):
        if element.tag >> 16 != 2:
            return Header(Dataset(kept)), element.start
        if element.tag in (_MEDIA_STORAGE_SOP_CLASS_UID, _TRANSFER_SYNTAX_UID):
            kept[BaseTag(element.tag)] = walk.raw(element)
    raise TruncatedError("The file ends before the data set begins.")


def _encoding_at(data: bytes, start: int) -> tuple[bool, bool]:
    """(little endian, explicit VR) of the data set that begins at `start`."""
    little = not (data[start] == 0 and data[start + 1] != 0)
    return little, data[start + 4 : start + 6] in _VRS


def _found_syntax(little: bool, explicit: bool) -> str:
    if not little:
        return EXPLICIT_BIG
    return EXPLICIT_LITTLE if explicit else IMPLICIT_LITTLE


def _inflate(deflated: bytes, limits: Limits) -> bytes:
    """Inflate a data set (PS3.5 A.5), never beyond the limit."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(deflated, limits.max_bytes + 1)
    except zlib.error:
        raise TruncatedError("The deflated data set is damaged.") from None
    if len(data) > limits.max_bytes:
        raise too_many_bytes(len(data), limits, at_least=True)
    if not inflater.eof:
        raise TruncatedError("The deflated data set breaks off.")
    return data


def _read_elements(
    data: bytes, start: int, walk: Walk, little: bool
) -> tuple[dict[BaseTag, RawDataElement | DataElement], PixelElement | None, TooLargeError | None]:
    """Elements that are used or handed on, and the pixel data; what follows it is not read.

    The pixel data is not copied, and encapsulated data is not searched for its delimiter: the
    pattern may occur inside a compressed fragment.
    """
    kept: dict[BaseTag, RawDataElement | DataElement] = {}
    element: Element | None = None
    try:
        for element in walk.elements(start, last=_PIXEL_TAGS.__contains__):
            if element.tag in _PIXEL_TAGS:
                view = memoryview(data)[element.begin : element.end]
                encapsulated = element.length == UNDEFINED
                pixel = PixelElement(element.tag, element.vr, view, encapsulated, little)
                return kept, pixel, None
            if element.tag in _KEPT_TAGS:
                kept[BaseTag(element.tag)] = walk.raw(element)
    except TooLargeError as error:
        return kept, None, error
    if element is None:
        raise NotAnImageError("No DICOM element can be read.")
    return kept, None, None
