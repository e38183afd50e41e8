"""dcmtk's own rendering of a DICOM file, as a reference that shares no code with Pleura."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

VIEWERS = ("dcm2img", "dcmj2pnm", "dcml2pnm")
"""dcmtk 3.6.9 has one tool for all codecs; before, one for JPEG and RLE and one for JPEG-LS."""


def require(tool: str) -> str:
    """Path of a dcmtk tool; the test is skipped by name without it."""
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"dcmtk's {tool} is not installed")
    return found


def viewers() -> list[str]:
    """Paths of the rendering tools that are installed."""
    found = [path for path in map(shutil.which, VIEWERS) if path]
    if not found:
        pytest.skip("dcmtk is not installed: neither dcm2img nor dcmj2pnm")
    return found


def rendering(file: Path, options: list[str], scratch: Path, *, deep: bool) -> np.ndarray | None:
    """What dcmtk shows, in [0, 1]; None where it cannot decode the file or shows colours.

    Args:
        file: the DICOM file.
        options: of the VOI transformation, such as `+Wi 1`.
        scratch: a folder to write to.
        deep: 16 bits of output instead of 8.
    """
    target = scratch / "dcmtk.pgm"
    for viewer in viewers():
        target.unlink(missing_ok=True)
        command = [
            viewer,
            "-q",
            "-O",
            *options,
            "+opw" if deep else "+op",
            str(file),
            str(target),
        ]
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
        if done.returncode == 0 and target.is_file() and target.stat().st_size:
            return _read_pgm(target.read_bytes())
    return None


def _read_pgm(data: bytes) -> np.ndarray | None:
    """Pixels in [0, 1] of a portable greymap in text (P2) or bytes (P5); None for colours."""
    head = re.match(rb"(P\d)\s+(?:#.*\n)*(\d+)\s+(\d+)\s+(\d+)\s", data)
    assert head is not None
    if head[1] not in (b"P2", b"P5"):
        return None
    columns, rows, top = (int(number) for number in head.group(2, 3, 4))
    body = data[head.end() :]
    pixels = np.fromstring(body, sep=" ") if head[1] == b"P2" else np.frombuffer(body, np.uint8)
    return pixels.reshape(rows, columns) / top
