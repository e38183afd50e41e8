"""Inputs, and runs as processes of their own that can be killed."""

import ctypes
import ipaddress
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
from pydicom.uid import UID

from pleura.phantom import draw, spec_for, to_dicom

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
ROOT = "2.25.8800"
SIDE = 224
COMMAND = (sys.executable, "-c", "from pleura.cli.main import main; main()", "batch")


@cache
def _base(side: int) -> bytes:
    return to_dicom(draw(replace(spec_for(5, False), rows=side, columns=side)))


def image(number: int, *, side: int = SIDE) -> bytes:
    """A DICOM radiograph of its own; even numbers are positive for the tiny model."""
    made = pydicom.dcmread(BytesIO(_base(side)))
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = UID(f"{ROOT}.{number}")
    pixels = np.frombuffer(made.PixelData, np.uint8).reshape(side, side) // 32
    if number % 2 == 0:
        pixels[40:100, 50:110] = 255
        pixels[side // 2 :, : side // 3] = 255
    pixels[0, :4] = np.frombuffer(number.to_bytes(4, "little"), np.uint8)
    made.PixelData = pixels.tobytes()
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def fill(folder: Path, count: int, *, distinct: int = 20, side: int = SIDE) -> Path:
    """A folder of `count` names of radiographs, in sub-folders, and of files that are none."""
    for number in range(count):
        path = folder / f"study-{number // 25:03d}" / f"image-{number:05d}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        first = folder / "study-000" / f"image-{number % distinct:05d}.dcm"
        if number < distinct:
            path.write_bytes(image(number, side=side))
        else:
            path.hardlink_to(first)
    (folder / "notes.txt").write_text("no radiograph")
    (folder / "study-000" / "empty.dcm").touch()
    (folder / "study-000" / "short.dcm").write_bytes(image(1)[:9000])
    return folder


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"} | more


def end_with_the_tests() -> None:
    """For `preexec_fn`: the process is killed when the tests die (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@contextmanager
def running(*arguments: str | Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """`pleura batch` as a process of its own."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=end_with_the_tests,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def run(*arguments: str | Path, status: int = 0, **more: str) -> str:
    """Run `pleura batch` to its end; what it printed."""
    with running(*arguments, **more) as process:
        said, _ = process.communicate(timeout=120)
    assert process.returncode == status, said
    assert "Traceback" not in said, said
    return said


def until(condition: Callable[[], Any], seconds: float = 60, what: str = "") -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.005)


def parts(output: Path) -> list[Path]:
    return sorted(output.glob("parts/*.parquet"))


def rows_of(output: Path) -> list[dict[str, Any]]:
    """All rows in the order of the parts, without what each run measures anew."""
    rows = [row for part in parts(output) for row in pq.read_table(part).to_pylist()]
    return [
        {name: value for name, value in row.items() if not name.endswith("_ms")} for row in rows
    ]


def children_of(pid: int) -> list[int]:
    """Processes that this one started and that still run (Linux)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def descendants(pid: int) -> list[int]:
    """A process and all that it and its children started (Linux)."""
    found = [pid]
    for one in found:
        found += children_of(one)
    return found


def listening(pids: list[int]) -> set[str]:
    """Addresses on which these processes wait for connections by TCP (Linux)."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            with suppress(OSError):
                inodes.add(str(link.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                words = bytes.fromhex(fields[1].partition(":")[0])
                swapped = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
                address = ipaddress.ip_address(swapped)
                found.add(str(getattr(address, "ipv4_mapped", None) or address))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
