"""Whole files that mutants are made from; each holds a patient whose name must never leak."""

import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
from dicom_anatomy import anatomy
from dicom_maker import (
    DX,
    PATIENT_ID,
    PATIENT_NAME,
    SC,
    J,
    big_endian,
    compressed,
    dataset,
    gradient,
    table,
    to_bytes,
)
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

RLE = str(RLELossless)
SIDES = (208, 216)
REAL_TEST_FILES = 20
IDENTITY = (0x00080080, 0x00080090, 0x00100010, 0x00100020, 0x00101000)
"""Institution, referring physician, patient's name, ID and other IDs."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to mutate.

    Attributes:
        kind: row of the report: `native`, `RLE`, `JPEG` and so on.
        name: what it is, for messages.
        data: the bytes of the file; of a deflated one those before it is deflated.
        dicom: whether it has DICOM elements.
        deflated: the data set is deflated last of all.
        suffix: of the file on disk, or "" for bytes in memory.
    """

    kind: str
    name: str
    data: bytes
    dicom: bool = True
    deflated: bool = False
    suffix: str = ""


def picture(bits: int, *, signed: bool = False) -> np.ndarray:
    """A slope with noise that takes all values of `bits` bits, in the smallest type."""
    low, top = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    noise = np.random.default_rng(bits).integers(-2, 3, SIDES)
    values = np.clip(gradient(*SIDES, low, top, np.int64) + noise, low, top)
    width = 1 if bits <= 8 else 2
    return values.astype(f"{'i' if signed else 'u'}{width}")


def _elements(bits: int, photometric: str) -> dict[str, Any]:
    """A header that uses every part of the pixel path that the depth allows."""
    elements: dict[str, Any] = {
        "BitsStored": bits,
        "PhotometricInterpretation": photometric,
        "PixelSpacing": ["0.143", "0.143"],
        "PatientAge": "045Y",
        "PatientBirthDate": "19750101",
        "PatientOrientation": ["L", "F"],
        "NumberOfFrames": "1",
        "SpecificCharacterSet": "ISO_IR 100",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
    }
    if bits > 8:
        elements |= {"WindowCenter": ["900", "400"], "WindowWidth": ["1800", "80"]}
        elements |= {"RescaleSlope": "1.5", "RescaleIntercept": "-10"}
    return elements


def _made() -> dict[tuple[str, str], Callable[[], Source]]:
    makers: dict[tuple[str, str], Callable[[], Source]] = {}

    def add(kind: str, name: str, make: Callable[[], bytes], **options: Any) -> None:
        makers[kind, name] = lambda: Source(kind, name, make(), **options)

    for bits, signed, photometric in (
        (8, False, "MONOCHROME2"), (10, True, "MONOCHROME1"),
        (12, False, "MONOCHROME1"), (16, True, "MONOCHROME2"),
    ):  # fmt: skip
        pixels, elements = picture(bits, signed=signed), _elements(bits, photometric)
        what = f"{bits} bits"
        plain = {"pixels": pixels, **elements}
        add("native", f"explicit {what}", lambda d=plain: to_bytes(dataset(**d)))
        add("native", f"implicit {what}", lambda d=plain: _implicit(**d))
        add("native", f"big endian {what}", lambda d=plain: big_endian(dataset(**d)))
        add("deflated", what, lambda d=plain: to_bytes(dataset(**d)), deflated=True)
        for kind, syntax in (
            ("RLE", RLE), ("JPEG", "57"), ("JPEG", "70"), ("JPEG-LS", "80"), ("JPEG 2000", "90"),
            ("HTJ2K", "201"),
        ):  # fmt: skip
            long = syntax if kind == "RLE" else J + syntax
            add(kind, f"{syntax} {what}", lambda d=plain, s=long: _compressed(syntax=s, **d))
    for kind, syntax, bits in (
        ("JPEG", "50", 8), ("JPEG", "51", 12), ("JPEG", "55", 8), ("JPEG-LS", "81", 12),
        ("JPEG 2000", "91", 12),
    ):  # fmt: skip
        lossy = {"pixels": picture(bits), **_elements(bits, "MONOCHROME2")}
        add(kind, syntax, lambda d=lossy, s=J + syntax: _compressed(syntax=s, **d))
    _add_varied(add)
    _add_rasters(add)
    return makers


def _implicit(**options: Any) -> bytes:
    ds = dataset(**options)
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return to_bytes(ds, implicit_vr=True, little_endian=True)


def _compressed(pixels: np.ndarray, syntax: str, **elements: Any) -> bytes:
    bits = elements.pop("BitsStored")
    return to_bytes(compressed(pixels, syntax, bits=bits, fragments=2, **elements))


def _add_varied(add: Callable[..., None]) -> None:
    """Tables, colours, other classes, a single bit and 32 bits, a missing meta header."""
    luts = {
        "ModalityLUTSequence": table(0, np.arange(4096) // 2, 12),
        "VOILUTSequence": table(0, np.arange(2048)[::-1], 12),
    }
    twelve = {"pixels": picture(12), "BitsStored": 12}
    thrice = np.stack([picture(8)] * 3, axis=-1)
    padded = {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 9, **luts}
    add("native", "tables", lambda: to_bytes(dataset(**twelve, **padded)))
    add("native", "grey as RGB", lambda: to_bytes(dataset(thrice, SOPClassUID=SC)))
    add("JPEG", "grey as YBR", lambda: _compressed(
        thrice, J + "50", BitsStored=8, SOPClassUID=SC, PhotometricInterpretation="YBR_FULL_422"
    ))  # fmt: skip
    add("RLE", "grey as RGB", lambda: _compressed(thrice, RLE, BitsStored=8, SOPClassUID=SC))
    wide = {"pixels": gradient(*SIDES, 0, 1 << 30, np.uint32), "Modality": "DX"}
    add("native", "32 bits", lambda: to_bytes(dataset(**wide, SOPClassUID=DX)))
    processing = {"SOPClassUID": f"{DX}.1", "Modality": "DX", **_elements(12, "MONOCHROME1")}
    add("native", "for processing", lambda: to_bytes(dataset(picture(12), **processing)))
    add("native", "a single bit", _single_bit)
    add("native", "no meta header", lambda: _without_meta(to_bytes(dataset(**twelve))))


def _single_bit() -> bytes:
    ds = dataset(picture(8), BitsAllocated=1, BitsStored=1)
    ds.PixelData = np.packbits(picture(8).ravel() > 127, bitorder="little").tobytes()
    return to_bytes(ds)


def _without_meta(data: bytes) -> bytes:
    return data[anatomy(data).start :]


def _add_rasters(add: Callable[..., None]) -> None:
    raster = {"dicom": False}
    for bits in (8, 16):
        pixels = picture(bits)
        add("PNG", f"{bits} bits", lambda p=pixels: _png(p), **raster)
        for packing in (
            "none",
            "lzw",
            "deflate",
            "zstd",
            *(("jpeg", "packbits") if bits == 8 else ()),
        ):
            add("TIFF", f"{bits} bits {packing}", lambda p=pixels, c=packing: _tiff(p, c), **raster)
        add("TIFF", f"{bits} bits tiled", lambda p=pixels: _tiff(p, "lzw", tile=(64, 64)), **raster)
    coloured = np.stack([picture(8)] * 3, axis=-1)
    add("PNG", "RGB", lambda: _png(coloured), **raster)
    add("TIFF", "RGB", lambda: _tiff(coloured, "none", photometric="rgb"), **raster)
    add("JPEG file", "sequential", lambda: _jpeg(picture(8)), **raster)
    add("JPEG file", "12 bits", lambda: bytes(
        imagecodecs.jpeg8_encode(picture(12), level=90, bitspersample=12)
    ), **raster)  # fmt: skip
    add("JPEG file", "progressive", lambda: _jpeg(picture(8), progressive=True), **raster)
    add("JPEG file", "colour", lambda: _jpeg(coloured), **raster)
    add("zip", "deflated", lambda: zipped(_members()), dicom=False, suffix=".zip")
    add("zip", "stored", lambda: zipped(_members(), zipfile.ZIP_STORED), dicom=False, suffix=".zip")
    # gzip notes the time of packing unless it is told one; a source is the same each time.
    for suffix, pack in (
        (".tar", bytes), (".tar.gz", lambda data: gzip.compress(data, mtime=0)),
        (".tar.xz", lzma.compress),
    ):  # fmt: skip
        add("tar", suffix, lambda p=pack: p(tarred(_members())), dicom=False, suffix=suffix)


def _png(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.png_encode(pixels))


def _tiff(pixels: np.ndarray, packing: str, **options: Any) -> bytes:
    options["description"] = f"{PATIENT_NAME} {PATIENT_ID}"
    return bytes(imagecodecs.tiff_encode(pixels, compression=packing, **options))


def _jpeg(pixels: np.ndarray, *, progressive: bool = False) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    data = cv2.imencode(".jpg", pixels, options)[1].tobytes()
    comment = PATIENT_NAME.encode()
    return data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]


def _members() -> dict[str, bytes]:
    small = gradient(200, 200)
    return {
        "a/one.dcm": to_bytes(dataset(small)),
        "a/two.png": _png(small),
        "b/three.dcm": to_bytes(compressed(small, J + "80")),
        "b/notes.txt": f"{PATIENT_NAME} {PATIENT_ID}".encode(),
    }


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return stream.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    """A tar archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


_MADE = _made()
KINDS = tuple(dict.fromkeys(kind for kind, _ in _MADE))
"""Kinds of the files that are made here."""


def names(kind: str) -> list[str]:
    """Names of the made sources of a kind."""
    return [name for of, name in _MADE if of == kind]


@cache
def made(kind: str, name: str) -> Source:
    """A file made on the spot, once."""
    return _MADE[kind, name]()


@cache
def real_files(folder: Path, *, radiographs: bool) -> tuple[Path, ...]:
    """Public DICOM files of radiographs and some of the test split, or all others."""
    if radiographs:
        test = sorted((folder / "test_dicom").glob("*.dcm"))[:REAL_TEST_FILES]
        return (*sorted((folder / "dicom_cases").glob("radiograph_*.dcm")), *test)
    return tuple(sorted((folder / "dicom_cases").glob("other_*.dcm")))


@cache
def real(path: Path) -> Source:
    """A real file whose identifying values are overwritten in place by the made patient's."""
    data = bytearray(path.read_bytes())
    secret = f"{PATIENT_NAME}={PATIENT_ID}={PATIENT_NAME}".encode()
    for element in anatomy(bytes(data)).elements:
        if element.tag in IDENTITY:
            room = element.end - element.begin
            data[element.begin : element.end] = secret[:room].ljust(room)
    return Source("real DICOM", path.name, bytes(data))
