"""The node as a process: killed at any moment, told to stop, short of disk, sent huge objects."""

import os
import random
import re
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dicom_peer import (
    RawPeer,
    associated,
    c_store_rq,
    echo_works,
    encoded,
    files_of,
    node_settings,
    p_data,
    requested,
)
from pydicom.dataset import Dataset
from service_images import dataset
from service_process import Running
from service_tools import free_port, until

from pleura.service.settings import Settings
from pleura.service.store import State
from pleura.service.wiring import Service, open_service

PIECE = 60_000


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def with_node(settings: Settings, port: int) -> Callable[..., Settings]:
    def changed(**node: Any) -> Settings:
        return settings.model_copy(update={"node": node_settings(port=port, **node)})

    return changed


@contextmanager
def listening(
    log: Path, settings: Settings, prepare: Callable[[], None] = lambda: None
) -> Iterator[Running]:
    with Running(log, settings, "node", "--listen-only", prepare=prepare) as running:
        until(
            lambda: not running.runs or echo_works(settings.node.port), seconds=40, what="an echo"
        )
        assert running.runs, running.said()
        yield running


class Sender:
    """Sends images for as long as the node lives; knows which were acknowledged."""

    def __init__(self, port: int, images: list[Dataset], patience: float = 20) -> None:
        self.acknowledged: set[str] = set()
        self._port, self._images, self._patience = port, images, patience
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        association = requested(self._port)
        # It may wait for an answer of the dead.
        association.dimse_timeout = association.acse_timeout = self._patience
        for image in self._images:
            if not association.is_established:
                return
            answer = association.send_c_store(image)
            if answer.get("Status") == 0:
                self.acknowledged.add(str(image.SOPInstanceUID))
        association.release()

    def wait(self) -> set[str]:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.acknowledged


def received(settings: Settings) -> dict[str, str]:
    """SHA-256 by SOP Instance UID of all jobs."""
    service = open_service(settings)
    try:
        jobs = service.jobs.find(limit=1000)
        for job in jobs:
            service.files.checked_input(job.received.sha256)
        found = {job.received.sop_instance_uid: job.received.sha256 for job in jobs}
        assert len(found) == len(jobs), "an image has two jobs"
        return found
    finally:
        service.close()


def test_what_was_acknowledged_survives_kill_9(
    with_node: Callable[..., Settings], port: int, tmp_path: Path
) -> None:
    settings = with_node()
    images = [dataset(number) for number in range(60)]
    chance, acknowledged, kills = random.Random(3), set[str](), 0
    for _ in range(3):
        with listening(tmp_path / "log", settings) as running:
            senders = [Sender(port, images[half::2], patience=1) for half in (0, 1)]
            goal = chance.randrange(3, 25)
            until(lambda: sum(len(s.acknowledged) for s in senders) >= goal)  # noqa: B023
            time.sleep(chance.random() * 0.02)
            running.kill()
            kills += 1
        for sender in senders:
            acknowledged |= sender.wait()
        assert acknowledged <= set(received(settings))
    assert kills == 3
    assert 0 < len(acknowledged) < len(images)
    with listening(tmp_path / "log", settings) as running:
        assert Sender(port, images).wait() == {str(image.SOPInstanceUID) for image in images}
        assert running.terminate() == 0
    assert len(received(settings)) == len(images)


def test_sigterm_lets_the_object_in_hand_arrive(
    with_node: Callable[..., Settings], port: int, tmp_path: Path
) -> None:
    settings = with_node()
    content = encoded(dataset(1))
    with listening(tmp_path / "log", settings) as running, RawPeer(port) as peer:
        peer.associate()
        peer.send(p_data(c_store_rq(instance=dataset(1).SOPInstanceUID), 3))
        peer.send(p_data(content[:3000], 0))
        until(lambda: files_of(settings.storage.folder / "spool"))
        ending = threading.Thread(target=running.terminate)
        ending.start()
        until(lambda: not echo_works(port))
        peer.send(p_data(content[3000:], 2))
        assert peer.receive()[0] == 4
        ending.join(40)
        assert running.process.returncode == 0
    assert set(received(settings)) == {dataset(1).SOPInstanceUID}
    assert not files_of(settings.storage.folder / "spool")


def stream(peer: RawPeer, size: int, head: bytes) -> None:
    """One object of this size, with the beginning of an image."""
    peer.send(p_data(c_store_rq(), 3) + p_data(head, 0))
    sent = len(head)
    piece = bytes(PIECE)
    while sent < size:
        sent += PIECE
        peer.send(p_data(piece, 2 if sent >= size else 0))


def status_of(answer: bytes) -> int:
    """Status (0000,0900) of a response in one PDV."""
    found = re.search(rb"\0\0\0\x09\x02\0\0\0(..)", answer, re.DOTALL)
    assert found is not None
    return int.from_bytes(found[1], "little")


def head_of_an_image() -> bytes:
    """Everything before the pixels, whose length is then a lie."""
    content = encoded(dataset(1))
    return content[: content.rindex(b"\xe0\x7f\x10\x00") + 12]


def test_a_disk_that_runs_full_while_an_object_arrives_refuses_it_and_takes_the_next(
    with_node: Callable[..., Settings], port: int, tmp_path: Path
) -> None:
    """No file may grow beyond 4 MiB here, which ends a write as a full disk does."""
    settings = with_node()
    head = head_of_an_image()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))

    with listening(tmp_path / "log", settings, limit) as running:
        with RawPeer(port) as peer:
            peer.associate()
            for _ in range(2):
                stream(peer, 8 << 20, head)
                kind, answer = peer.receive()
                assert kind == 4
                assert status_of(answer) == 0xA700
        with associated(port) as association:
            assert association.send_c_store(dataset(1)).Status == 0
        assert not files_of(settings.storage.folder / "spool")
        assert running.terminate() == 0
    assert len(received(settings)) == 1


def test_memory_does_not_grow_with_the_object(
    with_node: Callable[..., Settings], port: int, tmp_path: Path
) -> None:
    settings = with_node()
    head = head_of_an_image()
    with listening(tmp_path / "log", settings) as running, RawPeer(port) as peer:
        peer.associate()
        stream(peer, 1 << 20, head)
        assert status_of(peer.receive()[1]) == 0
        before = peak_mib(running)
        stream(peer, 120 << 20, head)
        assert status_of(peer.receive()[1]) == 0
        assert peak_mib(running) - before < 40


def peak_mib(running: Running) -> float:
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def test_node_with_workers_judges_and_a_killed_listener_is_replaced(
    with_node: Callable[..., Settings], port: int, tmp_path: Path
) -> None:
    settings = with_node()
    with Running(tmp_path / "log", settings, "node") as running:
        until(lambda: not running.runs or echo_works(port), seconds=60, what="an echo")
        with associated(port) as association:
            assert association.send_c_store(dataset(1)).Status == 0
        listener = re.search(r"node (\d+) started", running.said())
        assert listener is not None
        os.kill(int(listener[1]), signal.SIGKILL)
        until(lambda: not echo_works(port))
        until(lambda: echo_works(port), seconds=60, what="another listener")
        service: Service = open_service(settings)
        until(lambda: service.jobs.counts()[State.DONE] == 1, seconds=60, what="a result")
        service.close()
        assert running.terminate() == 0


def test_a_port_that_is_taken_is_said_at_once(
    with_node: Callable[..., Settings], port: int, tmp_path: Path
) -> None:
    settings = with_node()
    with listening(tmp_path / "log", settings):
        for more in ((), ("--listen-only",)):
            second = Running(tmp_path / "second", settings, "node", *more)
            assert second.process.wait(40) == 2
            assert "cannot listen" in second.said()
