"""What need not be kept is removed, and nothing else; on SQLite and on PostgreSQL."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from service_images import image
from service_stores import FAILURE, NEWER

from pleura.service.retention import LEFT_OVER_SECONDS, Retention
from pleura.service.settings import Settings
from pleura.service.store import Delivery, DeliveryState, Job, Received, State
from pleura.service.store.clock import utc_now
from pleura.service.wiring import Service, open_service

GIB = 1 << 30
UID = "2.25.7700"


def retention(
    service: Service, days: float = 0, *, quota_bytes: int = 50 * GIB, **changes: float
) -> Retention:
    """Of the same service, so many days later."""
    storage = service.settings.storage.model_copy(update={"quota_gib": quota_bytes / GIB} | changes)
    settings = service.settings.model_copy(update={"storage": storage})
    return Retention(
        replace(service, settings=settings), clock=lambda: utc_now() + timedelta(days=days)
    )


def take(service: Service, number: int, *destinations: str, content: bytes | None = None) -> Job:
    service.intake.destinations = destinations
    with service.intake.open() as spooled:
        spooled.write(content or image(number))
        return service.intake.take(
            spooled,
            name=f"Doe^Jane {number}.dcm",
            source="test",
            sop_instance_uid=f"{UID}.1.{number}",
            study_instance_uid=f"{UID}.2.{number}",
        )


def has_input(service: Service, job: Job) -> bool:
    return service.files.input_path(job.received.sha256).exists()


def has_results(service: Service, job: Job) -> bool:
    return any(service.files.stored_results(job.id[:2]))


@pytest.fixture
def judged(either_service: Service, run_jobs: Callable[[Service], int]) -> Callable[..., Job]:
    """Takes an image and judges it."""

    def judge(number: int, *destinations: str, content: bytes | None = None) -> Job:
        job = take(either_service, number, *destinations, content=content)
        run_jobs(either_service)
        return either_service.jobs.get(job.id)

    return judge


def test_images_and_results_go_after_their_days(
    either_service: Service, judged: Callable[..., Job]
) -> None:
    service, job = either_service, judged(1)
    assert retention(service, 29.9).expire() == 0
    assert has_input(service, job)

    assert retention(service, 30.1).expire() == job.received.size
    now = service.jobs.get(job.id)
    assert not has_input(service, job)
    assert has_results(service, job)
    assert not now.input_kept
    assert now.received.name == "Doe^Jane 1.dcm"  # results are there that it helps to find

    assert job.outcome is not None
    assert retention(service, 90.1).expire() == job.outcome.results_size
    assert not has_results(service, job)


def test_the_outcome_stays_and_what_names_the_image_goes(
    either_service: Service, judged: Callable[..., Job]
) -> None:
    service, job = either_service, judged(1)
    retention(service, 91).expire()
    now = service.jobs.get(job.id)
    assert now.state is State.DONE
    assert job.outcome is not None
    assert now.outcome is not None
    assert now.outcome.results is None
    assert now.outcome.probability == job.outcome.probability
    assert now.received == Received(job.received.sha256, job.received.size, "", "test")
    record, before = json.loads(now.outcome.record), json.loads(job.outcome.record)
    assert record == before | {"sop_instance_uid": ""}
    assert UID not in str(now)
    assert service.jobs.find(study_instance_uid=f"{UID}.2.1") == []


def test_refused_and_failed_jobs_lose_image_and_names_together(
    either_service: Service, judged: Callable[..., Job]
) -> None:
    service = either_service
    refused = judged(1, content=b"no image")
    failed = take(service, 2)
    running = service.jobs.claim("w", service.recipe)
    assert running is not None
    service.jobs.fail(running, FAILURE, final=True)
    retention(service, 31).expire()
    for job in (refused, failed):
        now = service.jobs.get(job.id)
        assert not has_input(service, job)
        assert (now.received.name, now.received.study_instance_uid) == ("", "")
        assert now.failure is not None


def test_waiting_jobs_keep_everything(either_service: Service) -> None:
    job = take(either_service, 1)
    for keep in (retention(either_service, 1000), retention(either_service, 1000, quota_bytes=1)):
        keep.expire()
        keep.make_room()
    assert has_input(either_service, job)
    assert either_service.jobs.get(job.id) == job


def test_results_stay_while_a_delivery_waits_unless_it_is_given_up(
    either_service: Service, judged: Callable[..., Job]
) -> None:
    service, job = either_service, judged(1, "PACS")
    keep = retention(service, 5, keep_results_days=1, keep_inputs_days=1)
    keep.expire()
    assert has_results(service, job)
    assert not has_input(service, job)

    delivery = claimed(service)
    keep.expire()  # it is being sent
    assert has_results(service, job)

    service.deliveries.failed(delivery, "d", FAILURE, final=True)
    keep.expire()
    assert not has_results(service, job)


def test_results_go_once_they_are_delivered(
    either_service: Service, judged: Callable[..., Job]
) -> None:
    service, job = either_service, judged(1, "PACS")
    service.deliveries.sent(claimed(service), "d")
    retention(service, 1000).expire()
    assert not has_results(service, job)


def test_a_delivery_that_nobody_tries_does_not_keep_results_for_ever(
    either_service: Service, judged: Callable[..., Job]
) -> None:
    """Its destination was taken out of the settings."""
    service, job = either_service, judged(1, "GONE")
    retention(service, 89).expire()
    assert has_results(service, job)
    retention(service, 91).expire()
    (delivery,) = service.deliveries.of_job(job.id)
    assert delivery.state is DeliveryState.FAILED
    assert delivery.failure is not None
    assert delivery.failure.code == "abandoned"
    assert not has_results(service, job)


def test_no_days_at_all_leave_time_to_deliver(
    either_service: Service, judged: Callable[..., Job]
) -> None:
    service, job = either_service, judged(1, "PACS")
    retention(service, 1, keep_results_days=0, keep_inputs_days=0).expire()
    assert has_results(service, job)
    assert not has_input(service, job)
    service.deliveries.sent(claimed(service), "d")
    retention(service, 1, keep_results_days=0).expire()
    assert not has_results(service, job)


def claimed(service: Service) -> Delivery:
    delivery = service.deliveries.claim("d", ["PACS"])
    assert delivery is not None
    return delivery


def test_an_image_of_two_jobs_stays_for_the_one_that_waits(
    either_service: Service, judged: Callable[..., Job], settings: Settings
) -> None:
    """The model is changed, and the image comes again: its file serves both jobs."""
    service, first = either_service, judged(1)
    service.jobs.submit(first.received, NEWER)
    retention(service, 31).expire()
    assert not service.jobs.get(first.id).input_kept
    assert has_input(service, first)


def test_the_quota_is_kept_by_the_oldest(
    either_service: Service, run_jobs: Callable[[Service], int]
) -> None:
    service = either_service
    taken = [take(service, number) for number in range(12)]
    run_jobs(service)
    jobs = [service.jobs.get(job.id) for job in taken]
    sizes = [job.received.size + job.outcome.results_size for job in jobs if job.outcome]
    keep = retention(service, 1, quota_bytes=sum(sizes[-2:]))
    assert keep.make_room() == sum(sizes[:10])
    assert [has_input(service, job) for job in jobs] == [False] * 10 + [True] * 2
    assert keep.make_room() == 0


def test_the_same_image_counts_once_for_the_quota(
    either_service: Service, judged: Callable[..., Job]
) -> None:
    service, job = either_service, judged(1)
    service.jobs.submit(job.received, NEWER)
    assert job.outcome is not None
    used = job.received.size + job.outcome.results_size
    assert retention(service, quota_bytes=used).make_room() == 0


def test_what_was_removed_is_done_again_when_it_comes_again(
    either_service: Service, judged: Callable[..., Job]
) -> None:
    service, job = either_service, judged(1)
    retention(service, 91).expire()
    again = judged(1)
    assert (again.id, again.state) == (job.id, State.DONE)
    assert again.received == job.received
    assert has_results(service, again)
    assert has_input(service, again)


def test_a_second_keeper_finds_nothing_left(
    either_settings: Settings, either_service: Service, judged: Callable[..., Job]
) -> None:
    judged(1)
    other = open_service(either_settings)
    assert retention(either_service, 91).expire() > 0
    assert retention(other, 91).expire() == 0
    other.close()


class TestSweeping:
    def test_removes_what_belongs_to_no_job_once_it_is_old(self, service: Service) -> None:
        job = take(service, 1)
        with service.files.spooled() as spooled:
            spooled.write(b"the job of this one was never written")
            orphan, _ = service.files.take(spooled)
        name = "ab" * 16 + ".lost"
        service.files.write_results(name, {"a.json": b"{}"})
        half = service.files.spool / "half"
        half.write_bytes(b"half of an image")

        assert retention(service).sweep() == 0  # each may belong to something that goes on
        old = time.time() - LEFT_OVER_SECONDS - 1
        for path in (
            service.files.input_path(orphan),
            service.files.input_path(job.received.sha256),
            service.files.results_path(name),
            half,
        ):
            os.utime(path, (old, old))
        assert retention(service).sweep() == 3
        assert has_input(service, job)
        assert not service.files.input_path(orphan).exists()
        assert not service.files.results_path(name).exists()
        assert not half.exists()

    def test_keeps_the_results_of_the_try_that_counts(
        self, service: Service, run_jobs: Callable[[Service], int]
    ) -> None:
        job = take(service, 1)
        run_jobs(service)
        outcome = service.jobs.get(job.id).outcome
        assert outcome is not None
        assert outcome.results is not None
        lost = f"{job.id}.lost"
        service.files.write_results(lost, {"a.json": b"{}"})
        old = time.time() - LEFT_OVER_SECONDS - 1
        for path in service.files.stored_results(job.id[:2]):
            os.utime(path, (old, old))
        assert retention(service).sweep() == 1
        assert service.files.results_path(outcome.results).exists()

    def test_ends_the_removals_of_a_keeper_that_died(self, service: Service) -> None:
        """Killed after the image was set aside: it is put back if a job keeps it."""
        kept, gone = take(service, 1), take(service, 2)
        assert service.jobs.claim("w", service.recipe) is not None
        running = service.jobs.claim("w", service.recipe)
        assert running is not None
        assert running.id == gone.id
        service.jobs.fail(running, FAILURE, final=True)
        later = utc_now() + timedelta(days=31)
        keep = retention(service, 31)
        keep._keeping.drop([gone.id], later, later)
        for job in (kept, gone):
            assert service.files.set_aside(job.received.sha256) is not None
        keep.sweep()
        assert has_input(service, kept)
        assert not has_input(service, gone)
        assert list(service.files.spool.iterdir()) == []
