"""The greyscale pipeline against formulas evaluated pixel by pixel, as the standard writes them."""

import math
from typing import Any

import numpy as np
import pytest
from dicom_maker import DX, dataset, gradient, table
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.sequence import Sequence

from pleura.errors import InvalidHeaderError
from pleura.io import VoiChoice, read_radiograph, render_pixels


def window_by_the_book(x: float, center: float, width: float, function: str) -> float:
    """PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2, as pseudo-code gives them."""
    if function == "SIGMOID":
        return 1 / (1 + math.exp(min(700.0, -4 * (x - center) / width)))
    if function == "LINEAR_EXACT":
        if x <= center - width / 2:
            return 0.0
        if x > center + width / 2:
            return 1.0
        return (x - center) / width + 0.5
    if x <= center - 0.5 - (width - 1) / 2:
        return 0.0
    if x > center - 0.5 + (width - 1) / 2:
        return 1.0
    return (x - (center - 0.5)) / (width - 1) + 0.5


@settings(max_examples=60, deadline=None)
@given(
    bits=st.integers(2, 16),
    signed=st.booleans(),
    inverted=st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
    function=st.sampled_from(["", "LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    slope=st.sampled_from([1.0, 0.5, 2.0, -1.0]),
    intercept=st.sampled_from([0.0, -1024.0, 10.5]),
    center=st.floats(-500, 3000),
    width=st.floats(1, 4000),
    spare=st.integers(0, 3),
    data=st.data(),
)
def test_pipeline_equals_the_formulas(
    bits: int,
    signed: bool,
    inverted: str,
    function: str,
    slope: float,
    intercept: float,
    center: float,
    width: float,
    spare: int,
    data: st.DataObject,
) -> None:
    center, width = round(center, 3), round(width, 3)
    allocated = 8 if bits <= 8 and data.draw(st.booleans()) else 16
    shift = min(spare, allocated - bits)
    low = -(1 << (bits - 1)) if signed else 0
    stored = np.array(
        data.draw(st.lists(st.integers(low, low + (1 << bits) - 1), min_size=12, max_size=12))
    ).reshape(3, 4)
    # Foreign bits (an overlay of old) stand in every position that the values leave free.
    foreign = data.draw(st.integers(0, (1 << allocated) - 1))
    mask = ((1 << bits) - 1) << shift
    cells = ((stored << shift) & mask) | (foreign & ~mask)
    elements: dict[str, Any] = {"VOILUTFunction": function} if function else {}
    ds = dataset(
        cells.astype(f"u{allocated // 8}"),
        BitsStored=bits,
        HighBit=bits - 1 + shift,
        PixelRepresentation=int(signed),
        PhotometricInterpretation=inverted,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
        WindowCenter=center,
        WindowWidth=width,
        **elements,
    )
    expected = np.empty((3, 4))
    for place, value in np.ndenumerate(stored):
        grey = window_by_the_book(value * slope + intercept, center, width, function)
        expected[place] = 1 - grey if inverted == "MONOCHROME1" else grey
    rendered = render_pixels(ds)
    assert rendered.dtype == np.float32
    np.testing.assert_allclose(rendered, expected, atol=2e-6)


def test_inversion_happens_once_whoever_asks_for_it() -> None:
    pixels = gradient(4, 6, 0, 4095, np.uint16)
    plain = dataset(pixels, BitsStored=12, WindowCenter=2048, WindowWidth=4096)
    upright = render_pixels(plain)
    for photometric, shape in (
        ("MONOCHROME1", None),
        ("MONOCHROME1", "INVERSE"),
        ("MONOCHROME2", "INVERSE"),
    ):
        plain.PhotometricInterpretation = photometric
        if shape:
            plain.PresentationLUTShape = shape
        np.testing.assert_allclose(render_pixels(plain), 1 - upright, atol=1e-6)


def test_tables_come_in_their_order_and_clamp_at_their_ends() -> None:
    stored = np.array([[0, 9, 10], [12, 13, 200]], np.uint8)
    # 10..13 -> 100, 200, 300, 400; then 150..350 -> 0..200 in a table of 8 bits.
    ds = dataset(
        stored,
        ModalityLUTSequence=table(10, [100, 200, 300, 400], 16),
        VOILUTSequence=table(150, list(range(201)), 8),
    )
    expected = np.array([[0, 0, 0], [150, 200, 200]]) / 255
    np.testing.assert_allclose(render_pixels(ds), expected, atol=1e-6)


def test_tables_of_8_bit_entries_packed_in_words() -> None:
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3)
    ds = dataset(stored, VOILUTSequence=table(0, [0], 8))
    item = ds.VOILUTSequence[0]
    item.LUTDescriptor = [6, 0, 8]
    item.LUTData = bytes([5, 50, 100, 150, 200, 250])
    expected = np.array([[5, 50, 100], [150, 200, 250]]) / 255
    np.testing.assert_allclose(render_pixels(ds), expected, atol=1e-6)


def test_a_table_over_signed_values_starts_below_zero() -> None:
    stored = np.array([[-3, -2], [-1, 5]], np.int16)
    ds = dataset(stored, VOILUTSequence=table(-2, [0, 4095, 1000], 12, signed=True))
    np.testing.assert_allclose(render_pixels(ds) * 4095, [[0, 0], [4095, 1000]], atol=1e-2)


def test_voi_table_goes_before_the_window_and_can_be_passed_over() -> None:
    pixels = gradient(5, 5, 0, 255)
    ds = dataset(
        pixels,
        VOILUTSequence=table(0, list(range(255, -1, -1)), 8),
        WindowCenter=128,
        WindowWidth=256,
    )
    np.testing.assert_allclose(render_pixels(ds), 1 - pixels / 255, atol=1e-6)
    np.testing.assert_allclose(render_pixels(ds, voi=VoiChoice.WINDOW), pixels / 255, atol=1e-6)


def test_without_a_window_8_bits_keep_their_scale_and_deeper_ones_their_range() -> None:
    shallow = gradient(low=40, high=200)
    radiograph = read_radiograph(dataset(shallow))
    np.testing.assert_allclose(radiograph.pixels, shallow / 255, atol=1e-6)
    assert not radiograph.notices

    deep = gradient(low=300, high=1500, dtype=np.uint16)
    radiograph = read_radiograph(dataset(deep, BitsStored=12))
    np.testing.assert_allclose(radiograph.pixels, (deep - 300.0) / 1200, atol=1e-6)
    assert [notice.code for notice in radiograph.notices] == ["no_window"]


@pytest.mark.parametrize("limit", [None, 2010])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_stays_out_of_the_range_and_becomes_black(
    limit: int | None, photometric: str
) -> None:
    pixels = gradient(low=300, high=1500, dtype=np.uint16)
    pixels[:20] = 2000
    ds = dataset(
        pixels,
        BitsStored=12,
        PixelPaddingValue=2000,
        PixelPaddingRangeLimit=limit,
        PhotometricInterpretation=photometric,
    )
    if limit:
        pixels[10:20] = limit
        ds.PixelData = pixels.tobytes()
    rendered = read_radiograph(ds).pixels
    assert rendered[:20].max() == 0
    inside = pixels[20:].astype(float)
    grey = (inside - inside.min()) / (inside.max() - inside.min())
    if photometric == "MONOCHROME1":
        grey = 1 - grey
    np.testing.assert_allclose(rendered[20:], grey, atol=1e-6)


def test_padding_of_signed_pixels_is_negative() -> None:
    pixels = gradient(low=-1000, high=1000, dtype=np.int16)
    pixels[:20] = -2000
    ds = dataset(pixels)
    ds.add_new(0x00280120, "SS", -2000)
    rendered = read_radiograph(ds).pixels
    assert rendered[:20].max() == 0
    inside = pixels[20:].astype(float)
    expected = (inside - inside.min()) / (inside.max() - inside.min())
    np.testing.assert_allclose(rendered[20:], expected, atol=1e-6)


def test_the_first_of_several_windows_with_a_notice() -> None:
    pixels = gradient(low=0, high=4095, dtype=np.uint16)
    ds = dataset(pixels, BitsStored=12, WindowCenter=[1000, 3000], WindowWidth=[801, 100])
    radiograph = read_radiograph(ds)
    expected = np.clip((pixels - 999.5) / 800 + 0.5, 0, 1)
    np.testing.assert_allclose(radiograph.pixels, expected, atol=1e-5)
    assert [notice.code for notice in radiograph.notices] == ["several_windows"]


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ({"BitsStored": None}, "bits_stored"),
        ({"WindowCenter": 100, "WindowWidth": 0}, "window_ignored"),
        ({"WindowCenter": 100, "WindowWidth": -5}, "window_ignored"),
        ({"RescaleSlope": 0, "RescaleIntercept": 5}, "rescale_ignored"),
        ({"VOILUTFunction": "CUBIC", "WindowCenter": 128, "WindowWidth": 256}, "voi_function"),
        ({"HighBit": 3}, "high_bit"),
    ],
)
def test_what_cannot_be_used_is_left_out_with_a_notice(elements: dict[str, Any], code: str) -> None:
    pixels = gradient()
    ds = dataset(pixels, **elements)
    radiograph = read_radiograph(ds)
    assert code in [notice.code for notice in radiograph.notices]
    np.testing.assert_allclose(radiograph.pixels, pixels / 255, atol=1e-6)


def test_a_table_deeper_than_its_descriptor_gets_its_true_depth() -> None:
    pixels = gradient()
    ds = dataset(pixels, VOILUTSequence=table(0, np.arange(256) * 16, 8))
    radiograph = read_radiograph(ds)
    np.testing.assert_allclose(radiograph.pixels, pixels * 16.0 / 4095, atol=1e-6)
    assert [notice.code for notice in radiograph.notices] == ["lut_depth"]


def test_a_hollow_table_is_ignored_and_a_broken_one_refused() -> None:
    ds = dataset(gradient(), VOILUTSequence=table(0, [0], 8))
    del ds.VOILUTSequence[0].LUTData
    del ds.VOILUTSequence[0].LUTDescriptor
    assert [notice.code for notice in read_radiograph(ds).notices] == ["lut_ignored"]
    ds.VOILUTSequence = table(0, list(range(100)), 8)
    ds.VOILUTSequence[0].LUTDescriptor = [256, 0, 8]
    with pytest.raises(InvalidHeaderError):
        read_radiograph(ds)
    ds.VOILUTSequence = Sequence([])
    assert not read_radiograph(ds).notices


def test_for_processing_images_are_read_with_a_notice() -> None:
    ds = dataset(gradient(), SOPClassUID=f"{DX}.1", Modality="DX")
    assert [notice.code for notice in read_radiograph(ds).notices] == ["for_processing"]


def test_cells_of_32_bits() -> None:
    pixels = np.array([[0, 1 << 20], [1 << 30, (1 << 31) + 5]], np.uint32)
    expected = pixels / float((1 << 31) + 5)
    np.testing.assert_allclose(render_pixels(dataset(pixels)), expected, atol=1e-6)
    signed = np.array([[-70000, 0], [35000, 70000]], np.int32)
    np.testing.assert_allclose(render_pixels(dataset(signed)), (signed + 70000) / 140000, atol=1e-6)
