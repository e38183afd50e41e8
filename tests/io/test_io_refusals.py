"""One test for each refusal that the reader can raise: its code, its hint, and no patient in it."""

import gzip
import lzma
import os
import traceback
import zipfile
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from dicom_maker import (
    CT,
    SECRETS,
    J,
    compressed,
    dataset,
    gradient,
    table,
    to_bytes,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from pleura import errors
from pleura.io import Limits, read_radiograph
from pleura.radiograph import Radiograph


def coloured() -> np.ndarray:
    grey = gradient()
    return np.stack([grey, 255 - grey, grey], axis=-1)


def with_long_element() -> bytes:
    """The last element before the pixel data promises more bytes than the file has."""
    data = to_bytes(dataset(gradient()))
    return data[: data.index(b"Quixote") + 3]


def cut_fragments() -> bytes:
    data = to_bytes(compressed(gradient(), J + "80"))
    return data[:-300]


def broken_lut() -> Any:
    ds = dataset(gradient(), VOILUTSequence=table(0, [0, 1], 8))
    ds.VOILUTSequence[0].LUTDescriptor = [2, 0]
    return ds


def floats() -> Any:
    ds = dataset(gradient())
    ds.FloatPixelData = ds.PixelData
    del ds.PixelData
    return ds


NOTHING = ("PixelData", "Modality", "SOPClassUID")
PALETTE = {"PhotometricInterpretation": "PALETTE COLOR"}
BEYOND = {"WindowCenter": 9999, "WindowWidth": 2}

REFUSALS: list[tuple[str, str, Callable[[], Any]]] = [
    ("not_found", "no such file", lambda: "nowhere/at/all.dcm"),
    ("not_found", "a folder", lambda: os.curdir),
    ("not_found", "a text stream", lambda: StringIO("text")),
    ("not_found", "an impossible path", lambda: "nul\0byte"),
    ("not_an_image", "text", lambda: b"Dear colleague, the radiograph of Quixote is attached."),
    ("not_an_image", "nothing", lambda: b""),
    ("not_an_image", "zeros", lambda: bytes(4096)),
    ("no_pixel_data", "no element", lambda: dataset_without("PixelData")),
    ("no_pixel_data", "an empty element", lambda: dataset_with_data(b"")),
    ("no_pixel_data", "no fragment", lambda: empty_fragments()),
    (
        "no_pixel_data",
        "nothing said",
        lambda: dataset_without("PixelData", "Modality", "SOPClassUID"),
    ),
    ("unsupported_syntax", "video", lambda: with_syntax(J + "102")),
    ("unsupported_syntax", "floating point", floats),
    ("truncated", "short pixel data", lambda: dataset_with_data(b"\0" * 100)),
    ("truncated", "inside the header", with_long_element),
    ("truncated", "inside a fragment", cut_fragments),
    ("truncated", "behind the prefix", lambda: bytes(128) + b"DICM"),
    ("invalid_header", "no rows", lambda: dataset_without("Rows")),
    ("invalid_header", "no photometric", lambda: dataset_without("PhotometricInterpretation")),
    ("invalid_header", "bits", lambda: dataset(gradient(), BitsStored=12)),
    ("invalid_header", "samples", lambda: dataset(gradient(), SamplesPerPixel=2)),
    ("invalid_header", "a look-up table", broken_lut),
    ("not_projection_radiograph", "CT", lambda: dataset(gradient(), SOPClassUID=CT, Modality="CT")),
    ("multiple_frames", "frames", lambda: dataset(gradient(), NumberOfFrames=2)),
    ("multiple_frames", "pages", lambda: two_pages()),
    ("colour_image", "RGB", lambda: dataset(coloured())),
    (
        "colour_image",
        "a palette",
        lambda: dataset(gradient(), PhotometricInterpretation="PALETTE COLOR"),
    ),
    ("colour_image", "PNG", lambda: bytes(imagecodecs.png_encode(coloured()))),
    ("too_small", "rows", lambda: dataset(gradient(199, 400))),
    ("too_small", "PNG", lambda: bytes(imagecodecs.png_encode(gradient(400, 199)))),
    ("too_large", "pixels", lambda: dataset(gradient(), Rows=60000, Columns=60000)),
    ("constant_image", "one grey", lambda: dataset(np.full((210, 210), 7, np.uint8))),
    (
        "constant_image",
        "a window beyond",
        lambda: dataset(gradient(), WindowCenter=9999, WindowWidth=2),
    ),
]


def dataset_without(*keywords: str) -> Any:
    ds = dataset(gradient())
    for keyword in keywords:
        delattr(ds, keyword)
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", "")
    return ds


def dataset_with_data(data: bytes) -> Any:
    ds = dataset(gradient())
    ds.PixelData = data
    return ds


def empty_fragments() -> Any:
    ds = compressed(gradient(), J + "80")
    ds.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0" * 2 + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return ds


def with_syntax(syntax: str) -> Any:
    ds = compressed(gradient(), J + "80")
    ds.file_meta.TransferSyntaxUID = syntax
    return ds


def two_pages() -> bytes:
    page = gradient()
    return bytes(imagecodecs.tiff_encode(np.stack([page, page])))


@pytest.mark.parametrize(
    ("code", "make"),
    [pytest.param(code, make, id=f"{code}: {what}") for code, what, make in REFUSALS],
)
def test_refusal(code: str, make: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="pleura")
    with pytest.raises(errors.RefusedInputError) as caught:
        read_radiograph(make())
    refusal = caught.value
    assert refusal.code == code
    assert refusal.message.endswith(".")
    assert refusal.hint.endswith(".")
    shown = "".join(traceback.format_exception_only(refusal)) + str(refusal) + caplog.text
    chain = refusal.__cause__
    while chain is not None:
        shown += str(chain)
        chain = chain.__cause__
    assert not [secret for secret in SECRETS if secret in shown]


def test_every_refusal_of_the_reader_is_covered() -> None:
    kinds = errors.RefusedInputError.__subclasses__()
    every = {kind.code for kind in kinds if kind.__module__ == errors.__name__}  # or it is a room's
    readers = {code for code in every if not code.startswith("picture_")}  # the gate has those
    assert {code for code, _, _ in REFUSALS} == readers


def test_bytes_beyond_the_limit(tmp_path: Path) -> None:
    data = to_bytes(dataset(gradient()))
    path = tmp_path / "a.dcm"
    path.write_bytes(data)
    tight = Limits(max_bytes=len(data) - 1)
    for source in (data, path, BytesIO(data)):
        with pytest.raises(errors.TooLargeError):
            read_radiograph(source, limits=tight)
    exact = Limits(max_bytes=len(data))
    assert read_radiograph(data, limits=exact).shape == (210, 220)


def test_pixels_beyond_the_limit_are_refused_before_decoding() -> None:
    huge = dataset(gradient(), Rows=65535, Columns=65535)
    with pytest.raises(errors.TooLargeError, match="65535 x 65535"):
        read_radiograph(to_bytes(huge))
    png = bytearray(imagecodecs.png_encode(gradient()))
    png[16:24] = (50000).to_bytes(4, "big") * 2
    with pytest.raises(errors.TooLargeError, match="50000 x 50000"):
        read_radiograph(bytes(png))
    with pytest.raises(errors.TooLargeError):
        read_radiograph(bytes(imagecodecs.jpeg8_encode(gradient())), limits=Limits(max_pixels=1000))


def test_a_file_object_in_text_mode_says_how_to_open_it(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(bytes(imagecodecs.png_encode(gradient())))
    with path.open(encoding="utf-8") as stream, pytest.raises(errors.NotFoundError) as refusal:
        read_radiograph(stream)  # type: ignore[arg-type]
    assert "binary mode" in refusal.value.hint
    assert refusal.value.__suppress_context__
    closed = path.open("rb")
    closed.close()
    with pytest.raises(errors.NotFoundError, match="cannot be read"):
        read_radiograph(closed)


def test_file_objects_that_unpack_what_is_damaged(tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(50_000)
    packed = {"gz": bytearray(gzip.compress(data)), "xz": bytearray(lzma.compress(data))}
    packed["gz"][-6] ^= 1  # the checksum
    packed["xz"][2000] ^= 1
    stored = BytesIO()
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("stored", data, zipfile.ZIP_STORED)
        archive.writestr("deflated", bytes(50_000))
    unzipped = bytearray(stored.getvalue())
    unzipped[1000] ^= 1
    unzipped[unzipped.index(b"deflated") + 8] = 0xFF
    archive = zipfile.ZipFile(BytesIO(unzipped))
    for stream in (
        gzip.GzipFile(fileobj=BytesIO(packed["gz"])),
        gzip.GzipFile(fileobj=BytesIO(packed["gz"][:500])),
        gzip.GzipFile(fileobj=BytesIO(b"no gzip at all")),
        lzma.LZMAFile(BytesIO(packed["xz"])),  # noqa: SIM115 - of bytes in memory
        archive.open("stored"),
        archive.open("deflated"),
    ):
        with pytest.raises(errors.TruncatedError, match="damaged"):
            read_radiograph(stream)  # type: ignore[arg-type]


def test_deferred_pixels_of_a_file_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "Quixote.dcm"
    path.write_bytes(to_bytes(dataset(gradient())))
    deferred = dcmread(path, defer_size=1000)
    path.unlink()
    with pytest.raises(errors.NotFoundError) as refusal:
        read_radiograph(deferred)
    shown = "".join(traceback.format_exception(refusal.value))
    assert not [secret for secret in SECRETS if secret in shown]


def test_something_that_is_no_source_is_a_programming_error() -> None:
    with pytest.raises(TypeError):
        read_radiograph(42)  # type: ignore[arg-type]


BASES = [
    to_bytes(
        dataset(
            gradient(dtype=np.uint16),
            WindowCenter=128,
            WindowWidth=200,
            PatientAge="045Y",
            VOILUTSequence=table(0, list(range(256)), 8),
            PixelSpacing=[0.1, 0.1],
        )
    ),
    to_bytes(compressed(gradient(), J + "50")),
    to_bytes(compressed(gradient(), J + "90")),
    bytes(imagecodecs.png_encode(gradient())),
    bytes(imagecodecs.tiff_encode(gradient())),
    bytes(imagecodecs.jpeg8_encode(gradient())),
]


def outcome(source: bytes | Path) -> Radiograph | errors.RefusedInputError:
    """The radiograph or the refusal; any other error fails the test."""
    try:
        return read_radiograph(source)
    except errors.RefusedInputError as refusal:
        return refusal


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_files_are_read_or_refused_and_never_crash(data: st.DataObject) -> None:
    base = bytearray(data.draw(st.sampled_from(BASES)))
    reach = min(len(base), 1500)
    for _ in range(data.draw(st.integers(0, 6))):
        base[data.draw(st.integers(0, reach - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del base[data.draw(st.integers(0, len(base) - 1)) :]
    result = outcome(bytes(base))
    if isinstance(result, Radiograph):
        assert 0 <= result.pixels.min() < result.pixels.max() <= 1
    else:
        assert not [secret for secret in SECRETS if secret in str(result)]


@pytest.mark.real_data
def test_public_files_are_read_or_refused(real_data: Path) -> None:
    files = sorted((real_data / "dicom_cases").glob("*.dcm"))
    names = {file.name for file in files if isinstance(outcome(file), Radiograph)}
    assert {"radiograph_RG3_J2KR.dcm", "radiograph_RG2_JPLY.dcm"} <= names
    assert not [name for name in names if "XA1" in name or "MG_" in name]
