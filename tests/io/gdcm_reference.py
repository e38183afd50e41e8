"""GDCM's own decoding of a DICOM file, as a reference that shares no code with Pleura.

A program of its own, because GDCM ends the process on some damaged files:
`python gdcm_reference.py FILE TARGET.npy`.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

CODES = {"UINT8": "u1", "INT8": "i1", "UINT12": "u2", "INT12": "i2", "UINT16": "u2", "INT16": "i2"}


def decoded(file: Path, scratch: Path) -> np.ndarray | None:
    """GDCM's values, (rows, columns); None where it does not decode one grey frame."""
    target = scratch / "gdcm.npy"
    target.unlink(missing_ok=True)
    command = [sys.executable, __file__, str(file), str(target)]
    subprocess.run(command, capture_output=True, check=False, timeout=60)
    return np.load(target) if target.is_file() else None


def main() -> None:
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(sys.argv[1])
    if not reader.Read():
        return
    image = reader.GetImage()
    kind = image.GetPixelFormat()
    code = CODES.get(kind.GetScalarTypeAsString())
    if code is None or image.GetNumberOfDimensions() != 2 or kind.GetSamplesPerPixel() != 1:
        return
    buffer = image.GetBuffer().encode("utf-8", "surrogateescape")
    columns, rows = image.GetDimension(0), image.GetDimension(1)
    np.save(sys.argv[2], np.frombuffer(buffer, code).reshape(rows, columns))


if __name__ == "__main__":
    main()
