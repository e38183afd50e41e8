"""PNG, JPEG and TIFF in their depths, polarities and channels."""

import struct
import sys
import zlib
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
from dicom_maker import J, compressed, dataset, gradient, to_bytes

from pleura.errors import ColourImageError, TruncatedError, UnsupportedSyntaxError
from pleura.io import read_radiograph
from pleura.io.tiff import inspect_tiff

DEEP = gradient(low=0, high=65535, dtype=np.uint16)
ENCODERS = {"PNG": imagecodecs.png_encode, "TIFF": imagecodecs.tiff_encode}


def tiff(pixels: np.ndarray, photometric: int, order: str = "<", bits: int | None = None) -> bytes:
    """An uncompressed TIFF of one strip, written by hand in either byte order."""
    rows, columns = pixels.shape
    bits = bits or 8 * pixels.dtype.itemsize
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    entries = [
        (256, 3, columns), (257, 3, rows), (258, 3, bits), (259, 3, 1), (262, 3, photometric),
        (273, 4, 8), (277, 3, 1), (278, 3, rows), (279, 4, len(data)),
    ]  # fmt: skip
    directory = struct.pack(f"{order}H", len(entries))
    for tag, kind, value in entries:
        packed = struct.pack(f"{order}{'HH' if kind == 3 else 'L'}", *([value, 0][: 5 - kind]))
        directory += struct.pack(f"{order}HHL", tag, kind, 1) + packed
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HL", 42, 8 + len(data))
    return head + data + directory + struct.pack(f"{order}L", 0)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("pixels", [gradient(), DEEP], ids=["8", "16"])
def test_grey_is_scaled_by_the_full_range(kind: str, pixels: np.ndarray) -> None:
    radiograph = read_radiograph(bytes(ENCODERS[kind](pixels)))
    top = np.iinfo(pixels.dtype).max
    np.testing.assert_allclose(radiograph.pixels, pixels / top, atol=1e-6)
    assert radiograph.encoding == kind
    assert not radiograph.notices
    assert radiograph.spacing is None


@pytest.mark.parametrize("bits", [8, 12])
def test_jpeg(bits: int) -> None:
    top = (1 << bits) - 1
    pixels = gradient(high=top, dtype=np.uint8 if bits == 8 else np.uint16)
    data = bytes(imagecodecs.jpeg8_encode(pixels, level=95, bitspersample=bits))
    radiograph = read_radiograph(data)
    assert np.abs(radiograph.pixels - pixels / top).max() < 0.02
    assert radiograph.encoding == "JPEG"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("pixels", [gradient(), DEEP], ids=["8", "16"])
def test_tiff_in_both_polarities_and_byte_orders(pixels: np.ndarray, order: str) -> None:
    top = np.iinfo(pixels.dtype).max
    upright = read_radiograph(tiff(pixels, 1, order)).pixels
    np.testing.assert_allclose(upright, pixels / top, atol=1e-6)
    np.testing.assert_allclose(
        read_radiograph(tiff(pixels, 0, order)).pixels, 1 - upright, atol=1e-6
    )


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("pixels", [gradient(), DEEP], ids=["8", "16"])
def test_three_equal_channels_are_grey(kind: str, pixels: np.ndarray) -> None:
    options = {"photometric": "rgb"} if kind == "TIFF" else {}
    data = bytes(ENCODERS[kind](np.stack([pixels] * 3, axis=-1), **options))
    radiograph = read_radiograph(data)
    np.testing.assert_allclose(radiograph.pixels, pixels / np.iinfo(pixels.dtype).max, atol=1e-6)
    assert [notice.code for notice in radiograph.notices] == ["grey_from_colour"]


def test_grey_stored_as_colour_in_jpeg_and_dicom() -> None:
    pixels = gradient()
    thrice = np.stack([pixels] * 3, axis=-1)
    jpeg = cv2.imencode(".jpg", thrice, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    luma = np.concatenate([pixels[..., None], np.full((*pixels.shape, 2), 128, np.uint8)], axis=-1)
    by_plane = dataset(thrice, PlanarConfiguration=1)
    by_plane.PixelData = thrice.transpose(2, 0, 1).tobytes()
    half = dataset(thrice, PhotometricInterpretation="YBR_FULL_422")
    quads = np.empty((210, 110, 4), np.uint8)
    quads[..., 0], quads[..., 1], quads[..., 2:] = pixels[:, ::2], pixels[:, 1::2], 128
    half.PixelData = quads.tobytes()
    for source in (
        jpeg,
        to_bytes(dataset(thrice)),
        to_bytes(by_plane),
        to_bytes(dataset(luma, PhotometricInterpretation="YBR_FULL")),
        to_bytes(half),
        to_bytes(compressed(thrice, "1.2.840.10008.1.2.5")),
        to_bytes(compressed(thrice, J + "50", PhotometricInterpretation="YBR_FULL_422")),
    ):
        radiograph = read_radiograph(source)
        assert np.abs(radiograph.pixels - pixels / 255).max() < 0.02
        assert "grey_from_colour" in [notice.code for notice in radiograph.notices]


def test_a_trace_of_colour_is_refused() -> None:
    pixels = np.stack([gradient()] * 3, axis=-1)
    pixels[100:110, 100:110, 2] = 255 - pixels[100:110, 100:110, 2]
    with pytest.raises(ColourImageError):
        read_radiograph(bytes(imagecodecs.png_encode(pixels)))


def test_transparency_is_dropped_and_reported() -> None:
    pixels = gradient()
    for alpha, expected in ((255, []), (100, ["alpha_ignored"])):
        cover = np.full(pixels.shape, alpha, np.uint8)
        grey = read_radiograph(bytes(imagecodecs.png_encode(np.stack([pixels, cover], axis=-1))))
        colour = read_radiograph(
            bytes(imagecodecs.png_encode(np.stack([pixels, pixels, pixels, cover], axis=-1)))
        )
        for radiograph in (grey, colour):
            np.testing.assert_allclose(radiograph.pixels, pixels / 255, atol=1e-6)
        assert [notice.code for notice in grey.notices] == expected
        assert [notice.code for notice in colour.notices] == [*expected, "grey_from_colour"]


def png(pixels: np.ndarray, depth: int, colour: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of one channel, written by hand."""
    lines = np.unpackbits(pixels.byteswap().view(np.uint8).reshape(*pixels.shape, -1), axis=-1)
    packed = np.packbits(lines[:, :, -depth:].reshape(len(pixels), -1), axis=1)
    filtered = np.concatenate([np.zeros((len(pixels), 1), np.uint8), packed], axis=1).tobytes()
    header = struct.pack(">LLBBBBB", pixels.shape[1], pixels.shape[0], depth, colour, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in (
        (b"IHDR", header), *chunks, (b"IDAT", zlib.compress(filtered)), (b"IEND", b""),
    ):  # fmt: skip
        check = zlib.crc32(kind + body).to_bytes(4, "big")
        data += len(body).to_bytes(4, "big") + kind + body + check
    return data


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("transparent", [False, True])
def test_png_of_every_depth_with_and_without_a_transparent_grey(
    depth: int, transparent: bool
) -> None:
    top = (1 << depth) - 1
    pixels = gradient(high=top, dtype=np.uint16 if depth == 16 else np.uint8)
    chunks = [(b"tRNS", struct.pack(">H", top))] if transparent else []
    radiograph = read_radiograph(png(pixels, depth, 0, *chunks))
    np.testing.assert_allclose(radiograph.pixels, pixels / top, atol=1e-6)
    assert ["alpha_ignored"] * transparent == [notice.code for notice in radiograph.notices]


def test_damaged_png_files_cost_no_reference() -> None:
    whole = bytes(imagecodecs.png_encode(gradient()))
    at = whole.index(b"IDAT") + 40
    damaged = whole[:at] + b"\xff" * 20 + whole[at + 20 :]

    def refused() -> None:
        with pytest.raises(TruncatedError, match="damaged"):
            read_radiograph(damaged)

    refused()
    before = sys.getrefcount(None)
    for _ in range(50):
        refused()
    assert sys.getrefcount(None) > before - 25


def test_png_palettes_are_judged_by_their_colours() -> None:
    pixels = gradient()
    for palette, grey in (
        (bytes(v for i in range(256) for v in (i, i, i)), True),
        (bytes(v for i in range(256) for v in (i, 0, 255 - i)), False),
    ):
        data = png(pixels, 8, 3, (b"PLTE", palette))
        if grey:
            covered = png(pixels, 8, 3, (b"PLTE", palette), (b"tRNS", b"\x80\x90"))
            np.testing.assert_allclose(read_radiograph(covered).pixels, pixels / 255, atol=1e-6)
            np.testing.assert_allclose(read_radiograph(data).pixels, pixels / 255, atol=1e-6)
        else:
            with pytest.raises(ColourImageError):
                read_radiograph(data)


def test_twelve_bits_in_sixteen_are_reported() -> None:
    radiograph = read_radiograph(
        bytes(imagecodecs.png_encode(gradient(high=4095, dtype=np.uint16)))
    )
    assert [notice.code for notice in radiograph.notices] == ["dark_scale"]


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.05, 0.01])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_files_that_break_off(kind: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 300), dtype=np.uint8)
    encode = {**ENCODERS, "JPEG": imagecodecs.jpeg8_encode}[kind]
    data = bytes(encode(noise))
    with pytest.raises(TruncatedError):
        read_radiograph(data[: int(len(data) * kept)])


def test_tiff_samples_that_are_not_read() -> None:
    for pixels in (gradient().astype(np.float32), gradient().astype(np.int16)):
        with pytest.raises(UnsupportedSyntaxError):
            read_radiograph(bytes(imagecodecs.tiff_encode(pixels)))


def test_the_first_of_tiff_entries_with_one_tag_counts() -> None:
    """As in the decoder: else the size that is checked is not the one that is decoded."""
    whole = tiff(gradient(), 1)
    at = whole.index(struct.pack("<HHL", 257, 3, 1))
    count, entries = struct.unpack_from("<H", whole, at - 14)[0], whole[at - 12 :]
    for kind, value in ((3, 1), (9, 1), (4, 70_000)):
        entry = struct.pack("<HHLL", 257, kind, 1, value)
        head, rest = whole[: at - 14] + struct.pack("<H", count + 1), entries
        behind = head + rest[:24] + entry + rest[24:]
        info = inspect_tiff(behind)
        assert (info.rows, info.columns) == (210, 220)
    ahead = head + rest[:12] + entry + rest[12:]
    assert inspect_tiff(ahead).rows == 70_000


def test_a_tiff_directory_beyond_all_bounds() -> None:
    for offset in (1 << 62, 1 << 63, (1 << 64) - 1):
        data = b"II+\0" + struct.pack("<HHQ", 8, 0, offset) + bytes(100)
        with pytest.raises(TruncatedError):
            read_radiograph(data)


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    file = tmp_path / "radiograph.dcm"
    file.write_bytes(bytes(imagecodecs.png_encode(gradient())))
    assert read_radiograph(file).encoding == "PNG"
    assert read_radiograph(str(file)).source == str(file)
    with file.open("rb") as stream:
        assert read_radiograph(stream).source == str(file)
    disguised = b"II*\0" + to_bytes(dataset(gradient()))[4:]
    assert read_radiograph(disguised).encoding == "1.2.840.10008.1.2.1"
