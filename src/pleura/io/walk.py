"""The elements of a data set, found in its bytes one after the other (PS3.5 7.1 and 7.5).

Nothing is converted, and no object is made for what nobody asks for: a header of a few kilobytes
may inflate to a million items, and a value that is looked at may end up in a warning.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import Struct

from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from pleura.errors import InvalidHeaderError, TooLargeError, TruncatedError
from pleura.io.limits import DEFAULT_LIMITS, Limits

UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_VRS = frozenset(str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32)


@dataclass(frozen=True, slots=True)
class Element:
    """Where one element stands in the bytes.

    Attributes:
        vr: as written, or "" in implicit VR.
        length: as written; `UNDEFINED` where a delimiter ends the value.
        start: of the tag.
        begin: of the value.
        end: of the value, without a delimiter.
        following: where the next element starts.
    """

    tag: int
    vr: str
    length: int
    start: int
    begin: int
    end: int
    following: int


class Walk:
    """A way through one data set or one sequence; its steps are counted against the limits."""

    def __init__(
        self, data: bytes, *, explicit: bool, little: bool, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        order = "<" if little else ">"
        self._data = data
        self._explicit, self._little = explicit, little
        self._limits = limits
        self._steps = 0
        self._tag = Struct(f"{order}HH")
        self._short = Struct(f"{order}H")
        self._long = Struct(f"{order}L")

    def elements(
        self,
        start: int = 0,
        end: int | None = None,
        *,
        last: Callable[[int], bool] = lambda tag: False,
    ) -> Iterator[Element]:
        """Elements from `start` on; one whose tag is `last` ends them, and its value is not read.

        Raises:
            TruncatedError: the bytes end inside an element.
            InvalidHeaderError: a sequence holds something else than items.
            TooLargeError: more bytes or more elements than the limits allow.
        """
        end = len(self._data) if end is None else end
        position = start
        while position < end:
            tag, vr, length, begin = self._head(position, end)
            if last(tag):
                following = value_end = end if length == UNDEFINED else min(end, begin + length)
            elif tag == _ITEM_END:
                return
            elif length == UNDEFINED:
                value_end, following = self._delimited(begin, end)
            else:
                value_end = following = begin + length
                if following > end:
                    raise TruncatedError("The file ends inside an element of the header.")
            yield Element(tag, vr, length, position, begin, value_end, following)
            if last(tag):
                return
            position = following
            if position - start > self._limits.max_header_bytes:
                raise TooLargeError(
                    f"The header holds more than {self._limits.max_header_bytes} bytes."
                )

    def items(self) -> Iterator[tuple[int, int]]:
        """Where the elements of each item of a sequence begin and end.

        Raises:
            As `elements`.
        """
        position, end = 0, len(self._data)
        while position < end:
            tag, _, length, begin = self._head(position, end)
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise _no_item()
            if length == UNDEFINED:
                item_end, position = self._delimited(begin, end, in_item=True)
            else:
                item_end = position = begin + length
            if item_end > end:
                raise TruncatedError("The file ends inside an item of the header.")
            yield begin, item_end

    def raw(self, element: Element) -> RawDataElement:
        """The element with its value bytes, as pydicom holds it before a conversion."""
        return RawDataElement(
            BaseTag(element.tag),
            element.vr or None,
            element.length,
            self._data[element.begin : element.end],
            element.begin,
            not self._explicit,
            self._little,
        )

    def _head(self, at: int, end: int) -> tuple[int, str, int, int]:
        """Tag, VR, length and begin of the value of the element, item or delimiter at a place."""
        self._steps += 1
        if self._steps > self._limits.max_elements:
            raise TooLargeError(f"The header holds more than {self._limits.max_elements} elements.")
        if at + 8 > end:
            raise TruncatedError("The file ends inside an element of the header.")
        group, number = self._tag.unpack_from(self._data, at)
        vr = self._data[at + 4 : at + 6]
        # Some writers fall back to implicit VR inside explicit data sets; a VR is two capitals.
        if not self._explicit or group == 0xFFFE or not b"AA" <= vr <= b"ZZ":
            return group << 16 | number, "", self._long.unpack_from(self._data, at + 4)[0], at + 8
        name = vr.decode("latin-1")
        if vr not in _LONG_VRS:
            return (
                group << 16 | number,
                name,
                self._short.unpack_from(self._data, at + 6)[0],
                at + 8,
            )
        if at + 12 > end:
            raise TruncatedError("The file ends inside an element of the header.")
        return group << 16 | number, name, self._long.unpack_from(self._data, at + 8)[0], at + 12

    def _delimited(self, begin: int, end: int, *, in_item: bool = False) -> tuple[int, int]:
        """End of a value, or of an item, of undefined length, and what follows its delimiter."""
        if not in_item and not self._items_at(begin, end):
            return self._searched(begin, end)
        inside = [in_item]  # of an item (else of a sequence), from the outermost inwards
        position = begin
        while True:
            start = position
            tag, _, length, position = self._head(start, end)
            if tag == (_ITEM_END if inside[-1] else _SEQUENCE_END):
                inside.pop()
                if not inside:
                    return start, position
            elif not inside[-1] and tag != _ITEM:
                raise _no_item()
            elif length != UNDEFINED:
                position += length
            elif inside[-1] and not self._items_at(position, end):
                position = self._searched(position, end)[1]
            else:
                inside.append(not inside[-1])

    def _items_at(self, begin: int, end: int) -> bool:
        if begin + 8 > end:
            raise TruncatedError("The file ends inside a sequence of the header.")
        group, number = self._tag.unpack_from(self._data, begin)
        return (group << 16 | number) in (_ITEM, _SEQUENCE_END)

    def _searched(self, begin: int, end: int) -> tuple[int, int]:
        """End of a value without items, by the next sequence delimiter."""
        delimiter = self._tag.pack(_SEQUENCE_END >> 16, _SEQUENCE_END & 0xFFFF)
        found = self._data.find(delimiter, begin, end)
        if found < 0:
            raise TruncatedError("The file ends inside an element of the header.")
        return found, found + 8


def _no_item() -> InvalidHeaderError:
    return InvalidHeaderError("A sequence of the header holds something else than items.")
