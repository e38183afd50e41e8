"""The whole way with a real PACS: Orthanc forwards, Pleura answers, the results lie in Orthanc."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dicom_peer import node_settings, tool
from pydicom.dataset import FileDataset
from service_images import dataset, image
from service_tools import until

from orthanc_server import Orthanc, free_port, running_orthanc
from pleura.service.delivery import deliver_once
from pleura.service.node import Node
from pleura.service.pull import Criteria, pull
from pleura.service.settings import Settings
from pleura.service.settings.destinations import DicomDestination, StowDestination
from pleura.service.settings.node import Peer
from pleura.service.store import DeliveryState, Job, State
from pleura.service.wiring import Service, open_service

DOCUMENTED = Path(__file__).parents[2] / "deploy" / "orthanc" / "pleura.lua"
EVERYTHING = """
function OnStoredInstance(instanceId, tags, metadata, origin)
   SendToModality(instanceId, 'pleura')
end
"""


@pytest.fixture(scope="module")
def node_port() -> int:
    return free_port()


@pytest.fixture(scope="module", params=["documented", "everything"])
def orthanc(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, node_port: int
) -> Iterator[Orthanc]:
    """Orthanc that forwards what it stores: by the documented script, or all that comes."""
    folder = tmp_path_factory.mktemp("orthanc")
    script = folder / "forward.lua"
    script.write_text(DOCUMENTED.read_text() if request.param == "documented" else EVERYTHING)
    settings = {
        "DicomModalities": {"pleura": ["PLEURA", "127.0.0.1", node_port]},
        "LuaScripts": [str(script)],
        "ConcurrentJobs": 1,  # what was sent last is forwarded last
        "OverwriteInstances": True,
    }
    with running_orthanc(folder, **settings) as server:
        yield server


def by_c_store(server: Orthanc) -> DicomDestination:
    return DicomDestination(
        name="c-store", kind="dicom", host="127.0.0.1", port=server.dicom_port, ae_title="ORTHANC"
    )


def by_stow(server: Orthanc) -> StowDestination:
    return StowDestination(
        name="stow", kind="stow", url=f"http://127.0.0.1:{server.http_port}/dicom-web"
    )


@pytest.fixture
def beside(settings: Settings, orthanc: Orthanc, node_port: int) -> Iterator[Service]:
    """A service with two ways to Orthanc, and the node."""
    destinations = (by_c_store(orthanc), by_stow(orthanc))
    service = open_service(settings.model_copy(update={"destinations": destinations}))
    peers = (Peer(ae_title="ORTHANC", address="127.0.0.1"),)
    with Node(node_settings(port=node_port, peers=peers, grace_seconds=0), service.intake):
        yield service
    service.close()


def deliver(service: Service, destination: str) -> None:
    """What waits for one of the destinations."""
    chosen = [one for one in service.settings.destinations if one.name == destination]
    settings = service.settings.model_copy(update={"destinations": tuple(chosen)})
    assert deliver_once(replace(service, settings=settings), "test")


def take_radiograph(orthanc: Orthanc, folder: Path, number: int) -> FileDataset:
    """As a modality does, by C-STORE."""
    path = folder / f"{number}.dcm"
    path.write_bytes(image(number))
    sent = tool("storescu", "-aec", "ORTHANC", "127.0.0.1", orthanc.dicom_port, path)
    assert sent.returncode == 0, sent.stderr
    return dataset(number)


def forwarded(service: Service, radiograph: FileDataset) -> Job:
    """The job of a radiograph, once Orthanc has sent it on."""

    def found() -> list[Job]:
        wanted = str(radiograph.StudyInstanceUID)
        return service.jobs.find(study_instance_uid=wanted)

    (job,) = until(found, seconds=40, what="Orthanc has sent it on")
    return job


def files_of_result(service: Service, job_id: str) -> dict[str, FileDataset]:
    outcome = service.jobs.get(job_id).outcome
    assert outcome is not None
    assert outcome.results is not None
    folder = service.files.results_path(outcome.results)
    return {path.stem: pydicom.dcmread(path) for path in folder.glob("*.dcm")}


def test_radiographs_go_round_and_their_results_come_to_lie_beside_them(
    orthanc: Orthanc, beside: Service, run_jobs: Callable[[Service], int], tmp_path: Path
) -> None:
    for number, way, other in ((11, "c-store", "stow"), (12, "stow", "c-store")):
        radiograph = take_radiograph(orthanc, tmp_path, number)
        job = forwarded(beside, radiograph)
        assert job.received.source == "dicom:ORTHANC"
        assert run_jobs(beside) == 1
        deliver(beside, way)
        made = files_of_result(beside, job.id)
        assert set(made) == {"seg", "sr", "sc"}
        for kind, delivered in made.items():
            assert orthanc.retrieve(delivered) == delivered, f"{kind} by {way}"
        assert series_of(orthanc, radiograph) == 4
        deliver(beside, other)  # once more: nothing is doubled
        assert series_of(orthanc, radiograph) == 4
        states = {one.state for one in beside.deliveries.of_job(job.id)}
        assert states == {DeliveryState.SENT}
    # Whatever Orthanc has sent on of the results by now, none of it became a job.
    last = take_radiograph(orthanc, tmp_path, 13)
    assert forwarded(beside, last).state is State.RECEIVED
    assert run_jobs(beside) == 1
    assert len(beside.jobs.find()) == 3


def series_of(orthanc: Orthanc, radiograph: FileDataset) -> int:
    _, body = orthanc.ask("/studies?expand")
    (study,) = (
        study
        for study in json.loads(body)
        if study["MainDicomTags"]["StudyInstanceUID"] == radiograph.StudyInstanceUID
    )
    return len(study["Series"])


def test_what_was_missed_is_pulled(orthanc: Orthanc, service: Service, tmp_path: Path) -> None:
    """The node was not there when Orthanc wanted to send it."""
    missed = take_radiograph(orthanc, tmp_path, 31)
    study = str(missed.StudyInstanceUID)
    for fetched, known in ((1, 0), (0, 1)):
        tally = pull(service, by_stow(orthanc), Criteria(study_instance_uid=study))
        assert (tally.fetched, tally.known, tally.exit_status) == (fetched, known, 0)
    (job,) = service.jobs.find()
    stored = pydicom.dcmread(service.files.input_path(job.received.sha256))
    assert stored == missed


def test_a_search_of_orthanc_with_every_filter(
    orthanc: Orthanc, service: Service, tmp_path: Path
) -> None:
    for number, elements in (
        (41, {"StudyDate": "20310101", "PatientAge": "012Y"}),
        (42, {"StudyDate": "20310102", "PatientAge": "045Y"}),
        (43, {"StudyDate": "20310103", "Modality": "CR"}),
    ):
        made = dataset(number)
        for keyword, value in elements.items():
            setattr(made, keyword, value)
        path = tmp_path / f"{number}.dcm"
        made.save_as(path, enforce_file_format=True)
        orthanc.store(path.read_bytes())

    def found(**criteria: Any) -> set[str]:
        limits = {"from_date": date(2031, 1, 1), "to_date": date(2031, 12, 31)}
        pull(service, by_stow(orthanc), Criteria(**(limits | criteria)))
        return {job.received.sop_instance_uid[-2:] for job in service.jobs.find()}

    assert found(modalities=("CR",)) == {"43"}
    assert found(modalities=("DX",), age_min=18) == {"42", "43"}
    assert found(to_date=date(2031, 1, 1)) == {"41", "42", "43"}
