"""What reading costs before the first byte is read."""

import subprocess
import sys
from pathlib import Path

import imagecodecs
from dicom_maker import gradient


def modules_after(code: str) -> set[str]:
    """Names of the top-level modules that a fresh interpreter holds after running the code."""
    report = "\nimport sys; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, check=True, text=True
    )
    return set(done.stdout.split())


def test_the_room_itself_needs_no_codec_and_no_dicom_library() -> None:
    loaded = modules_after("import pleura.io")
    assert "numpy" in loaded
    assert not loaded & {"pydicom", "cv2", "imagecodecs", "torch", "pandas", "matplotlib"}


def test_a_raster_file_is_read_without_the_dicom_library(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(bytes(imagecodecs.png_encode(gradient())))
    loaded = modules_after(f"from pleura.io import read_radiograph; read_radiograph({str(file)!r})")
    assert "imagecodecs" in loaded
    assert not loaded & {"pydicom", "torch", "pandas"}
