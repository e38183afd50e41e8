"""Damage to the structure and to the values of a DICOM file, written in its own encoding."""

import struct
from random import Random

from byte_mutations import BYTES, EXTREMES, WIDE_EXTREMES, Mutation
from dicom_anatomy import ITEM, ITEM_END, PIXEL_DATA, SEQUENCE_END, UNDEFINED, Span, anatomy
from dicom_maker import CR, CT, DX, PATIENT_ID, PATIENT_NAME, SC, J

TRANSFER_SYNTAX, SOP_CLASS, MODALITY = 0x00020010, 0x00080016, 0x00080060
MODALITY_LUTS, VOI_LUTS = 0x00283000, 0x00283010
SECRET_TEXTS = (PATIENT_NAME, PATIENT_ID, "Rocinante", "QUIXOTE", "1.2.826.0.1.3680043.10.999.7")

SHORTS = (
    0x00280002, 0x00280006, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102,
    0x00280103, 0x00280120, 0x00280121,
)  # fmt: skip
NUMBERS = (
    (0x00101010, b"AS"), (0x00181164, b"DS"), (0x00280008, b"IS"), (0x00280030, b"DS"),
    (0x00280034, b"IS"), (0x00281050, b"DS"), (0x00281051, b"DS"), (0x00281052, b"DS"),
    (0x00281053, b"DS"),
)  # fmt: skip
TEXTS = (
    (0x00080005, b"CS"), (0x00080018, b"UI"), (0x00080020, b"DA"), (MODALITY, b"CS"),
    (0x00100030, b"DA"), (0x00100040, b"CS"), (0x00101010, b"AS"), (0x00180015, b"CS"),
    (0x00185101, b"CS"), (0x0020000D, b"UI"), (0x00200020, b"CS"), (0x00280004, b"CS"),
    (0x00281056, b"CS"), (0x20500020, b"CS"), (SOP_CLASS, b"UI"), (TRANSFER_SYNTAX, b"UI"),
)  # fmt: skip
STRANGE_NUMBERS = (
    "", " ", "0", "-0", "1", "-1", "0.5", "1e308", "-1e308", "1.7e308", "1e400", "5e-324", "1e-300",
    "nan", "inf", "-inf", "9" * 40, "0x10", "1_0", "1,5", "1 2", "2147483648", "-32769", "65536",
    "1e5", "0.0000001", "-1024", "1e15", "\\", "\\\\", "1\\2\\3", "1\\" * 3000, "nan\\1", "٣",
    *SECRET_TEXTS,
)  # fmt: skip
SYNTAXES = (
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.5", "", "1.2.840.10008.1.2.4", "1.2.840.10008.1.1",
    *(J + end for end in ("50", "51", "57", "70", "80", "81", "90", "91", "94", "100", "110",
                          "201", "203", "205")),
    *SECRET_TEXTS,
)  # fmt: skip
CLASSES = (
    CR, DX, f"{DX}.1", SC, f"{SC}.2", CT, "1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.1.1",
    "1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.1.3.10", "",
    *SECRET_TEXTS,
)  # fmt: skip
MODALITIES = ("CR", "DX", "RG", "OT", "SC", "CT", "MG", "SR", "", *SECRET_TEXTS)
VRS = b"AE AS AT CS DA DS FD FL IS LO LT OB OD OF OW PN SH SL SQ SS ST TM UI UL UN US UT ZZ".split()
PHOTOMETRICS = ("MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422", "PALETTE COLOR",
                "YBR_RCT", "")  # fmt: skip
CHARACTER_SETS = (
    "ISO_IR 192", "ISO 2022 IR 6\\ISO 2022 IR 87", "\\ISO 2022 IR 149", "GB18030", "ISO_IR 999",
    "ISO 2022 IR 6\\" * 40, "\\", *SECRET_TEXTS,
)  # fmt: skip
FOREIGN_NAMES = (b"\xff\xfe\x00", b"\x1b$B;3ED\x1b(J^\xc4\xcf", b"\x1b" * 30, b"\xd8\x00=^^=^^==")


def length(rng: Random, data: bytes) -> bytes:
    """An element, item, fragment or offset table with a wrong length."""
    parts = anatomy(data)
    if not parts.elements:
        return data
    span = rng.choice(parts.elements)
    true = span.end - span.begin
    near = (true - 1, true + 1, true + 2, true // 2, 2 * true, len(data), len(data) - span.begin)
    value = rng.choice((*near, *WIDE_EXTREMES)) % (1 << 8 * span.length_width)
    order = "little" if parts.little or span.start < parts.start else "big"
    field = value.to_bytes(span.length_width, order)  # type: ignore[arg-type]
    return data[: span.length_at] + field + data[span.length_at + span.length_width :]


def group_length(rng: Random, data: bytes) -> bytes:
    """A group length that is wrong, of any group."""
    parts = anatomy(data)
    group = rng.choice((0x0002, 0x0008, 0x0010, 0x0028, 0x7FE0))
    value = struct.pack(f"{'<' if group == 2 else parts.order}L", rng.choice(WIDE_EXTREMES))
    return parts.with_element(group << 16, b"UL", value)


def order_of_elements(rng: Random, data: bytes) -> bytes:
    """Two elements change places, or one is missing, stands twice or stands elsewhere."""
    spans = [span for span in anatomy(data).elements if span.depth == 0]
    if len(spans) < 2:
        return data
    one, two = sorted(rng.sample(spans, 2), key=lambda span: span.start)
    first, second = data[one.start : one.end], data[two.start : two.end]
    between = data[one.end : two.start]
    head, tail = data[: one.start], data[two.end :]
    return rng.choice(
        (
            head + second + between + first + tail,
            head + between + second + tail,
            head + first + second + between + second + tail,
            head + second + first + between + tail,
        )
    )


def dimension(rng: Random, data: bytes) -> bytes:
    """Absurd sizes, channels and depths."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        parts = anatomy(data)
        tag = rng.choice(SHORTS)
        usual = {0x00280002: (1, 3, 4), 0x00280100: (1, 8, 12, 16, 32, 64)}.get(tag, ())
        value = rng.choice((*usual, *EXTREMES, 199, 200, 10000, rng.randrange(65536)))
        many = rng.choice((1, 1, 1, 2, 500))
        data = parts.with_element(tag, b"US", parts.shorts(*[value] * many))
        if rng.random() < 0.2:
            named = rng.choice(PHOTOMETRICS).encode()
            data = anatomy(data).with_element(0x00280004, b"CS", named)
    return data


def numbers(rng: Random, data: bytes) -> bytes:
    """Windows, rescale values, spacing, frames and age that are no usable numbers."""
    for _ in range(rng.choice((1, 2, 4))):
        tag, vr = rng.choice(NUMBERS)
        text = rng.choice(STRANGE_NUMBERS)
        if rng.random() < 0.3:
            text = f"{rng.choice('-+ ')}{rng.random() * 10 ** rng.randrange(-320, 308):.6g}"
        data = anatomy(data).with_element(tag, vr, text.encode())
    return data


def texts(rng: Random, data: bytes) -> bytes:
    """A patient's name in coded elements."""
    for _ in range(rng.choice((1, 2, 4))):
        tag, vr = rng.choice(TEXTS)
        data = anatomy(data).with_element(tag, vr, rng.choice(SECRET_TEXTS).encode())
    return data


def tables(rng: Random, data: bytes) -> bytes:
    """Look-up tables whose descriptor and data do not fit one another."""
    parts = anatomy(data)
    count = rng.choice((0, 1, 2, 16, 256, 4096, 65535, rng.randrange(65536)))
    first = rng.choice((0, 1, 100, 32767, 32768, 65535, rng.randrange(65536)))
    depth = rng.choice((0, 1, 7, 8, 10, 12, 16, 17, 255, 65535))
    present = rng.choice((0, 1, count, 2 * count, count + 1, 2 * count - 1, 2 * (count or 65536)))
    entries = rng.choice((rng.randbytes(max(0, present)), bytes(max(0, present))))
    descriptor = parts.shorts(*(count, first, depth)[: rng.choice((3, 3, 3, 2, 1, 0))])
    vr = rng.choice((b"US", b"SS", b"OW", b"UN"))
    item = parts.encoded(0x00283002, vr, descriptor)
    item += parts.encoded(0x00283006, rng.choice((b"OW", b"US", b"OB", b"UN")), entries)
    items = parts.encoded(ITEM, b"", item) * rng.choice((1, 1, 2))
    tag = rng.choice((MODALITY_LUTS, VOI_LUTS))
    return parts.with_element(tag, rng.choice((b"SQ", b"SQ", b"UN", b"OB")), items)


def representation(rng: Random, data: bytes) -> bytes:
    """Another VR over the same value."""
    spans = [span for span in anatomy(data).elements if span.vr]
    if not spans:
        return data
    span = rng.choice(spans)
    vr = rng.choice((*VRS, bytes([rng.randrange(256), rng.randrange(256)])))
    return data[: span.start + 4] + vr + data[span.start + 6 :]


def syntax(rng: Random, data: bytes) -> bytes:
    """Another transfer syntax in the meta header."""
    return anatomy(data).with_element(TRANSFER_SYNTAX, b"UI", rng.choice(SYNTAXES).encode())


def kind_of_object(rng: Random, data: bytes) -> bytes:
    """Another SOP class and modality."""
    data = anatomy(data).with_element(SOP_CLASS, b"UI", rng.choice(CLASSES).encode())
    return anatomy(data).with_element(MODALITY, b"CS", rng.choice(MODALITIES).encode())


def nesting(rng: Random, data: bytes) -> bytes:
    """Sequences in sequences, with and without an end, in front of the pixel data."""
    parts = anatomy(data)
    tag = rng.choice((0x00091010, 0x00400275, 0x00081140, MODALITY_LUTS, VOI_LUTS))
    opening = parts.encoded(tag, b"SQ", b"", UNDEFINED) + parts.encoded(ITEM, b"", b"", UNDEFINED)
    closing = parts.encoded(ITEM_END, b"", b"") + parts.encoded(SEQUENCE_END, b"", b"")
    depth = rng.choice((1, 2, 10, 100, 1000, 9000, 30000))
    if rng.random() < 0.3:
        value = b""
        for _ in range(min(depth, 300)):
            value = parts.encoded(tag, b"SQ", parts.encoded(ITEM, b"", value))
    else:
        value = opening * depth + closing * rng.choice((depth, depth, 0, depth - 1, depth + 1))
    return _before_pixels(parts.elements, data, value)


def crowd(rng: Random, data: bytes) -> bytes:
    """Countless private elements or items, or one huge value."""
    parts = anatomy(data)
    count = rng.choice((10, 1000, 19000, 40000))
    small = parts.encoded(0x00091011, b"LO", PATIENT_NAME.encode())
    items = parts.encoded(ITEM, b"", b"") * count
    value = rng.choice(
        (
            small * count,
            parts.encoded(VOI_LUTS, b"SQ", items),
            parts.encoded(0x00091012, b"OB", bytes(count * 100)),
            parts.encoded(0x00281050, b"DS", b"1\\" * min(count, 32000)),
            parts.encoded(0x00281051, b"UN", b"1\\" * 100 * count),
        )
    )
    return _before_pixels(parts.elements, data, value)


def character_set(rng: Random, data: bytes) -> bytes:
    """A strange character set, and names that are not written in it."""
    data = anatomy(data).with_element(0x00080005, b"CS", rng.choice(CHARACTER_SETS).encode())
    return anatomy(data).with_element(0x00100010, b"PN", rng.choice(FOREIGN_NAMES))


def beginning(rng: Random, data: bytes) -> bytes:
    """Preamble, prefix or meta header missing or altered."""
    start = anatomy(data).start
    junk = rng.randbytes(128)
    whole = data[:start]
    return rng.choice(
        (data[128:], data[132:], data[start:], junk + data[128:], b"II*\0" + data[4:], data[4:],
         b"\x89PNG\r\n\x1a\n" + data[8:], whole + whole + data[start:], b"DICM" + data[start:])
    )  # fmt: skip


def pixels(rng: Random, data: bytes) -> bytes:
    """Pixel data of another length, VR or kind, or with strange bytes."""
    parts = anatomy(data)
    span = parts.find(PIXEL_DATA)
    if span is None:
        return data
    value = data[span.begin : span.end]
    tag = rng.choice((PIXEL_DATA, PIXEL_DATA, PIXEL_DATA, 0x7FE00008, 0x7FE00009))
    value = rng.choice((value[:-1], value[: len(value) // 2], value * 2, b"", b"\0\0", value))
    if rng.random() < 0.3:
        value = BYTES[rng.choice(tuple(BYTES))](rng, value)
    vr = rng.choice((b"OB", b"OW", b"UN", b"OF", b"US"))
    said = rng.choice((None, None, UNDEFINED))
    return data[: span.start] + parts.encoded(tag, vr, value, said) + data[span.end :]


def _before_pixels(spans: tuple[Span, ...], data: bytes, more: bytes) -> bytes:
    at = next((span.start for span in spans if span.tag == PIXEL_DATA), len(data))
    return data[:at] + more + data[at:]


DICOM: dict[str, Mutation] = {
    "length": length,
    "group length": group_length,
    "order": order_of_elements,
    "dimension": dimension,
    "numbers": numbers,
    "texts": texts,
    "tables": tables,
    "VR": representation,
    "syntax": syntax,
    "class": kind_of_object,
    "nesting": nesting,
    "crowd": crowd,
    "character set": character_set,
    "beginning": beginning,
    "pixels": pixels,
}
"""By the name in the report."""
