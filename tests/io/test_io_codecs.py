"""Every encoding gives the picture that the uncompressed file gives."""

import zlib
from io import BytesIO

import cv2
import imagecodecs
import numpy as np
import pytest
from dicom_maker import J, big_endian, compressed, dataset, encode, gradient, table, to_bytes
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from stream_mutations import resized

from pleura.errors import InvalidHeaderError, TruncatedError, UnsupportedSyntaxError
from pleura.io import read_radiograph

RLE = str(RLELossless)
LOSSLESS = [J + "57", J + "70", J + "80", J + "90", J + "201", RLE]
WINDOW = {"WindowCenter": 2000.0, "WindowWidth": 3001.0}


def speckle(bits: int, *, signed: bool = False, rows: int = 201, columns: int = 203) -> np.ndarray:
    """A gradient with noise: every value range, nothing that a wrong predictor would survive."""
    noise = np.random.default_rng(bits).integers(0, 9, (rows, columns))
    top = (1 << bits) - 1
    picture = gradient(rows, columns, 0, top - 8, np.int64) + noise
    dtype = np.uint8 if bits <= 8 else np.uint16
    if not signed:
        return picture.astype(dtype)
    return (picture - (1 << (bits - 1))).astype(np.int8 if bits <= 8 else np.int16)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", LOSSLESS)
def test_lossless_syntaxes_equal_uncompressed(syntax: str, signed: bool, bits: int) -> None:
    pixels = speckle(bits, signed=signed)
    middle = 0.0 if signed else float(1 << (bits - 1))
    window = {"WindowCenter": middle, "WindowWidth": 0.75 * (1 << bits)}
    packed = compressed(pixels, syntax, bits=bits, **window)
    plain = dataset(pixels, BitsStored=bits, **window)
    read = read_radiograph(to_bytes(packed, implicit_vr=False, little_endian=True))
    np.testing.assert_array_equal(read.pixels, read_radiograph(plain).pixels)
    assert read.encoding == syntax


@pytest.mark.parametrize(
    ("syntax", "bits", "bound"),
    [("50", 8, 9), ("51", 12, 30), ("55", 8, 9), ("81", 12, 2.1), ("91", 12, 30)],
)
def test_lossy_syntaxes_stay_near(syntax: str, bits: int, bound: float) -> None:
    pixels = speckle(bits)
    width = {"WindowCenter": (1 << bits) / 2, "WindowWidth": float(1 << bits)}
    read = read_radiograph(compressed(pixels, J + syntax, bits=bits, **width))
    plain = read_radiograph(dataset(pixels, BitsStored=bits, **width))
    assert 0 < np.abs(read.pixels - plain.pixels).max() <= bound / ((1 << bits) - 1)


def test_values_that_a_lossy_code_pushes_beyond_the_stored_bits_are_clipped() -> None:
    # 12-bit JPEG of 10-bit values: ringing at the edges goes past 1023 and must not wrap to black.
    pixels = np.zeros((208, 208), np.uint16)
    pixels[50:150, 50:150] = 1023
    stream = imagecodecs.jpeg8_encode(pixels, level=30, bitspersample=12)
    assert imagecodecs.jpeg8_decode(stream).max() > 1023
    ds = compressed(pixels, J + "51", bits=12, WindowCenter=512, WindowWidth=1024)
    ds.PixelData = encapsulate([stream])
    ds.BitsStored, ds.HighBit = 10, 9
    assert read_radiograph(ds).pixels[60:140, 60:140].min() > 0.95


@pytest.mark.parametrize("precision", [12, 16])
def test_signed_values_that_a_lossy_code_pushes_beyond_the_stored_bits_are_clipped(
    precision: int,
) -> None:
    """Saturated white must not wrap to black; what lies below zero stays there."""
    pixels = np.full((208, 208), -2048, np.int16)
    pixels[50:150, 50:150] = 2047
    pixels[100:110] = -300
    stream = imagecodecs.jpeg2k_encode(
        pixels, level=80, codecformat="j2k", reversible=False, bitspersample=precision
    )
    assert (imagecodecs.jpeg2k_decode(stream).max() > 2047) == (precision == 16)
    ds = dataset(pixels, BitsStored=12, WindowCenter=0, WindowWidth=4096)
    expected = read_radiograph(ds).pixels
    ds.file_meta.TransferSyntaxUID = J + "91"
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].is_undefined_length = True
    assert np.abs(read_radiograph(ds).pixels - expected).max() < 0.03


def test_signed_values_in_an_unsigned_lossy_stream_keep_their_sign() -> None:
    pixels = gradient(low=-1500, high=-100, dtype=np.int16)
    ds = compressed(pixels, J + "91", bits=12, WindowCenter=0, WindowWidth=4096)
    plain = dataset(pixels, BitsStored=12, WindowCenter=0, WindowWidth=4096)
    assert np.abs(read_radiograph(ds).pixels - read_radiograph(plain).pixels).max() < 0.01


def test_a_frame_in_many_fragments() -> None:
    pixels = speckle(8)
    whole = read_radiograph(compressed(pixels, J + "80")).pixels
    np.testing.assert_array_equal(
        read_radiograph(to_bytes(compressed(pixels, J + "80", fragments=7))).pixels, whole
    )


def test_native_encodings_agree() -> None:
    pixels = speckle(12)
    ds = dataset(pixels, BitsStored=12, VOILUTSequence=table(0, np.arange(4096) // 2, 12))
    expected = read_radiograph(ds).pixels
    explicit = to_bytes(ds)

    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    implicit = to_bytes(ds, implicit_vr=True, little_endian=True)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    deflated = to_bytes(ds, implicit_vr=False, little_endian=True)
    assert len(deflated) < len(explicit)
    data_set = explicit[explicit.index(b"\x08\x00\x16\x00UI") :]
    for data in (
        explicit,
        implicit,
        deflated,
        big_endian(ds),
        explicit[128:],  # no preamble
        explicit[132:],  # no prefix either
        data_set,  # no file meta header
    ):
        np.testing.assert_array_equal(read_radiograph(data).pixels, expected)


def test_big_endian_words_of_two_8_bit_cells() -> None:
    pixels = speckle(8, rows=200, columns=210)
    ds = dataset(pixels)
    swapped = pixels.reshape(-1, 2)[:, ::-1].tobytes()
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
    ds["PixelData"].VR = "OW"
    ds.PixelData = swapped
    data = to_bytes(ds, implicit_vr=False, little_endian=False)
    np.testing.assert_allclose(read_radiograph(data).pixels, pixels / 255, atol=1e-6)


def test_a_meta_header_that_names_another_native_encoding_is_overruled() -> None:
    pixels = speckle(8)
    data = to_bytes(dataset(pixels))
    lying = data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0", 1)
    assert lying != data
    radiograph = read_radiograph(lying)
    np.testing.assert_allclose(radiograph.pixels, pixels / 255, atol=1e-6)
    assert [notice.code for notice in radiograph.notices] == ["transfer_syntax"]


def test_a_dataset_reads_like_its_file() -> None:
    for ds in (
        dataset(speckle(12), BitsStored=12, **WINDOW),
        compressed(speckle(12), J + "70", bits=12, **WINDOW),
    ):
        data = to_bytes(ds)
        parsed = dcmread(BytesIO(data))
        expected = read_radiograph(data)
        for source in (ds, parsed, BytesIO(data)):
            read = read_radiograph(source)  # type: ignore[arg-type]
            np.testing.assert_array_equal(read.pixels, expected.pixels)
            assert read.identifiers == expected.identifiers


@pytest.mark.parametrize("syntax", [J + "50", J + "70", J + "80", J + "90", J + "201", RLE])
@pytest.mark.parametrize("kept", [0.97, 0.5, 0.02])
def test_streams_that_break_off_are_truncated(syntax: str, kept: float) -> None:
    pixels = speckle(8)
    if syntax == RLE:
        ds = compressed(pixels, RLE)
        stream = bytes(imagecodecs.packbits_encode(pixels))
        header = np.zeros(16, "<u4")
        header[:2] = 1, 64
        stream = header.tobytes() + stream
    else:
        ds = compressed(pixels, syntax)
        stream = encode(pixels, syntax)
    ds.PixelData = encapsulate([stream])
    assert read_radiograph(ds).shape == pixels.shape
    ds.PixelData = encapsulate([stream[: int(len(stream) * kept)]])
    with pytest.raises(TruncatedError):
        read_radiograph(ds)


@pytest.mark.parametrize("syntax", [J + "50", J + "80", J + "90"])
def test_a_stream_of_another_size_than_the_header_is_refused_before_decoding(syntax: str) -> None:
    ds = compressed(speckle(8), syntax)
    ds.PixelData = encapsulate([encode(speckle(8, rows=300, columns=400), syntax)])
    with pytest.raises(InvalidHeaderError, match="300 x 400"):
        read_radiograph(ds)


@pytest.mark.parametrize(("end", "name"), [("94", "JPIP"), ("100", "MPEG2"), ("102", "MPEG-4")])
def test_pixels_on_a_server_and_video_are_unsupported(end: str, name: str) -> None:
    ds = compressed(speckle(8), J + "80")
    ds.file_meta.TransferSyntaxUID = J + end
    with pytest.raises(UnsupportedSyntaxError, match=name) as refusal:
        read_radiograph(to_bytes(ds))
    assert "uncompressed" in refusal.value.hint


def test_unknown_streams_and_bit_depths_are_unsupported() -> None:
    ds = compressed(speckle(8), J + "80")
    ds.PixelData = encapsulate([b"GIF89a" + b"\0" * 100])
    with pytest.raises(UnsupportedSyntaxError):
        read_radiograph(ds)
    with pytest.raises(UnsupportedSyntaxError):
        read_radiograph(dataset(speckle(12), BitsAllocated=12, BitsStored=12, HighBit=11))


def test_a_codec_that_the_installation_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ds = compressed(speckle(8), J + "80")
    monkeypatch.setattr(imagecodecs, "JPEGLS", type("JPEGLS", (), {"available": False}))
    with pytest.raises(UnsupportedSyntaxError, match="imagecodecs build with JPEGLS") as refusal:
        read_radiograph(ds)
    assert "Install the imagecodecs wheel" in refusal.value.hint


def test_compressed_syntax_without_compressed_data() -> None:
    ds = dataset(speckle(8))
    ds.file_meta.TransferSyntaxUID = J + "70"
    with pytest.raises(InvalidHeaderError):
        read_radiograph(ds)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", ""])
def test_compressed_data_without_a_compressed_syntax(syntax: str) -> None:
    data = to_bytes(compressed(speckle(8), J + "70"))
    begin = data.index(b"\x08\x00\x16\x00UI")
    named = (J + "70").encode()
    meta = data[:begin].replace(named, syntax.encode().ljust(len(named), b"\0"))
    assert read_radiograph(data).shape == (201, 203)
    with pytest.raises(InvalidHeaderError, match="compressed") as refusal:
        read_radiograph(meta + data[begin:])
    assert "Re-send" not in refusal.value.hint


def test_deflated_data_that_breaks_off_or_is_damaged() -> None:
    ds = dataset(speckle(8))
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data = to_bytes(ds, implicit_vr=False, little_endian=True)
    for broken in (data[:-200], data[:400] + b"\xff" * 50 + data[450:]):
        with pytest.raises(TruncatedError):
            read_radiograph(broken)


def test_a_decompression_bomb_is_stopped_at_the_limit() -> None:
    from pleura.errors import TooLargeError
    from pleura.io import Limits

    ds = dataset(speckle(8))
    data = to_bytes(ds)
    begin = data.index(b"\x08\x00\x16\x00UI")
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(data[begin:] + b"\0" * 50_000_000) + packer.flush()
    meta = data[:begin].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    at = meta.index(b"1.2.840.10008.1.2.1.99")
    meta = meta[: at - 2] + (22).to_bytes(2, "little") + meta[at:]
    assert read_radiograph(meta + bomb).shape == (201, 203)
    with pytest.raises(TooLargeError):
        read_radiograph(meta + bomb, limits=Limits(max_bytes=10_000_000))


@pytest.mark.parametrize("kept", [0.99, 0.5, 0.02])
@pytest.mark.parametrize(
    "syntax", ["50 8", "51 12", "57 12", "70 16", "80 12", "81 12", "90 12", "91 12", "201 12"]
)
def test_streams_that_lack_a_part_are_truncated(syntax: str, kept: float) -> None:
    """The end marker is there: libjpeg fills the gap with grey and says nothing."""
    end, bits = syntax.split()[0], int(syntax.split()[1])
    pixels = speckle(bits)
    stream = encode(pixels, J + end, bits)
    ds = compressed(pixels, J + end, bits=bits)
    ds.PixelData = encapsulate([stream[: int(len(stream) * kept)] + b"\xff\xd9"])
    with pytest.raises(TruncatedError):
        read_radiograph(ds)


def test_a_stream_that_lacks_a_restart_interval_is_truncated() -> None:
    pixels = speckle(8, rows=208, columns=208)
    options = [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_RST_INTERVAL, 52]
    stream = cv2.imencode(".jpg", pixels, options)[1].tobytes()
    begin, end = stream.index(b"\xff\xd2"), stream.index(b"\xff\xd3")
    ds = compressed(pixels, J + "50")
    ds.PixelData = encapsulate([stream])
    assert read_radiograph(ds).shape == pixels.shape
    ds.PixelData = encapsulate([stream[: begin + 2] + stream[end:]])
    with pytest.raises(TruncatedError, match="lacks"):
        read_radiograph(ds)


def test_whole_streams_that_look_like_filled_ones_are_read() -> None:
    """Blocks of mid-grey, and in lossless JPEG a last row that its predictor tells."""
    for bits, end in ((8, "50"), (12, "51"), (12, "57"), (16, "70")):
        pixels = speckle(bits)
        pixels[64:96, 32:64] = 1 << (bits - 1)
        pixels[-20:] = 0
        ds = compressed(pixels, J + end, bits=bits)
        plain = read_radiograph(dataset(pixels, BitsStored=bits))
        assert np.abs(read_radiograph(ds).pixels - plain.pixels).max() < 0.1
        # A comment may hold another picture, with scans and an end of its own.
        stream = encode(pixels, J + end, bits)
        small = b"\xff\xd8\xff\xda\0\x02abc\xff\xd0abc\xff\xd9"
        comment = b"\xff\xfe" + (len(small) + 2).to_bytes(2, "big") + small
        ds.PixelData = encapsulate([stream[:2] + comment + stream[2:]])
        assert np.abs(read_radiograph(ds).pixels - plain.pixels).max() < 0.1


@pytest.mark.parametrize(
    ("end", "rows", "columns", "said"),
    [
        ("50", 1600, 1600, "fewer codes"),  # a bit for each block of 8 x 8
        ("70", 400, 400, "fewer codes"),  # a bit for each pixel
        ("50", 10_000, 10_000, "too short"),
        ("80", 10_000, 10_000, "too short"),
        ("90", 10_000, 10_000, "too short"),
    ],
)
def test_a_stream_too_short_for_its_size_is_refused_before_it_is_decoded(
    end: str, rows: int, columns: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read, the picture was of a hundred million pixels that were not in the file."""
    for name in ("jpeg8_decode", "jpegls_decode", "jpeg2k_decode"):
        monkeypatch.setattr(imagecodecs, name, lambda data: pytest.fail("was decoded"))
    ds = compressed(gradient(200, 200), J + end, Rows=rows, Columns=columns)
    ds.PixelData = encapsulate([resized(encode(gradient(200, 200), J + end), rows, columns)])
    with pytest.raises(TruncatedError, match=said):
        read_radiograph(ds)


def test_jpeg_2000_without_all_of_its_tiles_is_truncated() -> None:
    """Two images one above the other as the two tiles of one stream (ISO/IEC 15444-1 A.4.2)."""
    pixels = speckle(12, rows=256, columns=208)
    upper, lower = (encode(half, J + "90", 12) for half in (pixels[:128], pixels[128:]))
    tiles = [one[one.index(b"\xff\x90") : -2] for one in (upper, lower)]
    head = bytearray(upper[: upper.index(b"\xff\x90")])
    head[12:16] = (256).to_bytes(4, "big")
    tiles[1] = tiles[1][:4] + b"\x00\x01" + tiles[1][6:]
    ds = compressed(pixels, J + "90", bits=12)
    ds.PixelData = encapsulate([bytes(head) + tiles[0] + tiles[1] + b"\xff\xd9"])
    expected = read_radiograph(dataset(pixels, BitsStored=12)).pixels
    np.testing.assert_array_equal(read_radiograph(ds).pixels, expected)
    for half in ([tiles[0]], [tiles[1]], [tiles[0], tiles[0]]):
        ds.PixelData = encapsulate([bytes(head) + b"".join(half) + b"\xff\xd9"])
        with pytest.raises(TruncatedError, match="tiles"):
            read_radiograph(ds)


@pytest.mark.parametrize("found", [b"\x00\x01", b"\x01\x01\x02", b"\x02\x01\x02\x03"])
def test_a_run_length_code_that_ends_inside_a_sample_is_truncated(found: bytes) -> None:
    header = np.array([2, 64, 64 + len(found), *[0] * 13], "<u4").tobytes()
    ds = compressed(speckle(12), RLE, bits=12)
    ds.PixelData = encapsulate([header + found + b"\x00\x01"])
    with pytest.raises(TruncatedError):
        read_radiograph(ds)
