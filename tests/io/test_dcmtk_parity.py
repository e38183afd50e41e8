"""The pixel path against dcmtk's own rendering: the same picture within a stated tolerance.

Tolerances, on a scale from 0 (black) to 1 (white):

- `EXACT` (two steps of 16 bits) where the modality values are whole numbers;
- `ROUNDED` (one and a half steps of 8 bits) where Rescale Slope or Intercept has a fraction,
  because dcmtk rounds modality values to whole numbers before it applies the window;
- one step of the table or of the 8 stored bits where a VOI LUT or no VOI is applied, because dcmtk
  divides by the number of steps there where Pleura divides by the largest value.
"""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dcmtk_cases import CASES, EXACT, ROUNDED, SHALLOW, STEP_OF_8_BITS, Case
from dcmtk_reference import rendering, require
from dicom_maker import CR, J, big_endian, compressed, dataset, gradient, to_bytes
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from pleura.errors import PleuraError
from pleura.io import Limits, VoiChoice, render_pixels
from pleura.io import tags as t
from pleura.io.dicom_file import DicomObject, parse_dicom
from pleura.io.render import render

PADDING = "dcmtk shows padding values like any other; Pleura shows them black, outside the range"
UNKNOWN_VR = "the window stands in elements of VR UN, which dcmtk does not read as numbers"
TINY_SLOPE = "Rescale Slope 5.9e-8: dcmtk rounds every modality value to 0"
SWAPPED_32 = "dcmtk exchanges the bytes of 32-bit big endian cells as if they had 16 bits"
ODD_LENGTH = (
    "an odd number of 8-bit pixels: dcmtk takes the byte after the last for the least value"
)

EXPLAINED = {
    ("other_2021-02-19-MalaterreCP246.dcm", "window"): UNKNOWN_VR,
    ("other_GH610.dcm", "range"): TINY_SLOPE,
    ("other_MR3_JLSN.dcm", "range"): PADDING,
    ("other_MR3_JLSN.dcm", "window"): PADDING,
    ("other_MR3_JPLY.dcm", "range"): PADDING,
    ("other_MR3_JPLY.dcm", "window"): PADDING,
    ("other_rtdose_expb_1frame.dcm", "range"): SWAPPED_32,
    ("radiograph_dx_image.dcm", "range"): ODD_LENGTH,
}
"""All disagreements on the public files, each with its reason; also listed in docs/reading.md."""

WITH_DCMTK = 60
"""At least so many of the public files are decoded by both."""


def choices_for(file: Path) -> list[tuple[VoiChoice, list[str], bool]]:
    """VOI transformations that both can be told to apply: choice, dcmtk's options, 16 bits."""
    try:
        header = parse_dicom(file.read_bytes(), Limits()).header
    except PleuraError:
        return []
    if (header.integer(t.ROWS) or 0) > 1200:
        return [(VoiChoice.WINDOW, ["+Wi", "1"], True)]  # one is enough, for the sake of time
    choices = [(VoiChoice.RANGE, ["+Wm"], True)]
    if header.decimals(t.WINDOW_WIDTH):
        choices.append((VoiChoice.WINDOW, ["+Wi", "1"], True))
    # Without a window dcmtk shifts values to the depth of its output: alike for 8 bits only.
    if header.integer(t.BITS_STORED) == 8:
        choices.append((VoiChoice.FULL, ["-W"], False))
    return choices


def tolerance(source: DicomObject, choice: VoiChoice) -> float:
    if choice is VoiChoice.FULL:
        return STEP_OF_8_BITS
    numbers = [
        *source.header.decimals(t.RESCALE_SLOPE),
        *source.header.decimals(t.RESCALE_INTERCEPT),
    ]
    return EXACT if all(float(number).is_integer() for number in numbers) else ROUNDED


@pytest.mark.real_data
@pytest.mark.timeout(900)
def test_public_files_look_as_dcmtk_shows_them(real_data: Path, tmp_path: Path) -> None:
    compared: set[str] = set()
    differing: set[tuple[str, str]] = set()
    for file in sorted((real_data / "dicom_cases").glob("*.dcm")):
        for choice, options, deep in choices_for(file):
            source = parse_dicom(file.read_bytes(), Limits())
            try:
                ours = render(source, voi=choice).pixels
            except PleuraError:
                break
            theirs = rendering(file, options, tmp_path, deep=deep)
            if theirs is None:
                break
            compared.add(file.name)
            assert ours.shape == theirs.shape, file.name
            if np.abs(ours - theirs).max() > tolerance(source, choice):
                differing.add((file.name, choice.value))
    assert differing == set(EXPLAINED)
    assert len(compared) >= WITH_DCMTK


def check(file: Path, case: Case, scratch: Path) -> None:
    theirs = rendering(file, case.options, scratch, deep=case.deep)
    assert theirs is not None, "dcmtk cannot decode the file"
    ours = render_pixels(dcmread(file))
    assert np.unique(theirs).size > 1
    assert np.abs(ours - theirs).max() <= case.bound


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_made_files_look_as_dcmtk_shows_them(case: Case, tmp_path: Path) -> None:
    file = tmp_path / "made.dcm"
    file.write_bytes(to_bytes(dataset(case.pixels, **case.elements)))
    check(file, case, tmp_path)


@pytest.mark.parametrize("encoding", ["implicit", "big"])
def test_native_encodings_look_as_dcmtk_shows_them(encoding: str, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "both-luts-inverted")
    ds = dataset(case.pixels, **case.elements)
    file = tmp_path / "made.dcm"
    if encoding == "big":
        file.write_bytes(big_endian(ds))
    else:
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        file.write_bytes(to_bytes(ds, implicit_vr=True, little_endian=True))
    check(file, case, tmp_path)


@pytest.mark.parametrize("syntax", [J + "50", J + "70", J + "80", str(RLELossless)])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_streams_of_imagecodecs_look_as_dcmtk_shows_them(
    syntax: str, photometric: str, tmp_path: Path
) -> None:
    elements = {"PhotometricInterpretation": photometric}
    file = tmp_path / "made.dcm"
    file.write_bytes(to_bytes(compressed(SHALLOW, syntax, **elements)))
    case = Case(syntax, SHALLOW, ["-W"], elements, deep=False, bound=STEP_OF_8_BITS)
    check(file, case, tmp_path)


@pytest.mark.parametrize(
    ("tool", "options", "bits"),
    [
        ("dcmcjpeg", ["+eb", "+q", "85"], 8),  # baseline
        ("dcmcjpeg", ["+ee", "+q", "85"], 12),  # extended
        ("dcmcjpeg", ["+es", "+q", "85"], 12),  # spectral selection
        ("dcmcjpeg", ["+ep", "+q", "85"], 12),  # progressive
        ("dcmcjpeg", ["+el"], 12),  # lossless
        ("dcmcjpeg", ["+e1"], 16),  # lossless, first predictor
        ("dcmcjpls", ["+el"], 12),
        ("dcmcjpls", ["+en"], 12),
        ("dcmcrle", [], 16),
    ],
)
def test_streams_of_dcmtk_look_as_dcmtk_shows_them(
    tool: str, options: list[str], bits: int, tmp_path: Path
) -> None:
    pixels = gradient(60, 80, 0, (1 << bits) - 1, np.uint8 if bits == 8 else np.uint16)
    elements: dict[str, Any] = {
        "BitsStored": bits,
        "WindowCenter": float(1 << (bits - 1)),
        "WindowWidth": float(1 << bits),
        "SOPClassUID": CR,
    }
    plain, file = tmp_path / "plain.dcm", tmp_path / "made.dcm"
    plain.write_bytes(to_bytes(dataset(pixels, **elements)))
    subprocess.run([require(tool), *options, str(plain), str(file)], check=True, timeout=60)
    case = Case(tool, pixels, ["+Wi", "1"], elements)
    check(file, case, tmp_path)
