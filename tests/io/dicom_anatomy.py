"""Where the parts of a DICOM file lie, and how to write others in its own encoding.

Kept apart from the reader on purpose, and lenient: what cannot be followed ends the list.
"""

import struct
import zlib
from dataclasses import dataclass, replace

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXEL_DATA = 0x7FE00010
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
DEFLATED = "1.2.840.10008.1.2.1.99"
_NESTING = 8
_MOST = 30_000
_RAMP = bytes(range(256)) * 4096


@dataclass(frozen=True, slots=True)
class Span:
    """One element, item or delimiter.

    Attributes:
        vr: as written; empty in implicit VR and for items.
        start: of the tag.
        length_at: of the length field, `length_width` bytes wide.
        begin: of the value.
        end: of the value, with its delimiter where the length is undefined.
        depth: 0 outside of sequences.
    """

    tag: int
    vr: bytes
    start: int
    length_at: int
    length_width: int
    begin: int
    end: int
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A file taken apart.

    Attributes:
        start: of the data set, behind the file meta header.
        elements: of the meta header, then of the data set, in the order of the file; items and
            fragments among them.
    """

    data: bytes
    explicit: bool
    little: bool
    start: int
    elements: tuple[Span, ...]

    @property
    def order(self) -> str:
        """Byte order of the data set for `struct`."""
        return "<" if self.little else ">"

    def find(self, tag: int) -> Span | None:
        """The first element of a tag outside of sequences."""
        found = (span for span in self.elements if span.tag == tag and span.depth == 0)
        return next(found, None)

    def encoded(self, tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
        """An element in the encoding of the data set; `length` may lie about its value."""
        return encoded(tag, vr, value, self.explicit, self.little, length)

    def with_element(self, tag: int, vr: bytes, value: bytes) -> bytes:
        """The file with this value in the place of an element's own, or where it belongs."""
        value += b"\0" * (len(value) % 2)
        old = self.find(tag)
        if tag >> 16 == 2:
            new = encoded(tag, vr, value, True, True)
        else:
            new = self.encoded(tag, vr, value)
        if old is not None:
            return self.data[: old.start] + new + self.data[old.end :]
        behind = (s for s in self.elements if s.start >= self.start and not s.depth and s.tag > tag)
        at = next((span.start for span in behind), len(self.data))
        return self.data[:at] + new + self.data[at:]

    def shorts(self, *values: int) -> bytes:
        """Numbers of 16 bits, unsigned or as two's complement."""
        return struct.pack(f"{self.order}{len(values)}H", *(value & 0xFFFF for value in values))


def encoded(
    tag: int, vr: bytes, value: bytes, explicit: bool, little: bool, length: int | None = None
) -> bytes:
    """An element's bytes (PS3.5 7.1); a length that does not fit its field is cut."""
    order = "<" if little else ">"
    length = len(value) if length is None else length
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if not explicit or tag >> 16 == 0xFFFE:
        return head + struct.pack(f"{order}L", length & UNDEFINED) + value
    if vr in LONG_VRS:
        return head + vr + b"\0\0" + struct.pack(f"{order}L", length & UNDEFINED) + value
    return head + vr + struct.pack(f"{order}H", length & 0xFFFF) + value


def deflated(data: bytes, tail: int = 0) -> bytes:
    """A file in Explicit VR Little Endian with its data set deflated (PS3.5 A.5).

    Args:
        data: the file.
        tail: so many more bytes are put behind the data set; they deflate to almost nothing.
    """
    start = anatomy(data).start
    packer = zlib.compressobj(1, wbits=-15)
    meta = data[:start].replace(b"\x14\x001.2.840.10008.1.2.1\0", b"\x16\0" + DEFLATED.encode())
    packed = packer.compress(data[start:])
    more = (packer.compress(_RAMP[: tail - at]) for at in range(0, tail, len(_RAMP)))
    return meta + packed + b"".join(more) + packer.flush()


def anatomy(data: bytes) -> Anatomy:
    """Take a file apart, with or without preamble and meta header."""
    start = 132 if data[128:132] == b"DICM" else 0
    spans: list[Span] = []
    if data[start : start + 2] == b"\x02\x00":
        start = _follow(data, start, len(data), True, True, spans, group=2)
    explicit = data[start + 4 : start + 6].isalpha() and data[start + 4 : start + 6].isupper()
    little = data[start : start + 1] != b"\0"
    _follow(data, start, len(data), explicit, little, spans)
    return Anatomy(data, explicit, little, start, tuple(spans))


def _follow(
    data: bytes, at: int, end: int, explicit: bool, little: bool, spans: list[Span], *,
    depth: int = 0, group: int | None = None, in_pixels: bool = False,
) -> int:  # fmt: skip
    """Add the elements from a place on; where the last of them ends."""
    while (span := _read(data, at, end, explicit, little, depth)) is not None:
        if (group is not None and span.tag >> 16 != group) or len(spans) >= _MOST:
            return at
        place = len(spans)
        spans.append(span)
        at = span.end
        if span.tag in (ITEM_END, SEQUENCE_END):
            return at
        field = data[span.length_at : span.begin]
        holds_items = span.vr == b"SQ" or (span.tag == ITEM and not in_pixels)
        if depth >= _NESTING:
            continue
        if field == b"\xff\xff\xff\xff":
            within = in_pixels or span.tag == PIXEL_DATA
            at = _follow(
                data, span.begin, end, explicit, little, spans, depth=depth + 1, in_pixels=within
            )
            spans[place] = replace(span, end=at)
        elif holds_items:
            _follow(data, span.begin, span.end, explicit, little, spans, depth=depth + 1)
    return at


def _read(data: bytes, at: int, end: int, explicit: bool, little: bool, depth: int) -> Span | None:
    """The element at a place, or None where there is no whole one."""
    order = "<" if little else ">"
    if at + 8 > end:
        return None
    group, number = struct.unpack_from(f"{order}HH", data, at)
    vr, width, place = b"", 4, at + 4
    if explicit and group != 0xFFFE:
        vr = data[at + 4 : at + 6]
        width, place = (4, at + 8) if vr in LONG_VRS else (2, at + 6)
    if place + width > end:
        return None
    (length,) = struct.unpack_from(f"{order}{'L' if width == 4 else 'H'}", data, place)
    begin = place + width
    stop = begin if length == UNDEFINED and width == 4 else begin + length
    if stop > end:
        return None
    return Span(group << 16 | number, vr, at, place, width, begin, stop, depth)
