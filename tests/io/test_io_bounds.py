"""Small files that would fill memory or take minutes are refused before they do."""

import io
import struct
import tarfile
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from dicom_maker import CT, J, compressed, dataset, gradient, table, to_bytes
from pydicom.encaps import encapsulate

from pleura.errors import (
    ColourImageError,
    InvalidHeaderError,
    NotProjectionRadiographError,
    TooLargeError,
    TruncatedError,
)
from pleura.io import Limits, discover, read_radiograph
from pleura.io.codecs import decode_rle
from pleura.io.codestream import inspect

ITEM = b"\xfe\xff\x00\xe0"
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
PRIVATE_SEQUENCE = b"\x09\x00\x10\x10SQ\0\0\xff\xff\xff\xff"


@contextmanager
def quick(seconds: float = 2.0) -> Iterator[None]:
    """Ample for what takes a fraction of it; unbounded, the inputs here take longer."""
    begun = time.perf_counter()
    yield
    assert time.perf_counter() - begun < seconds


@contextmanager
def small(megabytes: float = 5.0) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes * 1e6


def with_bytes(more: bytes, **elements: str) -> bytes:
    """A radiograph with more elements in front of the group 0010."""
    data = to_bytes(dataset(gradient(), **elements))
    at = data.index(b"\x10\x00\x10\x00PN")
    return data[:at] + more + data[at:]


def deflated(data: bytes) -> bytes:
    begin = data.index(b"\x08\x00\x16\x00UI")
    packer = zlib.compressobj(9, wbits=-15)
    meta = data[:begin]
    at = meta.index(b"1.2.840.10008.1.2.1\0")
    meta = meta[: at - 2] + struct.pack("<H", 22) + b"1.2.840.10008.1.2.1.99" + meta[at + 20 :]
    return meta + packer.compress(data[begin:]) + packer.flush()


EMPTY_ITEMS = PRIVATE_SEQUENCE + (ITEM + b"\0\0\0\0") * 200_000 + SEQUENCE_END
MANY_ELEMENTS = b"\x09\x00\x11\x10LO\0\0" * 200_000
NESTED = (PRIVATE_SEQUENCE + ITEM + b"\xff\xff\xff\xff") * 100_000


@pytest.mark.parametrize(
    "more", [EMPTY_ITEMS, MANY_ELEMENTS, NESTED], ids=["items", "many", "deep"]
)
def test_headers_of_countless_elements(more: bytes) -> None:
    packed = deflated(with_bytes(more))
    assert len(packed) < 60_000
    with quick(), pytest.raises(TooLargeError, match="20000 elements"):
        read_radiograph(packed)


def test_look_up_tables_of_countless_items() -> None:
    items = (ITEM + b"\0\0\0\0") * 60_000
    for length, end in ((len(items), b""), (0xFFFFFFFF, SEQUENCE_END)):
        sequence = b"\x28\x00\x10\x30SQ\0\0" + struct.pack("<L", length) + items + end
        data = to_bytes(dataset(gradient()))
        at = data.index(b"\xe0\x7f\x10\x00")
        with quick(), pytest.raises(TooLargeError):
            read_radiograph(data[:at] + sequence + data[at:])


def test_header_bytes_are_bounded_and_pixels_are_not_among_them() -> None:
    blob = b"\x09\x00\x10\x10OB\0\0" + struct.pack("<L", 200_000) + bytes(200_000)
    data = with_bytes(blob)
    assert read_radiograph(data).shape == (210, 220)
    tight = Limits(max_header_bytes=100_000)
    with pytest.raises(TooLargeError, match="100000 bytes"):
        read_radiograph(data, limits=tight)
    assert read_radiograph(to_bytes(dataset(gradient(800, 800))), limits=tight).shape == (800, 800)


def test_what_is_no_radiograph_is_refused_as_such_whatever_its_size() -> None:
    with pytest.raises(NotProjectionRadiographError):
        read_radiograph(with_bytes(EMPTY_ITEMS, SOPClassUID=CT, Modality="CT"))


def test_sequences_are_passed_over_whatever_they_hold() -> None:
    fragments = ITEM + b"\0\0\0\0" + ITEM + struct.pack("<L", 8) + SEQUENCE_END + SEQUENCE_END
    icon = b"\x88\x00\x00\x02SQ\0\0\xff\xff\xff\xff" + ITEM + b"\xff\xff\xff\xff"
    icon += b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + fragments
    icon += b"\xfe\xff\x0d\xe0\0\0\0\0" + SEQUENCE_END
    implicit = b"\x09\x00\x12\x10UN\0\0\xff\xff\xff\xff" + ITEM + b"\xff\xff\xff\xff"
    implicit += b"\x10\x00\x10\x00" + struct.pack("<L", 4) + b"Quix"
    implicit += b"\xfe\xff\x0d\xe0\0\0\0\0" + SEQUENCE_END
    plain = b"\x09\x00\x13\x10OB\0\0\xff\xff\xff\xff" + b"no items" + SEQUENCE_END
    expected = read_radiograph(to_bytes(dataset(gradient()))).pixels
    for more in (icon, implicit, plain, icon + implicit + plain):
        data = with_bytes(more)
        np.testing.assert_array_equal(read_radiograph(data).pixels, expected)
        with pytest.raises(TruncatedError):
            read_radiograph(data[: data.index(more[:8]) + len(more) - 12])
    with pytest.raises(InvalidHeaderError, match="than items"):
        read_radiograph(with_bytes(icon.replace(SEQUENCE_END, b"\x09\0\x13\x10\0\0\0\0" * 2)))


@pytest.mark.parametrize("undefined", [False, True])
def test_look_up_tables_in_sequences_of_either_length(undefined: bool) -> None:
    entries = np.arange(256)[::-1]
    ds = dataset(gradient(), VOILUTSequence=table(0, entries, 8))
    ds["VOILUTSequence"].is_undefined_length = undefined
    ds.VOILUTSequence[0].is_undefined_length_sequence_item = undefined
    pixels = read_radiograph(to_bytes(ds)).pixels
    np.testing.assert_allclose(pixels, 1 - gradient() / 255, atol=1e-6)


def test_streams_of_many_channels_are_refused_before_they_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ds = compressed(gradient(), J + "90")
    stream = bytearray(imagecodecs.jpeg2k_encode(gradient(), codecformat="j2k"))
    at = stream.index(b"\xff\x51")
    stream[at + 38 : at + 40] = struct.pack(">H", 100)
    ds.PixelData = encapsulate([bytes(stream)])
    monkeypatch.setattr(imagecodecs, "jpeg2k_decode", lambda data: pytest.fail("was decoded"))
    with pytest.raises(InvalidHeaderError, match="100 channels"):
        read_radiograph(ds)


def test_raster_files_of_many_channels_are_refused_before_they_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jpeg = bytearray(imagecodecs.jpeg8_encode(gradient()))
    jpeg[jpeg.index(b"\xff\xc0") + 9] = 10
    tiff = bytes(imagecodecs.tiff_encode(np.stack([gradient()] * 4, axis=-1), photometric="rgb"))
    samples, alphas = struct.pack("<HHLL", 277, 3, 1, 4), struct.pack("<HHL", 338, 3, 1)
    assert samples in tiff
    assert alphas in tiff
    tiff = tiff.replace(samples, struct.pack("<HHLL", 277, 3, 1, 5))
    tiff = tiff.replace(alphas, struct.pack("<HHL", 338, 3, 2))
    for name in ("jpeg8_decode", "tiff_decode"):
        monkeypatch.setattr(imagecodecs, name, lambda *_, **__: pytest.fail("was decoded"))
    for data in (bytes(jpeg), tiff):
        with pytest.raises(ColourImageError, match="channels"):
            read_radiograph(data)


def test_runs_do_not_expand_beyond_the_image() -> None:
    header = np.zeros(16, "<u4")
    header[:2] = 1, 64
    bomb = header.tobytes() + b"\x81\x00" * 500_000  # 64 MB
    with small(), pytest.raises(TruncatedError):
        decode_rle(bomb, shape=(300, 300), samples=1, width=1)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_headers_of_tar_members_are_bounded(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "a.tar.gz"
    body = bytes(40_000_000)
    huge = tarfile.TarInfo("huge")
    huge.type, huge.size = kind, len(body)
    first = tarfile.TarInfo("first")
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.addfile(first, io.BytesIO(b""))
        archive.addfile(huge, io.BytesIO(body))
    nameless = tmp_path / "first"
    with tarfile.open(nameless, "w:gz", compresslevel=1) as archive:
        archive.addfile(huge, io.BytesIO(body))
    del body
    with small():
        begin, rest = discover([path])
        (only,) = discover([nameless])
    assert begin.read() == b""
    for one in (rest, only):
        with pytest.raises(TooLargeError, match="header"):
            one.read()


def test_a_chain_of_tar_headers_ends(tmp_path: Path) -> None:
    """Each of these headers describes the next one, which `tarfile` reads by recursion."""
    record = tarfile.TarInfo("x")
    record.type, record.size = tarfile.XHDTYPE, 0
    path = tmp_path / "a.tar"
    path.write_bytes(record.tobuf(tarfile.USTAR_FORMAT) * 5000)
    (found,) = discover([path])
    with pytest.raises((TooLargeError, TruncatedError)):
        found.read()


def test_what_stands_before_a_jpeg_header_is_passed_over_at_once() -> None:
    jpeg = bytes(imagecodecs.jpeg8_encode(gradient()))
    for filler in (b"\0", b"\xff", b"\xff\0"):
        long = jpeg[:2] + filler * (20_000_000 // len(filler)) + jpeg[2:]
        with quick():
            assert inspect(long) == inspect(jpeg)
