"""Values of DICOM elements, read leniently: what cannot be understood is absent, never a crash.

pydicom converts and validates an element when it is first touched, which raises on malformed values
and prints them in warnings. Headers of radiographs hold patients' names, so the raw bytes are read
here instead, and nothing of them is printed.
"""

import math
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from pleura.errors import InvalidHeaderError, TooLargeError
from pleura.io.tags import HEADER_TAGS
from pleura.io.walk import Walk

_TEXT_VRS = frozenset(
    {"AS", "CS", "DA", "DS", "DT", "IS", "LO", "SH", "TM", "UI", "ST", "LT", "UT"}
)

MAX_VALUES = 1000
"""Values of one element that are looked at, table data apart; radiographs have a few windows."""


class Header:
    """Lenient view of a data set; every method returns an empty value for what is not there."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    @property
    def dataset(self) -> Dataset:
        """The data set that is looked at."""
        return self._dataset

    def has(self, tag: int) -> bool:
        """Whether the element is present, with or without a value."""
        return tag in self._dataset

    def texts(self, tag: int) -> list[str]:
        """First values of a textual element, stripped of padding; [] when absent or empty."""
        value, _ = self._value(tag)
        if value is None:
            return []
        if isinstance(value, bytes):
            value = value.decode("ascii", "replace")
        parts = _split(value) if isinstance(value, str) else _as_list(value)
        found = [str(part).strip(" \0") for part in parts]
        return found if any(found) else []

    def text(self, tag: int) -> str:
        """First value of a textual element, or ""."""
        return next(iter(self.texts(tag)), "")

    def decimals(self, tag: int) -> list[float]:
        """Values of a decimal string (DS); a value that is no finite number becomes NaN."""
        return [_number(part) for part in self.texts(tag)]

    def integers(self, tag: int) -> list[int]:
        """Values of a US or SS element as unsigned 16-bit numbers, or of an IS as written.

        Values of a text that do not fit into 32 bits, the most that an IS may need, are left out.
        """
        value, raw = self._value(tag)
        if value is None:
            return []
        vr = _vr_of(tag, raw)
        if isinstance(value, bytes) and raw is not None and vr not in _TEXT_VRS:
            order = "<" if raw.is_little_endian else ">"
            code, size = ("L", 4) if vr in ("UL", "SL") else ("H", 2)
            count = min(len(value) // size, MAX_VALUES)
            return list(struct.unpack_from(f"{order}{count}{code}", value))
        if isinstance(value, bytes | str):
            numbers = self.decimals(tag)
        else:
            numbers = [_number(part) for part in _as_list(value)]
        return [int(number) for number in numbers if abs(number) < 1 << 32]

    def integer(self, tag: int) -> int | None:
        """First value of `integers`, or None."""
        return next(iter(self.integers(tag)), None)

    def words(self, tag: int) -> tuple[bytes, str] | NDArray[np.uint16]:
        """Table data: raw bytes with their byte order, or numbers when already converted."""
        value, raw = self._value(tag)
        if isinstance(value, bytes):
            little = raw.is_little_endian if raw is not None else True
            return value, "<" if little else ">"
        numbers = [] if value is None else [_number(part) for part in _as_list(value)]
        finite = [int(number) & 0xFFFF for number in numbers if math.isfinite(number)]
        return np.array(finite, np.uint16)

    def items(self, tag: int) -> list["Header"]:
        """Items of a sequence; [] when absent or empty.

        Raises:
            InvalidHeaderError: the sequence cannot be parsed; to leave it out could change the
                picture.
            TooLargeError: it holds more elements than a header may have.
        """
        if tag not in self._dataset:
            return []
        # pydicom raises many kinds of error here, whose text may hold header values.
        try:
            element: Any = self._dataset.get_item(tag)
            if isinstance(element, RawDataElement):
                return _items(element)
            return [Header(item) for item in (element.value or ()) if isinstance(item, Dataset)]
        except TooLargeError:
            raise
        except Exception as error:
            raise InvalidHeaderError(
                f"A sequence of the header cannot be parsed ({type(error).__name__})."
            ) from None

    def _value(self, tag: int) -> tuple[Any, RawDataElement | None]:
        # A deferred or otherwise lazily held value may raise anything that its file raises.
        try:
            element: Any = self._dataset.get_item(tag)
        except Exception:
            return None, None
        if element is None:
            return None, None
        if isinstance(element, RawDataElement):
            return element.value or None, element
        return (None if element.value in ("", b"", None) else element.value), None


def _items(sequence: RawDataElement) -> list[Header]:
    """Items of a sequence that nobody has converted, with the elements that the reader uses."""
    walk = Walk(
        sequence.value or b"",
        explicit=not sequence.is_implicit_VR,
        little=sequence.is_little_endian,
    )
    return [
        Header(
            Dataset(
                {
                    BaseTag(element.tag): walk.raw(element)
                    for element in walk.elements(begin, end)
                    if element.tag in HEADER_TAGS
                }
            )
        )
        for begin, end in walk.items()
    ]


def _vr_of(tag: int, raw: RawDataElement | None) -> str:
    """VR of an element as written, or by the dictionary where the file gives none."""
    if raw is None:
        return ""
    if raw.VR is None or raw.VR == "UN":
        return dictionary_VR(tag)
    return str(raw.VR)


def _split(text: str) -> list[str]:
    return text.split("\\", MAX_VALUES)[:MAX_VALUES]


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Iterable) else [value]


def _number(value: Any) -> float:
    try:
        number = float(str(value))
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan
