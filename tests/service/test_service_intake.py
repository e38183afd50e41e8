"""The way in: on the disk and in the store before anybody is told so."""

import hashlib
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from service_stores import NEWER, outcome, received

from pleura.service.errors import BusyError, StoreUnavailableError
from pleura.service.intake import Intake
from pleura.service.removal import remove_input
from pleura.service.store import Job, JobStore, Received, State
from pleura.service.store.clock import utc_now
from pleura.service.store.keeping import Keeping
from pleura.service.wiring import Service


def take(intake: Intake, content: bytes = b"image", **named: str) -> Job:
    with intake.open() as spooled:
        spooled.write(content)
        return intake.take(spooled, **({"name": "a.dcm", "source": "test"} | named))


def test_what_is_taken_is_on_disk_and_in_the_store(either_service: Service) -> None:
    service = either_service
    job = take(service.intake, sop_instance_uid="1.2", study_instance_uid="1.1")
    assert job == service.jobs.get(job.id)
    assert job.state is State.RECEIVED
    assert job.recipe == service.recipe
    assert service.files.checked_input(job.received.sha256).read_bytes() == b"image"
    assert (job.received.name, job.received.size) == ("a.dcm", 5)
    assert (job.received.sop_instance_uid, job.received.study_instance_uid) == ("1.2", "1.1")


def test_names_and_uids_that_no_database_holds_are_taken_all_the_same(
    either_service: Service,
) -> None:
    """Senders are not to be trusted: null characters, broken surrogates, endless UIDs."""
    job = take(
        either_service.intake,
        name="a\0b\ud800" + "c" * 5000,
        sop_instance_uid="1." * 40,
        study_instance_uid="1.2\0",
    )
    job = either_service.jobs.get(job.id)
    assert job.received.name.startswith("ab?c")
    assert len(job.received.name) == 1024
    assert job.received.sop_instance_uid == ""
    assert job.received.study_instance_uid == "1.2"


def test_a_full_queue_leaves_no_file(service: Service) -> None:
    jobs = JobStore(service.engine, service.settings.worker, queue_limit=1)
    intake = Intake(service.files, jobs, service.recipe)
    first = take(intake)
    with pytest.raises(BusyError):
        take(intake, b"one too many")
    assert [path.name for path in service.files.stored_inputs("??")] == [first.received.sha256]
    assert list(service.files.spool.iterdir()) == []


def test_a_full_queue_does_not_remove_what_another_job_keeps(service: Service) -> None:
    jobs = JobStore(service.engine, service.settings.worker, queue_limit=1)
    first = take(Intake(service.files, jobs, service.recipe))
    with pytest.raises(BusyError):
        take(Intake(service.files, jobs, NEWER))
    service.files.checked_input(first.received.sha256)


def test_a_full_disk_takes_nothing(service: Service) -> None:
    service.files._reserve = 10**18
    with pytest.raises(BusyError):
        service.intake.open()
    assert list(service.files.spool.iterdir()) == []


def test_a_lost_database_is_not_acknowledged(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> Job:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(service.jobs, "submit", away)
    with pytest.raises(StoreUnavailableError):
        take(service.intake)


class TestRemovalAtTheSameMoment:
    """An image comes again while its file is being removed: it is kept, or not acknowledged."""

    def test_the_job_is_written_while_the_image_is_aside(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put_aside = service.files.set_aside

        def aside_while_it_comes(sha256: str) -> Path | None:
            path = put_aside(sha256)
            service.jobs.submit(replace(received(), sha256=sha256), service.recipe)
            return path

        sha256 = take(service.intake).received.sha256
        forget(service)
        monkeypatch.setattr(service.files, "set_aside", aside_while_it_comes)
        remove_input(service.files, service.jobs, sha256)
        service.files.checked_input(sha256)

    def test_the_image_is_gone_when_its_job_is_written(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        submit = service.jobs.submit

        def submit_after_removal(image: Received, *others: Any) -> Job:
            remove_input(service.files, service.jobs, image.sha256)
            return submit(image, *others)

        monkeypatch.setattr(service.jobs, "submit", submit_after_removal)
        with pytest.raises(BusyError, match="same moment"):
            take(service.intake)

    def test_many_times_at_random(self, service: Service) -> None:
        """One thread takes the same image again and again, another one removes it."""
        outcomes = Counter(self._race(service) for _ in range(60))
        assert outcomes["kept"]

    @staticmethod
    def _race(service: Service) -> str:
        sha256 = hashlib.sha256(b"image").hexdigest()
        stop = threading.Event()

        def remove() -> None:
            while not stop.is_set():
                time.sleep(random.uniform(0, 0.01))
                remove_input(service.files, service.jobs, sha256)

        with ThreadPoolExecutor(1) as threads:
            removing = threads.submit(remove)
            try:
                take(service.intake)
            except BusyError:
                return "not acknowledged"
            finally:
                stop.set()
            removing.result()
        service.files.checked_input(sha256)  # acknowledged: whatever the remover did since
        forget(service)
        return "kept"


def forget(service: Service) -> None:
    """All jobs are finished, and their images no longer kept, as after their days."""
    while (running := service.jobs.claim("w", service.recipe)) is not None:
        service.jobs.finish(running, outcome())
    later = utc_now() + timedelta(days=1)
    keeping = Keeping(service.engine)
    keeping.drop(keeping.droppable(later, later), later, later)
