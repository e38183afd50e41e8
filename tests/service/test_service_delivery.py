"""Results arrive at each destination, whole and once, or it is said why not."""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from dicom_peer import SC, SR, files_of, node_settings, tool
from pydicom.uid import ImplicitVRLittleEndian
from service_images import image
from service_receivers import receiving
from service_tools import end_with_the_tests, free_port, until

from pleura.service.child import Stop
from pleura.service.delivery import deliver_forever, deliver_once
from pleura.service.judge import Judge
from pleura.service.node import Node
from pleura.service.recipe import load_predictor
from pleura.service.settings import Settings
from pleura.service.settings.destinations import Destination, DicomDestination, StowDestination
from pleura.service.settings.storage import StorageSettings
from pleura.service.settings.tls import ClientTls
from pleura.service.settings.work import ModelSettings
from pleura.service.store import Delivery, DeliveryState, Job
from pleura.service.wiring import Service, open_service

Judged = Callable[..., tuple[Service, Job]]


def pacs(port: int, name: str = "pacs", **changed: Any) -> DicomDestination:
    options: dict[str, Any] = {"host": "127.0.0.1", "port": port, "ae_title": "PACS"}
    options |= {"connect_seconds": 5, "response_seconds": 5} | changed
    return DicomDestination(name=name, kind="dicom", **options)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A data folder with a job that is done, to be copied: judging takes longest."""
    folder = tmp_path_factory.mktemp("done")
    settings = Settings(
        storage=StorageSettings(folder=folder, reserve_gib=0.01),
        model=ModelSettings(model=str(tiny_model), threads=1),
    )
    service = open_service(settings)
    hand_in(service, image(1))
    predictor = load_predictor(settings.model)
    judge = Judge(predictor, service.recipe, service.files, service.jobs, settings.worker, "before")
    judge.work()
    service.close()
    return folder


def hand_in(service: Service, content: bytes) -> Job:
    with service.intake.open() as spooled:
        spooled.write(content)
        return service.intake.take(spooled, name="", source="test")


@pytest.fixture
def judged(
    settings: Settings, done: Path, run_jobs: Callable[[Service], int]
) -> Iterator[Callable[..., tuple[Service, Job]]]:
    """A service with these destinations, and a job that is done."""
    opened: list[Service] = []
    shutil.copytree(done, settings.storage.folder)

    def make(
        *destinations: Destination, content: bytes | None = None, **worker: Any
    ) -> tuple[Service, Job]:
        changed = settings.worker.model_copy(update=worker)
        service = open_service(
            settings.model_copy(update={"destinations": destinations, "worker": changed})
        )
        opened.append(service)
        job = hand_in(service, image(1) if content is None else content)
        if content is not None:
            run_jobs(service)
        return service, service.jobs.get(job.id)

    yield make
    for service in opened:
        service.close()


def objects(service: Service, job: Job) -> dict[str, pydicom.FileDataset]:
    assert job.outcome is not None
    assert job.outcome.results is not None
    folder = service.files.results_path(job.outcome.results)
    return {path.stem: pydicom.dcmread(path) for path in folder.glob("*.dcm")}


def delivery_of(service: Service, job: Job) -> Delivery:
    (delivery,) = service.deliveries.of_job(job.id)
    return delivery


def code_of(delivery: Delivery) -> str | None:
    return None if delivery.failure is None else delivery.failure.code


@contextmanager
def delivering(service: Service) -> Iterator[Stop]:
    """`deliver_forever` in a thread."""
    stop = Stop()
    thread = threading.Thread(target=deliver_forever, args=(service, stop))
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def test_all_objects_arrive_as_they_are(judged: Judged) -> None:
    with receiving() as receiver:
        service, job = judged(pacs(receiver.port))
        assert deliver_once(service, "me")
        assert not deliver_once(service, "me")
    made = objects(service, job)
    assert set(made) == {"seg", "sr", "sc"}
    assert receiver.received == [made["seg"], made["sr"], made["sc"]]
    assert delivery_of(service, job).state is DeliveryState.SENT


def test_dcmtk_takes_them(judged: Judged, tmp_path: Path) -> None:
    program = shutil.which("storescp")
    if program is None:
        pytest.skip("dcmtk's storescp is not installed")
    port, folder = free_port(), tmp_path / "arrived"
    folder.mkdir()
    command = [program, "-aet", "PACS", "-od", str(folder), "+B", str(port)]
    with subprocess.Popen(command, preexec_fn=end_with_the_tests()) as receiver:
        until(lambda: tool("echoscu", "-aec", "PACS", "127.0.0.1", port).returncode == 0)
        service, job = judged(pacs(port))
        deliver_once(service, "me")
        receiver.kill()
    assert delivery_of(service, job).state is DeliveryState.SENT
    arrived = {pydicom.dcmread(path).SOPInstanceUID: path for path in files_of(folder)}
    for made in objects(service, job).values():
        assert pydicom.dcmread(arrived.pop(made.SOPInstanceUID)) == made
    assert not arrived


def test_a_receiver_of_implicit_vr_gets_that(judged: Judged) -> None:
    with receiving(syntax=ImplicitVRLittleEndian) as receiver:
        service, job = judged(pacs(receiver.port))
        deliver_once(service, "me")
    for got, kind in zip(receiver.received, ("seg", "sr", "sc"), strict=True):
        made = objects(service, job)[kind]
        made["PixelData" if kind != "sr" else "PatientID"].VR = got[
            "PixelData" if kind != "sr" else "PatientID"
        ].VR
        assert got == made, kind
    assert receiver.received[0].file_meta.TransferSyntaxUID == ImplicitVRLittleEndian


def test_a_destination_gets_the_objects_that_are_set_for_it(judged: Judged) -> None:
    with receiving() as receiver:
        service, job = judged(pacs(receiver.port, objects=("sc", "sr")))
        deliver_once(service, "me")
    assert receiver.received == [objects(service, job)["sr"], objects(service, job)["sc"]]
    assert delivery_of(service, job).state is DeliveryState.SENT


def test_a_negative_has_no_segmentation_and_is_delivered_all_the_same(judged: Judged) -> None:
    with receiving() as receiver:
        service, job = judged(
            pacs(receiver.port, objects=("seg",)), content=image(2, positive=False)
        )
        assert job.outcome is not None
        assert job.outcome.present is False
        deliver_once(service, "me")
    assert not receiver.received
    assert delivery_of(service, job).state is DeliveryState.SENT


def test_warnings_mean_that_an_object_was_taken(judged: Judged) -> None:
    with receiving(0xB000, 0xB000) as receiver:
        service, job = judged(pacs(receiver.port))
        deliver_once(service, "me")
    assert len(receiver.received) == 3
    assert delivery_of(service, job).state is DeliveryState.SENT


def test_what_was_refused_is_sent_again_with_the_same_uids(judged: Judged) -> None:
    with receiving(0, 0xA700) as receiver:
        service, job = judged(pacs(receiver.port))
        deliver_once(service, "me")
        waiting = delivery_of(service, job)
        assert waiting.state is DeliveryState.WAITING
        assert code_of(waiting) == "destination_refused"
        assert waiting.failure is not None
        assert waiting.failure.message == "2 of 3 objects were taken (status A700)."
        until(lambda: deliver_once(service, "me"))
    assert delivery_of(service, job).state is DeliveryState.SENT
    assert len({made.SOPInstanceUID for made in receiver.received}) == 3
    assert len(receiver.received) == 5


def test_a_class_that_is_never_taken_is_final_and_the_others_arrive(judged: Judged) -> None:
    with receiving(classes=(SR, SC)) as receiver:
        service, job = judged(pacs(receiver.port))
        deliver_once(service, "me")
    assert len(receiver.received) == 2
    given_up = delivery_of(service, job)
    assert given_up.state is DeliveryState.FAILED
    assert code_of(given_up) == "destination_unsupported"
    assert given_up.failure is not None
    assert given_up.failure.message == "2 of 3 objects were taken (class not accepted)."


def test_status_0122_is_final(judged: Judged) -> None:
    with receiving(0x0122) as receiver:
        service, job = judged(pacs(receiver.port))
        deliver_once(service, "me")
    assert delivery_of(service, job).state is DeliveryState.FAILED


def test_a_rejected_association_is_tried_again(judged: Judged) -> None:
    with receiving(ae_title="OTHER") as receiver:
        service, job = judged(pacs(receiver.port))
        deliver_once(service, "me")
    waiting = delivery_of(service, job)
    assert (waiting.state, code_of(waiting)) == (DeliveryState.WAITING, "destination_not_admitted")
    assert waiting.failure is not None
    assert "Called AE title not recognised" in waiting.failure.message


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_nobody_there_is_tried_again_until_the_tries_are_used_up(judged: Judged, host: str) -> None:
    service, job = judged(pacs(free_port(), host=host), delivery_attempts=2, retry_seconds=0.01)
    for state in (DeliveryState.WAITING, DeliveryState.FAILED):
        until(lambda: deliver_once(service, "me"))
        ended = delivery_of(service, job)
        assert (ended.state, code_of(ended)) == (state, "destination_unreachable")


class Mute:
    """A server that takes connections, says something or nothing, and then is silent."""

    def __init__(self, greeting: bytes = b"") -> None:
        self._greeting = greeting
        self._server = socket.create_server(("127.0.0.1", 0))
        self._held: list[socket.socket] = []
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._held.append(connection)
            connection.sendall(self._greeting)

    def __enter__(self) -> "Mute":
        return self

    def __exit__(self, *_: object) -> None:
        if self._server.fileno() >= 0:
            self.end()

    def end(self) -> None:
        """Cut every connection."""
        self._server.shutdown(socket.SHUT_RDWR)  # a close alone leaves `accept` waiting
        self._server.close()
        for connection in self._held:
            connection.close()


@pytest.mark.parametrize(
    "greeting",
    [b"", b"\2\0\0\0\2\0", b"\2\0\0\0\0\x04\0\1\0\0", b"HTTP/1.0 400 Bad Request\r\n\r\n"],
)
def test_a_server_that_is_silent_or_says_half_does_not_hold_it_up(
    judged: Judged, greeting: bytes
) -> None:
    with Mute(greeting) as server:
        service, job = judged(pacs(server.port, connect_seconds=0.5, response_seconds=0.5))
        began = time.monotonic()
        deliver_once(service, "me")
        assert time.monotonic() - began < 5
        assert code_of(delivery_of(service, job)) == "destination_unreachable"


def test_a_server_that_takes_an_object_and_then_says_nothing(judged: Judged) -> None:
    with receiving(slow_seconds=1.5) as receiver:
        service, job = judged(pacs(receiver.port, response_seconds=0.3))
        began = time.monotonic()
        deliver_once(service, "me")
        assert time.monotonic() - began < 5
        assert code_of(delivery_of(service, job)) == "destination_unreachable"


@pytest.mark.parametrize("kind", ["dicom", "stow"])
def test_a_certificate_that_is_not_there_is_said_and_tried_again(judged: Judged, kind: str) -> None:
    nowhere = Path("nowhere.pem")
    tls = ClientTls(ca=nowhere, certificate=nowhere, key=nowhere)
    one: Destination = pacs(free_port(), tls=tls)
    if kind == "stow":
        one = StowDestination(name="web", kind="stow", url="https://127.0.0.1:1", tls=tls)
    service, job = judged(one)
    assert deliver_once(service, "me")
    waiting = delivery_of(service, job)
    assert waiting.state is DeliveryState.WAITING
    assert code_of(waiting) == {"dicom": "settings", "stow": "destination_unreachable"}[kind]


def test_a_dead_destination_does_not_delay_the_others(judged: Judged) -> None:
    with Mute() as server, receiving() as receiver:
        dead = pacs(server.port, "dead", connect_seconds=30, response_seconds=30)
        service, job = judged(dead, pacs(receiver.port, "alive"))
        began = time.monotonic()
        with delivering(service):
            until(lambda: len(receiver.received) == 3, seconds=10)
            until(lambda: states(service, job)["alive"] is DeliveryState.SENT)
            assert time.monotonic() - began < 10
            assert states(service, job)["dead"] is DeliveryState.SENDING
            server.end()


def states(service: Service, job: Job) -> dict[str, DeliveryState]:
    return {found.destination: found.state for found in service.deliveries.of_job(job.id)}


def test_one_association_serves_what_waits(
    judged: Judged, run_jobs: Callable[[Service], int]
) -> None:
    with receiving() as receiver:
        service, _ = judged(pacs(receiver.port))
        for number in (2, 3, 4):
            hand_in(service, image(number))
        run_jobs(service)
        with delivering(service):
            until(lambda: service.deliveries.counts().get(("pacs", DeliveryState.SENT)) == 4)
        assert receiver.associations == 1
    assert len(receiver.received) == 12


def test_while_nobody_answers_other_deliveries_keep_their_tries(
    judged: Judged, run_jobs: Callable[[Service], int]
) -> None:
    service, _ = judged(pacs(free_port()), retry_seconds=2)
    for number in (2, 3, 4, 5, 6):
        hand_in(service, image(number))
    run_jobs(service)
    with delivering(service):
        until(lambda: any(job_tries(service)))
        time.sleep(0.5)
    assert sum(job_tries(service)) == 1


def job_tries(service: Service) -> list[int]:
    found = [service.deliveries.of_job(job.id) for job in service.jobs.find()]
    return [delivery.attempts for deliveries in found for delivery in deliveries]


def test_a_delivery_of_a_process_that_died_is_taken_over(judged: Judged) -> None:
    with receiving() as receiver:
        service, job = judged(pacs(receiver.port), lease_seconds=0.1)
        claimed = service.deliveries.claim("dead", ["pacs"])
        assert claimed is not None
        assert until(lambda: deliver_once(service, "me"))
        assert delivery_of(service, job).state is DeliveryState.SENT
        assert delivery_of(service, job).attempts == 2
    assert len(receiver.received) == 3


def test_what_is_on_its_way_is_given_back_when_the_time_to_stop_runs_out(judged: Judged) -> None:
    with Mute() as server:
        service, job = judged(pacs(server.port, connect_seconds=30))
        with delivering(service) as stop:
            until(lambda: delivery_of(service, job).state is DeliveryState.SENDING)
            stop.set()
            stop.last_words()
            given_back = delivery_of(service, job)
            assert (given_back.state, given_back.attempts) == (DeliveryState.WAITING, 0)
            server.end()


def png() -> bytes:
    rows, columns = np.mgrid[0:300, 0:260]
    done, content = cv2.imencode(".png", ((rows + columns) // 3).astype(np.uint8))
    assert done
    return content.tobytes()


def test_a_picture_without_a_header_has_nothing_to_deliver(judged: Judged) -> None:
    service, job = judged(pacs(free_port()), content=png())
    deliver_once(service, "me")
    given_up = delivery_of(service, job)
    assert (given_up.state, code_of(given_up)) == (DeliveryState.FAILED, "nothing_to_deliver")


def test_results_that_are_gone_are_named(judged: Judged) -> None:
    service, job = judged(pacs(free_port()))
    assert job.outcome is not None
    assert job.outcome.results is not None
    service.files.remove_results(job.outcome.results)
    deliver_once(service, "me")
    given_up = delivery_of(service, job)
    assert (given_up.state, code_of(given_up)) == (DeliveryState.FAILED, "results_missing")


def test_results_that_a_node_of_its_own_gets_make_no_circle(
    judged: Judged, run_jobs: Callable[[Service], int]
) -> None:
    """A site that sets the node as its own destination, or a PACS that sends everything on."""
    port = free_port()
    service, job = judged(pacs(port, ae_title="PLEURA"))
    with Node(node_settings(port=port, grace_seconds=0), service.intake):
        deliver_once(service, "me")
    assert run_jobs(service) == 0
    assert [found.id for found in service.jobs.find()] == [job.id]
    # Segmentation and report are of classes that the node does not take.
    assert code_of(delivery_of(service, job)) == "destination_unsupported"
