"""An Orthanc server of the tests' own: free ports, a temporary folder, nothing left behind."""

import ctypes
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset

PLUGINS = (Path("/usr/share/orthanc/plugins"), Path("/usr/lib/orthanc"))
DICOM = 'multipart/related; type="application/dicom"'


@dataclass(frozen=True)
class Orthanc:
    """A server that runs for these tests alone."""

    http_port: int
    dicom_port: int

    def ask(
        self, path: str, accept: str = "*/*", body: bytes | None = None, sent: str = ""
    ) -> tuple[str, bytes]:
        """Content type and body of an answer."""
        headers = {"Accept": accept} | ({"Content-Type": sent} if sent else {})
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}{path}", data=body, headers=headers
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.headers["Content-Type"], answer.read()

    def store(self, *files: bytes) -> dict[str, Any]:
        """STOW-RS (PS3.18 10.5)."""
        parts = [
            b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n" for data in files
        ]
        _, answer = self.ask(
            "/dicom-web/studies",
            accept="application/dicom+json",
            body=b"".join(parts) + b"--edge--\r\n",
            sent=f"{DICOM}; boundary=edge",
        )
        return json.loads(answer)

    def retrieve(self, made: FileDataset) -> FileDataset:
        """WADO-RS (PS3.18 10.4)."""
        kind, body = self.ask(f"/dicom-web{path_of(made)}", accept=DICOM)
        message = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
        (part,) = message.get_payload()
        return pydicom.dcmread(BytesIO(part.get_payload(decode=True)))

    def rendered(self, made: FileDataset) -> np.ndarray:
        """A rendered instance (PS3.18 10.4.1.1.3), blue-green-red or grey."""
        _, png = self.ask(f"/dicom-web{path_of(made)}/rendered", accept="image/png")
        return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)


def path_of(made: FileDataset) -> str:
    return (
        f"/studies/{made.StudyInstanceUID}/series/{made.SeriesInstanceUID}"
        f"/instances/{made.SOPInstanceUID}"
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_with_the_tests() -> None:
    """No server is left behind by tests that are killed (Linux: PR_SET_PDEATHSIG is 1)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@contextmanager
def running_orthanc(
    folder: Path, server: Orthanc | None = None, **settings: Any
) -> Iterator[Orthanc]:
    """A server that runs meanwhile; the test is skipped where Orthanc is missing.

    Args:
        folder: for its storage, which stays; the server may be started again with it.
        server: its ports; None for free ones.
        settings: further ones of its configuration.
    """
    program = shutil.which("Orthanc")
    plugins = [found for place in PLUGINS for found in place.glob("libOrthancDicomWeb.so*")]
    if program is None or not plugins:
        pytest.skip("Orthanc with its DICOMweb plugin is not installed")
    server = server or Orthanc(free_port(), free_port())
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "orthanc.json"
    configuration.write_text(
        json.dumps(
            {
                "Name": "Pleura's tests",
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "storage"),
                "HttpPort": server.http_port,
                "DicomPort": server.dicom_port,
                "DicomAet": "ORTHANC",
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False,
                "Plugins": [str(plugins[0])],
                "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
                **settings,
            }
        )
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, str(configuration)], stdout=log, stderr=log, preexec_fn=end_with_the_tests
        )
        try:
            wait_for(server, process, folder / "log")
            yield server
        finally:
            process.kill()  # nothing of it is kept
            process.wait(timeout=20)


def wait_for(server: Orthanc, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            server.ask("/system")
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"Orthanc did not start: {log.read_text(errors='replace')[-2000:]}")
