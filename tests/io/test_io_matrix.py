"""Kinds of files that a chest radiograph comes in, each against what its values stand for.

docs/reading.md lists them with the test that holds each; other tests of that list are beside this
file.
"""

from typing import Any

import imagecodecs
import numpy as np
import pytest
from dicom_maker import DX, J, big_endian, compressed, dataset, gradient, table, to_bytes
from mutant_sources import picture
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from pleura.errors import InvalidHeaderError
from pleura.io import read_radiograph

ROWS, COLUMNS = 210, 220
ENCODINGS = ["explicit", "implicit", "big endian", "deflated"]


def encoded(ds: Any, encoding: str) -> bytes:
    """The data set as a file in one of the native encodings."""
    if encoding == "big endian":
        return big_endian(ds)
    if encoding == "implicit":
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        return to_bytes(ds, implicit_vr=True, little_endian=True)
    if encoding == "deflated":
        ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return to_bytes(ds, implicit_vr=False, little_endian=True)


def codes(source: Any) -> list[str]:
    return [notice.code for notice in read_radiograph(source).notices]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", range(8, 17))
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_native_encodings_in_every_depth_sign_and_polarity(
    encoding: str, bits: int, signed: bool, photometric: str
) -> None:
    stored = picture(bits, signed=signed)
    middle = 0 if signed else 1 << (bits - 1)
    ds = dataset(
        stored,
        BitsStored=bits,
        PhotometricInterpretation=photometric,
        VOILUTFunction="LINEAR_EXACT",
        WindowCenter=middle,
        WindowWidth=1 << bits,
    )
    grey = (stored.astype(float) - middle) / (1 << bits) + 0.5
    expected = 1 - grey if photometric == "MONOCHROME1" else grey
    read = read_radiograph(encoded(ds, encoding))
    np.testing.assert_allclose(read.pixels, expected, atol=1e-6)
    assert not read.notices


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_jpeg_lossless_of_every_predictor(predictor: int, bits: int) -> None:
    stored = picture(bits)
    ds = compressed(stored, J + "57", bits=bits)
    stream = imagecodecs.jpeg8_encode(
        stored, lossless=True, predictor=predictor, bitspersample=bits
    )
    ds.PixelData = encapsulate([bytes(stream)])
    np.testing.assert_array_equal(
        read_radiograph(ds).pixels, read_radiograph(dataset(stored, BitsStored=bits)).pixels
    )


@pytest.mark.parametrize("syntax", ["90", "91", "92", "93"])
@pytest.mark.parametrize("container", ["j2k", "jp2"])
def test_jpeg_2000_that_is_reversible_under_each_of_its_names(syntax: str, container: str) -> None:
    """`.91` allows both kinds; the JP2 boxes are not allowed and occur all the same."""
    stored = picture(12)
    stream = imagecodecs.jpeg2k_encode(
        stored, level=0, codecformat=container, reversible=True, bitspersample=12
    )
    ds = dataset(stored, BitsStored=12)
    expected = read_radiograph(ds).pixels
    ds.PixelData = encapsulate([bytes(stream)])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = J + syntax
    np.testing.assert_array_equal(read_radiograph(to_bytes(ds)).pixels, expected)


@pytest.mark.parametrize("syntax", ["201", "202", "203"])
def test_htj2k_under_each_of_its_names(syntax: str) -> None:
    stored = picture(12)
    ds = compressed(stored, J + "201", bits=12)
    ds.file_meta.TransferSyntaxUID = J + syntax
    expected = read_radiograph(dataset(stored, BitsStored=12)).pixels
    np.testing.assert_array_equal(read_radiograph(to_bytes(ds)).pixels, expected)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_table_of_65536_entries_says_0(encoding: str) -> None:
    entries = 65535 - np.arange(65536)
    ds = dataset(picture(16), VOILUTSequence=table(0, entries, 16))
    assert ds.VOILUTSequence[0].LUTDescriptor[0] == 0
    read = read_radiograph(encoded(ds, encoding))
    np.testing.assert_allclose(read.pixels, 1 - picture(16) / 65535, atol=1e-6)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", ["ModalityLUTSequence", "VOILUTSequence"])
def test_a_table_over_signed_values_in_every_encoding(encoding: str, name: str) -> None:
    """The descriptor's second number is negative, or large, by the sign of what goes in."""
    stored = gradient(low=-120, high=99, dtype=np.int16)
    entries = np.arange(256)[::-1]
    ds = dataset(stored, **{name: table(-128, entries, 8, signed=True)})
    window = {"WindowCenter": 128, "WindowWidth": 256}
    if name == "ModalityLUTSequence":
        for keyword, value in window.items():
            setattr(ds, keyword, value)
    expected = (127.0 - stored) / 255
    np.testing.assert_allclose(read_radiograph(encoded(ds, encoding)).pixels, expected, atol=1e-6)


def test_a_table_that_begins_in_the_upper_half_of_16_bits() -> None:
    stored = gradient(low=40_000, high=40_999, dtype=np.uint16)
    ds = dataset(stored, VOILUTSequence=table(40_000, np.arange(1000)[::-1] * 4, 12))
    expected = (40_999.0 - stored) * 4 / 4095
    np.testing.assert_allclose(read_radiograph(to_bytes(ds)).pixels, expected, atol=1e-6)


def test_a_table_over_values_that_rescaling_makes_negative() -> None:
    stored = gradient(low=0, high=2000, dtype=np.uint16)
    ds = dataset(
        stored,
        RescaleSlope=1,
        RescaleIntercept=-1000,
        VOILUTSequence=table(-1000, np.arange(2001) * 2, 12, signed=True),
    )
    np.testing.assert_allclose(read_radiograph(to_bytes(ds)).pixels, stored * 2 / 4095, atol=1e-6)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("packed", [False, True])
def test_tables_of_8_bit_entries_in_words_and_packed(encoding: str, packed: bool) -> None:
    entries = np.arange(256)[::-1]
    ds = dataset(gradient(), VOILUTSequence=table(0, entries, 8))
    if packed:
        ds.VOILUTSequence[0].LUTData = entries.astype(np.uint8).tobytes()
    read = read_radiograph(encoded(ds, encoding))
    np.testing.assert_allclose(read.pixels, 1 - gradient() / 255, atol=1e-6)


def test_a_table_longer_than_it_says_and_one_that_is_shorter() -> None:
    entries = np.arange(256)
    ds = dataset(gradient(), VOILUTSequence=table(0, entries, 8))
    long = ds.VOILUTSequence[0].LUTData + np.full(90, 7, "<u2").tobytes()
    ds.VOILUTSequence[0].LUTData = long
    np.testing.assert_allclose(read_radiograph(to_bytes(ds)).pixels, gradient() / 255, atol=1e-6)
    ds.VOILUTSequence[0].LUTData = long[:200]
    with pytest.raises(InvalidHeaderError, match="fewer entries"):
        read_radiograph(to_bytes(ds))


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_tables_of_every_depth(bits: int) -> None:
    top = (1 << bits) - 1
    ds = dataset(gradient(), VOILUTSequence=table(0, np.linspace(0, top, 256).round(), bits))
    expected = np.linspace(0, top, 256).round()[gradient()] / top
    np.testing.assert_allclose(read_radiograph(to_bytes(ds)).pixels, expected, atol=1e-6)


def test_the_first_of_several_tables_with_a_notice() -> None:
    tables = Sequence([*table(0, np.arange(256)[::-1], 8), *table(0, np.zeros(256), 8)])
    ds = dataset(gradient(), VOILUTSequence=tables)
    np.testing.assert_allclose(
        read_radiograph(to_bytes(ds)).pixels, 1 - gradient() / 255, atol=1e-6
    )
    assert codes(ds) == ["several_voi_luts"]


def test_a_window_narrower_than_a_grey_step() -> None:
    """LINEAR needs a width of at least 1 (PS3.3 C.11.2.1.2.1), the others any above 0."""
    elements = {"WindowCenter": 100.2, "WindowWidth": 0.5}
    for function in ("LINEAR_EXACT", "SIGMOID"):
        narrow = dataset(gradient(), VOILUTFunction=function, **elements)
        pixels = read_radiograph(to_bytes(narrow)).pixels
        assert (pixels[gradient() < 99] < 0.01).all()
        assert (pixels[gradient() > 101] > 0.99).all()
    assert codes(dataset(gradient(), **elements)) == ["window_ignored"]


def test_a_window_that_cannot_be_used_gives_way_to_the_next() -> None:
    stored = gradient(high=4095, dtype=np.uint16)
    ds = dataset(stored, WindowCenter=[0, 2048], WindowWidth=[0, 4096], BitsStored=12)
    assert codes(to_bytes(ds)) == ["window_ignored"]
    np.testing.assert_allclose(read_radiograph(ds).pixels, stored / 4095, atol=1e-3)


def test_for_presentation_and_for_processing_differ_by_a_notice_alone() -> None:
    said = {"Modality": "DX", "WindowCenter": 128, "WindowWidth": 200}
    shown = read_radiograph(
        dataset(gradient(), SOPClassUID=DX, PresentationIntentType="FOR PRESENTATION", **said)
    )
    raw = read_radiograph(
        dataset(gradient(), SOPClassUID=f"{DX}.1", PresentationIntentType="FOR PROCESSING", **said)
    )
    np.testing.assert_array_equal(shown.pixels, raw.pixels)
    assert not shown.notices
    assert [notice.code for notice in raw.notices] == ["for_processing"]


def test_overlays_are_not_burnt_in() -> None:
    stored = gradient(high=4095, dtype=np.uint16)
    plain = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    expected = read_radiograph(dataset(stored, **plain)).pixels
    beside = dataset(stored, **plain)
    beside.add_new(0x60000010, "US", ROWS)
    beside.add_new(0x60000011, "US", COLUMNS)
    beside.add_new(0x60000040, "CS", "G")
    beside.add_new(0x60000050, "SS", [1, 1])
    beside.add_new(0x60000100, "US", 1)
    beside.add_new(0x60000102, "US", 0)
    beside.add_new(0x60003000, "OW", b"\xff" * (ROWS * COLUMNS // 8))
    above = dataset(stored | np.where(np.arange(COLUMNS) % 3, 0, 0x8000).astype(np.uint16), **plain)
    above.add_new(0x60000100, "US", 16)
    above.add_new(0x60000102, "US", 15)
    for ds in (beside, above):
        np.testing.assert_array_equal(read_radiograph(to_bytes(ds)).pixels, expected)


def test_borders_that_are_burnt_in_stay_outside_of_a_window() -> None:
    """A white frame and black shutters: of the window's values they are the ends."""
    stored = gradient(low=1000, high=3000, dtype=np.uint16)
    inside = (slice(20, -20), slice(20, -20))
    window = {"BitsStored": 12, "WindowCenter": 2000, "WindowWidth": 2001}
    expected = read_radiograph(dataset(stored, **window)).pixels[inside]
    for border in (0, 4095):
        framed = np.full_like(stored, border)
        framed[inside] = stored[inside]
        pixels = read_radiograph(dataset(framed, **window)).pixels
        np.testing.assert_array_equal(pixels[inside], expected)
        assert pixels[0].max() == pixels[0].min() == (border == 4095)


@pytest.mark.parametrize("said", [0xF830, 0x0830, -2000])
def test_padding_of_12_signed_bits_in_each_way_that_it_is_written(said: int) -> None:
    """As 16 bits in two's complement, as the pattern of the 12 stored bits, or as a number."""
    stored = gradient(low=-1000, high=1000, dtype=np.int16)
    stored[:20] = -2000
    ds = dataset(stored, BitsStored=12)
    ds.add_new(0x00280120, "SS" if said < 0 else "US", said)
    pixels = read_radiograph(to_bytes(ds)).pixels
    assert pixels[:20].max() == 0
    assert (pixels[20:].min(), pixels[20:].max()) == (0, 1)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_padding_in_every_encoding(encoding: str) -> None:
    stored = gradient(low=300, high=1500, dtype=np.uint16)
    stored[:20] = 4000
    ds = dataset(stored, BitsStored=12, PixelPaddingValue=4000)
    pixels = read_radiograph(encoded(ds, encoding)).pixels
    assert pixels[:20].max() == 0
    assert pixels[20:].max() == 1


@pytest.mark.parametrize("ratio", [["2", "1"], ["3", "4"]])
def test_pixels_that_are_not_square_stay_on_the_grid_of_the_file(ratio: list[str]) -> None:
    ds = dataset(gradient())
    ds.PixelAspectRatio = ratio
    read = read_radiograph(to_bytes(ds))
    np.testing.assert_allclose(read.pixels, gradient() / 255, atol=1e-6)
    assert [notice.code for notice in read.notices] == ["non_square_pixels"]
    ds.PixelSpacing = ["0.2", "0.2"]  # goes before the ratio (PS3.3 C.7.6.3.1.7)
    assert not codes(to_bytes(ds))


@pytest.mark.parametrize("encoding", ["explicit", "implicit"])
def test_a_missing_meta_header_in_either_encoding(encoding: str) -> None:
    data = encoded(dataset(picture(12), BitsStored=12), encoding)
    body = data[data.index(b"\x08\x00\x16\x00") :]
    read = read_radiograph(body)
    np.testing.assert_array_equal(read.pixels, read_radiograph(data).pixels)
    assert read.encoding == read_radiograph(data).encoding
