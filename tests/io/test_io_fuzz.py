"""Damaged files of every kind keep what the reader promises; and what broke it once.

`benchmarks/fuzz.py` runs many more, and the real files with them.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_anatomy import anatomy, deflated
from dicom_maker import PATIENT_NAME, J, compressed, dataset, encode, gradient, to_bytes
from fuzzing import Outcome, Run, outcomes
from mutant_sources import KINDS, made, names, picture
from mutants import mutant, mutations_for
from pydicom.encaps import encapsulate
from stream_mutations import resized
from test_io_bounds import quick, small

from pleura.errors import InvalidHeaderError, TooLargeError, TruncatedError, UnsupportedSyntaxError
from pleura.io import Limits, read_radiograph, render_pixels
from pleura.io.fragments import MAX_FRAGMENTS, join_fragments
from pleura.radiograph import Radiograph
from tiny_model import write_model

SEED = 20
COUNT = 500


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    model = write_model(tmp_path_factory.mktemp("model") / "tiny")
    return list(outcomes(Run(SEED, 0, COUNT, model=model)))


def test_damaged_files_keep_the_promise(found: list[Outcome]) -> None:
    failed = [outcome for outcome in found if outcome.failure]
    assert [(SEED, one.number, one.source, one.done, one.failure) for one in failed] == []
    assert len(found) == COUNT


def test_the_mutants_are_worth_their_time(found: list[Outcome]) -> None:
    """Some of each kind are read, others refused, and many reach the model."""
    codes = {code for outcome in found for code in outcome.codes}
    assert len(codes) >= 10
    assert {outcome.kind for outcome in found} == set(KINDS)
    read = [outcome for outcome in found if "read" in outcome.codes]
    assert COUNT // 10 < len(read) < COUNT // 2
    assert sum(outcome.predicted for outcome in found) > 10


def test_a_mutant_is_the_same_each_time() -> None:
    for number in range(40):
        assert mutant(SEED, number) == mutant(SEED, number)
    assert mutant(SEED, 1) != mutant(SEED + 1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_sources_are_whole(kind: str) -> None:
    """Damage must come from the mutation: a source that is refused by itself tests nothing."""
    for name in names(kind):
        source = made(kind, name)
        assert len(mutations_for(source)) > 7
        if not source.suffix:
            data = deflated(source.data) if source.deflated else source.data
            assert read_radiograph(data).shape == (208, 216)
        if source.dicom:
            assert anatomy(source.data).find(0x7FE00010) is not None


@pytest.mark.parametrize("text", ["1e300", "1e308", "99999999999"])
def test_numbers_that_no_header_needs_are_no_numbers(text: str) -> None:
    """They came back in the message, three hundred digits long."""
    data = anatomy(to_bytes(dataset(gradient()))).with_element(0x00280008, b"IS", text.encode())
    with pytest.raises(InvalidHeaderError, match="is not a number"):
        read_radiograph(data)


def test_an_element_of_countless_values_is_read_in_part() -> None:
    """Each of eight million values became an object: half a gigabyte for a file of 40 KB."""
    parts = anatomy(to_bytes(dataset(gradient(), WindowWidth="200")))
    for tag, value in ((0x00281050, b"9\\" * 8_000_000), (0x00280010, b"\xd2\0" * 8_000_000)):
        data = parts.with_element(tag, b"UN", value)
        with small(100.0), quick():
            assert read_radiograph(data).shape == (210, 220)


@pytest.mark.parametrize(
    "elements", [{"RescaleSlope": "1e308"}, {"RescaleIntercept": "-1.7e308", "RescaleSlope": "2"}]
)
@pytest.mark.filterwarnings("error")
def test_rescaling_that_overflows_is_ignored(elements: dict[str, str]) -> None:
    """Infinite values less infinite values gave pixels that are no numbers."""
    pixels = gradient(high=65535, dtype=np.uint16)
    read = read_radiograph(to_bytes(dataset(pixels, **elements)))
    assert np.isfinite(read.pixels).all()
    assert "rescale_ignored" in [notice.code for notice in read.notices]


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.filterwarnings("error")
def test_windows_that_overflow_are_black_and_white(function: str) -> None:
    for center, width in (("1.5", "1.0000000001"), ("128", "3e-308"), ("-1e308", "1e308")):
        elements = {"WindowCenter": center, "WindowWidth": width, "VOILUTFunction": function}
        rendered = render_pixels(dataset(gradient(), **elements))
        assert 0 <= rendered.min() <= rendered.max() <= 1


def test_many_short_rows_of_32_bits_take_no_longer_than_few_long_ones() -> None:
    """They were rendered row by row."""
    pixels = np.arange(1_000_000, dtype=np.uint32).reshape(500_000, 2)
    ds = dataset(pixels.reshape(1000, 1000))
    ds.add_new(0x00280010, "UL", 500_000)
    ds.Columns = 2
    with quick():
        rendered = render_pixels(ds)
    np.testing.assert_allclose(rendered, pixels / pixels.max(), atol=1e-6)


def png(rows: int, columns: int, depth: int, colour: int, body: bytes) -> bytes:
    header = struct.pack(">LLBBBBB", columns, rows, depth, colour, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, part in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b"")):
        check = zlib.crc32(kind + part).to_bytes(4, "big")
        data += len(part).to_bytes(4, "big") + kind + part + check
    return data


def test_an_image_that_would_take_too_much_memory_is_refused_before_it_is_decoded() -> None:
    """Channels and bytes count as well as pixels: 16 bits and alpha made 800 MB of 100 million."""
    thrice = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    deep = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}
    wide = dataset(gradient(), Rows=10_000, Columns=10_000, **thrice, **deep)
    jpeg = encode(np.stack([gradient()] * 3, axis=-1), J + "50")
    with small(20.0):
        for source in (to_bytes(wide), png(10_000, 10_000, 16, 6, zlib.compress(b""))):
            with pytest.raises(TooLargeError, match="decoded"):
                read_radiograph(source)
        with pytest.raises(TooLargeError, match="decoded"):
            read_radiograph(resized(jpeg, 3000, 3000), limits=Limits(max_bytes=20_000_000))


def test_countless_fragments_are_refused() -> None:
    item = b"\xfe\xff\x00\xe0\0\0\0\0"
    with quick(), pytest.raises(TooLargeError, match="fragments"):
        join_fragments(memoryview(item * 10 * MAX_FRAGMENTS))
    ds = compressed(gradient(), J + "80")
    ds.PixelData = item * (MAX_FRAGMENTS + 1)
    with pytest.raises(TooLargeError):
        read_radiograph(ds)


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_damaged_png_files_keep_no_memory() -> None:
    """imagecodecs holds on to the array of each: 20 MB for each of these files."""
    lines = b"".join(b"\0" + bytes(range(256)) * 20 for _ in range(4000))
    body = zlib.compress(lines, 1)
    damaged = png(4000, 5120, 8, 0, body[: -len(body) // 20] + b"\xff" * 400)

    def refused() -> None:
        with pytest.raises(TruncatedError, match="damaged"):
            read_radiograph(damaged)

    refused()
    before = resident_mb()
    for _ in range(10):
        refused()
    assert resident_mb() - before < 60


def test_jpeg_of_countless_scans_is_refused() -> None:
    """Each scan of a progressive stream is worked through over the whole image."""
    stream = encode(picture(8), J + "55")
    last = stream[stream.rindex(b"\xff\xda") : -2]
    many = stream[:-2] + last * 5000 + b"\xff\xd9"
    ds = compressed(picture(8), J + "55")
    ds.PixelData = encapsulate([many])
    for source in (ds, many):
        with quick(), pytest.raises(UnsupportedSyntaxError, match="100 scans"):
            read_radiograph(source)


WHOLE, CRASHING, FAILING = (0, 2, 5), 1, 4
"""Numbers of mutants that are read as bytes, with which the child process is made to fail."""


def unreliable(source: Any, **options: Any) -> Radiograph:
    """A reader that ends the process at one mutant and raises the wrong error at another."""
    if source == mutant(SEED, CRASHING).data:
        os.abort()
    if source == mutant(SEED, FAILING).data:
        raise KeyError(PATIENT_NAME)
    return read_radiograph(source, **options)


def test_a_mutant_that_crashes_or_fails_is_named_and_the_run_goes_on() -> None:
    assert not mutant(SEED, CRASHING).suffix
    assert not mutant(SEED, FAILING).suffix
    found = list(outcomes(Run(SEED, 0, 6, read=unreliable)))
    assert [outcome.number for outcome in found] == list(range(6))
    assert "crashes the process" in found[CRASHING].failure
    assert "raises KeyError" in found[FAILING].failure
    assert f"shows {PATIENT_NAME!r}" in found[FAILING].failure
    assert not [found[number].failure for number in WHOLE if found[number].failure]
