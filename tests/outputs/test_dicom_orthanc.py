"""A PACS takes the objects, gives them back unchanged, and shows them where they lie."""

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
from dataclasses import dataclass
from email import message_from_bytes
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from dicom_cases import NOW, film, predict, read, run
from dicom_maker import to_bytes
from pydicom.dataset import FileDataset

from pleura import Prediction, Predictor
from pleura.outputs import draw_overlay
from pleura.outputs.dicom.build import build
from pleura.outputs.dicom.options import DicomOptions, Kind
from pleura.outputs.overlay import CONTOUR

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


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """One server with its own folder and free ports; the tests are skipped where it is missing."""
    program = shutil.which("Orthanc")
    plugins = [found for folder in PLUGINS for found in folder.glob("libOrthancDicomWeb.so*")]
    if program is None or not plugins:
        pytest.skip("Orthanc with its DICOMweb plugin is not installed")
    folder = tmp_path_factory.mktemp("orthanc")
    server = Orthanc(free_port(), free_port())
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


@pytest.fixture(scope="module")
def source() -> bytes:
    """Orthanc renders images of one bit only where the bits of a row fill its bytes."""
    return to_bytes(film(columns=240))


@pytest.fixture(scope="module")
def prediction(predictor: Predictor, source: bytes) -> Prediction:
    return predict(predictor, source)


@pytest.fixture(scope="module")
def files(prediction: Prediction, source: bytes) -> dict[str, bytes]:
    options = DicomOptions(seg_written=True)
    made = {kind.value: build(kind, prediction, options, NOW) for kind in Kind}
    return {kind: data for kind, data in made.items() if data is not None} | {"source": source}


def test_takes_them_by_stow_and_gives_them_back_unchanged(
    orthanc: Orthanc, files: dict[str, bytes]
) -> None:
    answer = orthanc.store(*files.values())
    assert len(answer["00081199"]["Value"]) == len(files)
    assert not answer.get("00081198", {}).get("Value"), "some objects were refused"
    for kind, data in files.items():
        sent, got = read(data), orthanc.retrieve(read(data))
        assert got == sent, kind
        assert got.get_item("PatientName").value == sent.get_item("PatientName").value


def test_all_objects_are_in_the_source_s_study(orthanc: Orthanc, files: dict[str, bytes]) -> None:
    orthanc.store(*files.values())
    _, body = orthanc.ask("/studies?expand")
    (study,) = json.loads(body)
    assert len(study["Series"]) == len(files)
    assert study["PatientMainDicomTags"]["PatientName"] == "Quixote^Alonso"


def test_storing_again_changes_nothing(orthanc: Orthanc, files: dict[str, bytes]) -> None:
    orthanc.store(*files.values())
    before = orthanc.ask("/instances")[1]
    orthanc.store(*files.values())
    assert orthanc.ask("/instances")[1] == before


def test_takes_them_by_c_store(orthanc: Orthanc, predictor: Predictor, tmp_path: Path) -> None:
    """Of another study, so that they come this way and no other."""
    other = predict(predictor, film(StudyInstanceUID="1.2.3.9", PatientID="9"))
    sent = {}
    for kind in Kind:
        data = build(kind, other, DicomOptions(), NOW)
        assert data is not None
        sent[kind] = read(data)
        (tmp_path / f"{kind}.dcm").write_bytes(data)
    paths = sorted(tmp_path.glob("*.dcm"))
    run("storescu", "-R", "-aec", "ORTHANC", "127.0.0.1", orthanc.dicom_port, *paths)
    for kind, made in sent.items():
        assert orthanc.retrieve(made) == made, kind


def test_shows_the_overlay_where_the_mask_lies(
    orthanc: Orthanc, files: dict[str, bytes], prediction: Prediction
) -> None:
    orthanc.store(files["sc"], files["seg"])
    picture = orthanc.rendered(read(files["sc"]))
    assert (picture == draw_overlay(prediction)).all()
    mask = prediction.mask
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inner = cv2.erode(mask.astype(np.uint8), cross).astype(bool)
    contour = (picture == np.array(CONTOUR, np.uint8)).all(axis=2)
    assert contour[mask & ~inner].all()
    segment = orthanc.rendered(read(files["seg"]))
    assert ((segment > 0) == mask).all()
