"""Decoded values are GDCM's, on every compressed syntax that it decodes, JPEG 2000 among them.

Equal in lossy codes too, with GDCM 3.2.6: its copies of libjpeg and OpenJPEG round alike.

GDCM is no dependency: where it is installed pydicom prefers it, and it ends the process on some
inputs. `pip install python-gdcm` turns these tests on.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from dicom_maker import J, compressed, to_bytes
from gdcm_reference import decoded
from mutant_sources import RLE, picture

from pleura.errors import PleuraError
from pleura.io import Limits
from pleura.io.dicom_file import NATIVE, parse_dicom
from pleura.io.layout import read_layout
from pleura.io.render import values_of
from pleura.io.stored import stored_pixels

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gdcm") is None, reason="GDCM is not installed"
)

DEPTHS = {"50": (8,), "51": (12,), "81": (8, 12), "90": (8, 10, 12, 16), "91": (8, 12, 16)}
WITH_GDCM = 40
"""At least so many of the public files are decoded by both."""


def ours(data: bytes) -> tuple[np.ndarray, str]:
    """Stored values, and the transfer syntax."""
    source = parse_dicom(data, Limits())
    stored = stored_pixels(source, read_layout(source.header, Limits()))
    return values_of(stored.cells.astype(np.int64), stored), source.transfer_syntax


@pytest.mark.parametrize(
    ("end", "bits"),
    [(end, bits) for end, depths in DEPTHS.items() for bits in depths]
    + [(end, bits) for end in ("57", "70", "80", RLE) for bits in (8, 10, 12, 16)],
)
def test_made_files_decode_as_gdcm_decodes_them(end: str, bits: int, tmp_path: Path) -> None:
    syntax = end if end == RLE else J + end
    file = tmp_path / "made.dcm"
    file.write_bytes(to_bytes(compressed(picture(bits), syntax, bits=bits)))
    theirs = decoded(file, tmp_path)
    assert theirs is not None
    mine, _ = ours(file.read_bytes())
    np.testing.assert_array_equal(mine, theirs)


@pytest.mark.real_data
@pytest.mark.timeout(900)
def test_public_files_decode_as_gdcm_decodes_them(real_data: Path, tmp_path: Path) -> None:
    compared: set[str] = set()
    differing: set[str] = set()
    for file in sorted((real_data / "dicom_cases").glob("*.dcm")):
        try:
            mine, syntax = ours(file.read_bytes())
        except PleuraError:
            continue
        theirs = None if syntax in NATIVE else decoded(file, tmp_path)
        if theirs is None:
            continue
        compared.add(file.name)
        if not np.array_equal(mine, theirs):
            differing.add(file.name)
    assert differing == set()
    assert len(compared) >= WITH_GDCM
