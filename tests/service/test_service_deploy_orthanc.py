"""Orthanc with the example of deploy/: it forwards chest radiographs, and nothing in a circle."""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import SecondaryCaptureImageStorage
from service_images import dataset
from service_tools import end_with_the_tests, free_port

from pleura.outputs.dicom.marks import MANUFACTURER, MODEL_NAME

DEPLOY = Path(__file__).parents[2] / "deploy" / "orthanc"
DEADLINE = 40


@dataclass(frozen=True)
class Routing:
    """Orthanc, and what stands for the node: a folder that everything sent to it lands in."""

    http_port: int
    dicom_port: int
    arrived: Path

    def store(self, image: FileDataset) -> None:
        """By Orthanc's own REST interface."""
        stream = BytesIO()
        image.save_as(stream, enforce_file_format=True)
        address = f"http://127.0.0.1:{self.http_port}/instances"
        urllib.request.urlopen(address, data=stream.getvalue(), timeout=20).close()

    def received(self) -> set[str]:
        """SOP Instance UIDs that have arrived whole."""
        return {
            str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)
            for path in self.arrived.iterdir()
            if not path.name.startswith(".")
        }

    def wait_for(self, uid: str) -> set[str]:
        """Orthanc sends one after the other: when this one is there, all before it are."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            try:
                found = self.received()
            except Exception:  # one is arriving just now
                found = set()
            if uid in found:
                return found
            time.sleep(0.05)
        pytest.fail(f"{uid} was not forwarded")


@pytest.fixture(scope="module")
def routing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routing]:
    programs = {name: shutil.which(name) for name in ("Orthanc", "storescp", "storescu")}
    missing = [name for name, found in programs.items() if found is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    folder = tmp_path_factory.mktemp("routing")
    arrived = folder / "arrived"
    arrived.mkdir()
    node_port = free_port()
    made = Routing(free_port(), free_port(), arrived)
    shutil.copy(DEPLOY / "pleura.lua", folder)
    configuration = json.loads((DEPLOY / "orthanc.json").read_text())
    configuration |= {
        "HttpPort": made.http_port,
        "DicomPort": made.dicom_port,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "AuthenticationEnabled": False,
        "RemoteAccessAllowed": False,
        "ConcurrentJobs": 1,
        "LuaScripts": [str(folder / "pleura.lua")],
    }
    configuration["DicomModalities"]["pleura"]["Port"] = node_port
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    commands = (
        ["storescp", "--output-directory", str(arrived), str(node_port)],
        ["Orthanc", str(folder / "orthanc.json")],
    )
    with (folder / "log").open("wb") as log:
        processes = [
            subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=end_with_the_tests())
            for command in commands
        ]
        try:
            _wait_until_up(made, processes, folder / "log")
            yield made
        finally:
            for process in processes:
                process.kill()
                process.wait(timeout=20)


def _wait_until_up(made: Routing, processes: "list[subprocess.Popen[bytes]]", log: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and all(one.poll() is None for one in processes):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{made.http_port}/system", timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"Orthanc did not start: {log.read_text(errors='replace')[-2000:]}")


def part(image: FileDataset, name: str) -> FileDataset:
    image.BodyPartExamined = name
    return image


def modality(image: FileDataset, name: str) -> FileDataset:
    image.Modality = name
    return image


def capture(image: FileDataset) -> FileDataset:
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    return modality(image, "OT")


def own(image: FileDataset) -> FileDataset:
    image.Manufacturer, image.ManufacturerModelName = MANUFACTURER, MODEL_NAME
    return image


FORWARDED: list[Callable[[FileDataset], FileDataset]] = [
    lambda image: image,
    lambda image: part(image, ""),
    lambda image: part(image, "THORAX PA"),
    lambda image: modality(image, "CR"),
    capture,
]
KEPT: list[Callable[[FileDataset], FileDataset]] = [
    lambda image: part(image, "HAND"),
    lambda image: modality(image, "CT"),
    lambda image: modality(image, "US"),
    lambda image: capture(part(image, "")),
    lambda image: capture(part(image, "SKULL")),
    own,
    lambda image: own(capture(image)),
]


def test_chest_radiographs_are_forwarded_and_nothing_else(routing: Routing) -> None:
    kept = [change(dataset(100 + number)) for number, change in enumerate(KEPT)]
    wanted = [change(dataset(200 + number)) for number, change in enumerate(FORWARDED)]
    for image in (*kept, *wanted):
        routing.store(image)
    arrived = routing.wait_for(wanted[-1].SOPInstanceUID)
    assert {image.SOPInstanceUID for image in wanted} <= arrived
    assert not arrived & {image.SOPInstanceUID for image in kept}


def test_what_comes_from_pleura_is_not_sent_back(routing: Routing, tmp_path: Path) -> None:
    """Whatever it looks like; and from others it is taken, or not, as the example says."""
    returned, sentinel = dataset(300), dataset(301)
    returned.save_as(tmp_path / "returned.dcm", enforce_file_format=True)
    assert store_by_dicom(routing, "PLEURA", tmp_path / "returned.dcm") == 0
    assert store_by_dicom(routing, "STRANGER", tmp_path / "returned.dcm") != 0
    routing.store(sentinel)
    assert returned.SOPInstanceUID not in routing.wait_for(sentinel.SOPInstanceUID)


def store_by_dicom(routing: Routing, caller: str, path: Path) -> int:
    command = ["storescu", "-aet", caller, "-aec", "ORTHANC", "127.0.0.1"]
    done = subprocess.run(
        [*command, str(routing.dicom_port), str(path)], capture_output=True, timeout=30, check=False
    )
    return done.returncode
