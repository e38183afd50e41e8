"""Elements as they are written: Explicit VR Little Endian (PS3.5 7.1.2, 7.5, A.2).

Text that comes out of a header keeps its bytes. pydicom would decode and check it, which fails on
what is malformed, prints it in warnings, and may write other bytes than it has read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Any, cast

import numpy as np
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from pleura.errors import PleuraError
from pleura.io.walk import Walk

_LONG = frozenset(str(vr) for vr in EXPLICIT_VR_LENGTH_32)
_WIDTHS = {"AT": 2, "US": 2, "SS": 2, "OW": 2, "UL": 4, "SL": 4, "FL": 4, "OF": 4, "OL": 4}
_WIDTHS |= {"FD": 8, "OD": 8, "OV": 8, "SV": 8, "UV": 8}
_TAG, _SHORT, _WIDE = Struct("<HH"), Struct("<H"), Struct("<L")
_ITEM = b"\xfe\xff\x00\xe0"
_MOST_LEVELS = 8
"""Of sequences within sequences; the modules that are copied have three at most."""


@dataclass(frozen=True, slots=True, order=True)
class Encoded:
    """One element: its tag, VR and value, of even length and in little endian order."""

    tag: int
    vr: str
    data: bytes

    def raw(self) -> RawDataElement:
        """The element as pydicom holds one that it has read and not yet converted."""
        return RawDataElement(
            BaseTag(self.tag), self.vr, len(self.data), self.data, 0, False, True, True
        )

    def to_bytes(self) -> bytes:
        """Tag, VR, length and value."""
        head = _TAG.pack(self.tag >> 16, self.tag & 0xFFFF) + self.vr.encode("ascii")
        if self.vr in _LONG:
            return head + b"\0\0" + _WIDE.pack(len(self.data)) + self.data
        return head + _SHORT.pack(len(self.data)) + self.data


def encode_all(dataset: Dataset, encodings: list[str]) -> tuple[Encoded, ...]:
    """All elements of a data set, in the order of their tags.

    Args:
        dataset: converted elements and such that nobody has converted, in any encoding.
        encodings: Python's names of the character sets of converted text.

    Returns:
        Without private elements, group lengths, and sequences that cannot be parsed.
    """
    return tuple(_encode_all((dataset.get_item(tag) for tag in dataset.keys()), encodings, 0))  # noqa: SIM118


def sequence(tag: int, items: Iterable[Iterable[Encoded]]) -> Encoded:
    """A sequence of items of explicit length, their elements in the order of their tags."""
    parts = []
    for item in items:
        body = b"".join(element.to_bytes() for element in sorted(item))
        parts.append(_ITEM + _WIDE.pack(len(body)) + body)
    return Encoded(tag, "SQ", b"".join(parts))


def _encode_all(elements: Iterable[Any], encodings: list[str], level: int) -> list[Encoded]:
    found = []
    for element in elements:
        private_or_length = element.tag >> 16 & 1 or element.tag & 0xFFFF == 0
        encoded = None if private_or_length else _encode(element, encodings, level)
        if encoded is not None:
            found.append(encoded)
    return sorted(found)


def _encode(element: Any, encodings: list[str], level: int) -> Encoded | None:
    tag = int(element.tag)
    vr = _vr_of(element)
    if vr is None:
        return None
    if vr == "SQ":
        if level == _MOST_LEVELS:
            return None
        try:
            items = [_encode_all(item, encodings, level + 1) for item in _items_of(element)]
        except PleuraError:
            return None
        return sequence(tag, items)
    if isinstance(element, RawDataElement):
        value = element.value or b""
        if not element.is_little_endian and vr in _WIDTHS:
            whole = len(value) - len(value) % _WIDTHS[vr]
            value = np.frombuffer(value[:whole], f">u{_WIDTHS[vr]}").byteswap().tobytes()
        return Encoded(tag, vr, _even(value, vr))
    return Encoded(tag, vr, _value_bytes(element, encodings))


def _vr_of(element: Any) -> str | None:
    """The VR as written, or by the dictionary where the file gives none; None for neither."""
    if element.VR not in (None, "UN"):
        return str(element.VR)
    if not dictionary_has_tag(element.tag):
        return None
    known = dictionary_VR(element.tag)
    return known if len(known) == 2 else None


def _items_of(element: Any) -> Iterator[list[Any]]:
    """The elements of each item of a sequence, converted or not."""
    if not isinstance(element, RawDataElement):
        for item in cast("Iterable[Dataset]", element.value or ()):
            yield [item.get_item(tag) for tag in item.keys()]  # noqa: SIM118 - raw elements
        return
    implicit = element.is_implicit_VR or element.VR == "UN"
    walk = Walk(element.value or b"", explicit=not implicit, little=element.is_little_endian)
    for begin, end in walk.items():
        yield [walk.raw(inner) for inner in walk.elements(begin, end)]


def _value_bytes(element: Any, encodings: list[str]) -> bytes:
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_data_element(stream, element, encodings)
    return stream.getvalue()[12 if str(element.VR) in _LONG else 8 :]


def _even(value: bytes, vr: str) -> bytes:
    if len(value) % 2 == 0:
        return value
    return value + (b" " if vr not in ("UI", "OB", "UN") and vr not in _WIDTHS else b"\0")
