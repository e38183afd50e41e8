"""Damage to the parts of PNG, TIFF, zip and tar files, with check sums that fit again."""

import gzip
import io
import re
import struct
import tarfile
import zipfile
import zlib
from functools import cache
from random import Random

from byte_mutations import EXTREMES, WIDE_EXTREMES, Mutation, bits
from dicom_maker import PATIENT_NAME
from stream_mutations import SIZES

_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 16: 8}


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Type and body of each chunk of a PNG file."""
    found: list[tuple[bytes, bytes]] = []
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def png(parts: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG file of these chunks."""
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in parts:
        data += (
            struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
        )
    return data


def chunk(rng: Random, data: bytes) -> bytes:
    """A chunk of PNG with another body, twice, missing, or elsewhere; the check sum is right."""
    parts = chunks(data)
    if not parts:
        return data
    at = rng.randrange(len(parts))
    kind, body = parts[at]
    change = rng.choice(("bits", "twice", "gone", "shuffled", "new", "header", "bomb"))
    if change == "bits":
        parts[at] = (kind, bits(rng, body))
    elif change == "twice":
        parts.insert(at, (kind, body))
    elif change == "gone":
        del parts[at]
    elif change == "shuffled":
        rng.shuffle(parts)
    elif change == "new":
        name = rng.choice((b"tRNS", b"PLTE", b"tEXt", b"zTXt", b"iCCP", b"gAMA", b"sBIT", b"eXIf"))
        value = rng.choice(
            (PATIENT_NAME.encode() + b"\0\0", rng.randbytes(rng.choice((1, 6, 768))))
        )
        parts.insert(rng.choice((1, len(parts) - 1)), (name, value))
    elif kind == b"IHDR" or change == "header":
        parts[0] = (b"IHDR", _png_header(rng))
    else:
        parts = _png_bomb(rng)
    return png(parts)


def _png_header(rng: Random) -> bytes:
    rows, columns = rng.choice((*SIZES, (208, 216), (208, 215)))
    kinds = [rng.choice((1, 2, 4, 8, 16, 3)), rng.choice((0, 2, 3, 4, 6, 1)), 0, 0]
    return struct.pack(">LLBBBBB", columns, rows, *kinds, rng.choice((0, 1, 2)))


def _png_bomb(rng: Random) -> list[tuple[bytes, bytes]]:
    rows, columns = rng.choice(((10000, 10000), (3000, 3000), (65535, 1525)))
    depth, colour = rng.choice(((8, 0), (16, 0), (8, 2), (16, 6), (1, 3)))
    channels = {0: 1, 2: 3, 3: 1, 6: 4}[colour]
    line = b"\0" + bytes((columns * channels * depth + 7) // 8)
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(line) for _ in range(rng.choice((rows, 500))))
    header = struct.pack(">LLBBBBB", columns, rows, depth, colour, 0, 0, 0)
    return [
        (b"IHDR", header), (b"PLTE", bytes(6)), (b"IDAT", packed + packer.flush()), (b"IEND", b""),
    ]  # fmt: skip


def entry(rng: Random, data: bytes) -> bytes:
    """An entry of the first directory of a classic TIFF with another tag, type, count or value."""
    order = "<" if data[:2] == b"II" else ">"
    if len(data) < 8:
        return data
    (start,) = struct.unpack_from(f"{order}L", data, 4)
    if start + 2 > len(data):
        return data
    (count,) = struct.unpack_from(f"{order}H", data, start)
    at = start + 2 + 12 * rng.randrange(max(1, count))
    if at + 12 > len(data):
        return data
    tag, kind, number, value = struct.unpack_from(f"{order}HHLL", data, at)
    change = rng.choice(("tag", "kind", "number", "value", "value", "value", "following"))
    if change == "following":
        end = start + 2 + 12 * count
        return (
            data[:end] + struct.pack(f"{order}L", rng.choice((start, 8, 1 << 31))) + data[end + 4 :]
        )
    if change == "tag":
        tag = rng.choice((256, 257, 258, 259, 262, 277, 278, 279, 284, 317, 320, 322, 339, 65535))
    elif change == "kind":
        kind = rng.choice((*_TIFF_SIZES, 0, 13, 255))
    elif change == "number":
        number = rng.choice(WIDE_EXTREMES)
    else:
        value = rng.choice(
            (*WIDE_EXTREMES, 5, 6, 9, 16, 10000, 50000, len(data), rng.getrandbits(32))
        )
        if kind == 3 and order == ">":
            value = value << 16 & 0xFFFFFFFF
    return data[:at] + struct.pack(f"{order}HHLL", tag, kind, number, value) + data[at + 12 :]


def record(rng: Random, data: bytes) -> bytes:
    """A header of a zip or tar archive with another field; of tar with its check sum."""
    if data[:2] == b"PK":
        return _zip_record(rng, data)
    heads = [at for at in range(0, len(data) - 511, 512) if data[at + 257 : at + 262] == b"ustar"]
    if not heads:
        return data
    at = rng.choice(heads)
    head = bytearray(data[at : at + 512])
    begin, size = rng.choice(((0, 100), (100, 8), (124, 12), (156, 1), (157, 100), (345, 155)))
    filled = (b"7" * size, b"Z" * size, b"\xff" * size, b"\x80" + bytes(size - 1))
    values = (*filled, b"-1", b"x", b"L", b"g", b"S", b"1", b"5", rng.randbytes(size))
    head[begin : begin + size] = rng.choice(values).ljust(size, b"\0")[:size]
    head[148:156] = b" " * 8
    head[148:156] = f"{sum(head):06o}\0 ".encode()
    return data[:at] + bytes(head) + data[at + 512 :]


def _zip_record(rng: Random, data: bytes) -> bytes:
    signature = rng.choice((b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"))
    places = [found.start() for found in re.finditer(re.escape(signature), data)]
    if not places:
        return data
    at = rng.choice(places) + rng.randrange(4, 46, 2)
    code = rng.choice("HL")
    value = rng.choice(EXTREMES if code == "H" else WIDE_EXTREMES)
    field = struct.pack(f"<{code}", value % (1 << 8 * struct.calcsize(code)))
    return data[:at] + field + data[at + len(field) :]


def expansion(rng: Random, data: bytes) -> bytes:
    """An archive whose member, or whose member's header, unpacks to a multiple."""
    if data[:2] == b"PK":
        return _zip_bomb(rng.choice((1 << 20, 1 << 24, 1 << 26, 600 << 20)))
    kind = rng.choice((tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME))
    return _tar_bomb(rng.choice((1 << 20, 1 << 24, 1 << 26)), kind)


@cache
def _zip_bomb(size: int) -> bytes:
    stream, block = io.BytesIO(), bytes(1 << 20)
    info = zipfile.ZipInfo("a.dcm")
    info.compress_type = zipfile.ZIP_DEFLATED
    with (
        zipfile.ZipFile(stream, "w") as archive,
        archive.open(info, "w", force_zip64=True) as member,
    ):
        for _ in range(size >> 20):
            member.write(block)
    return stream.getvalue()


@cache
def _tar_bomb(size: int, kind: bytes) -> bytes:
    stream = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w:") as archive,
    ):
        info = tarfile.TarInfo("a.dcm")
        info.type, info.size = kind, size
        archive.addfile(info, io.BytesIO(bytes(size)))
    return stream.getvalue()


PNG: dict[str, Mutation] = {"chunk": chunk}
TIFF: dict[str, Mutation] = {"entry": entry}
ARCHIVES: dict[str, Mutation] = {"record": record, "expansion": expansion}
"""By the name in the report."""
