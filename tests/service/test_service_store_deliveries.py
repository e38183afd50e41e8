"""Deliveries: one for each destination, tried until they arrive; on SQLite and PostgreSQL."""

import pytest
from service_stores import FAILURE, NEWER, RECIPE, SetClock, outcome, received, refusal

from pleura.service.errors import LeaseLostError, UnknownJobError
from pleura.service.store import Delivery, DeliveryState, DeliveryStore, Job, JobStore, State
from pleura.service.store.keeping import Keeping

BOTH = ("PACS", "ARCHIVE")


def judged(jobs: JobStore, number: int = 0, destinations: tuple[str, ...] = BOTH) -> Job:
    jobs.submit(received(number), RECIPE, destinations)
    job = jobs.claim("w", RECIPE)
    assert job is not None
    jobs.finish(job, outcome())
    return jobs.get(job.id)


def claimed(deliveries: DeliveryStore, owner: str = "d") -> Delivery:
    delivery = deliveries.claim(owner, BOTH)
    assert delivery is not None
    return delivery


def left(deliveries: DeliveryStore, clock: SetClock) -> None:
    """The lease of the one delivery runs out, and its next try is due."""
    clock.forward(91)
    assert deliveries.claim("d", BOTH) is None  # others come first
    clock.forward(60)


def states(deliveries: DeliveryStore, job: Job) -> dict[str, DeliveryState]:
    return {each.destination: each.state for each in deliveries.of_job(job.id)}


def test_are_due_when_the_job_is_done(
    jobs: JobStore, deliveries: DeliveryStore, clock: SetClock
) -> None:
    job = jobs.submit(received(), RECIPE, BOTH)
    assert states(deliveries, job) == dict.fromkeys(BOTH, DeliveryState.PENDING)
    assert deliveries.claim("d", BOTH) is None
    clock.forward(5)
    job = judged(jobs)
    assert states(deliveries, job) == dict.fromkeys(BOTH, DeliveryState.WAITING)
    delivery = claimed(deliveries)
    assert (delivery.job_id, delivery.state, delivery.attempts) == (
        job.id,
        DeliveryState.SENDING,
        1,
    )
    deliveries.sent(delivery, "d")
    other = claimed(deliveries)
    assert {delivery.destination, other.destination} == set(BOTH)
    deliveries.sent(other, "d")
    assert states(deliveries, job) == dict.fromkeys(BOTH, DeliveryState.SENT)
    assert deliveries.claim("d", BOTH) is None


def test_are_claimed_for_the_destinations_that_can_be_reached(
    jobs: JobStore, deliveries: DeliveryStore
) -> None:
    judged(jobs)
    assert deliveries.claim("d", ["ELSEWHERE"]) is None
    assert deliveries.claim("d", []) is None
    delivery = deliveries.claim("d", ["ARCHIVE", "ELSEWHERE"])
    assert delivery is not None
    assert delivery.destination == "ARCHIVE"
    assert deliveries.claim("d", ["ARCHIVE"]) is None


def test_there_are_none_of_what_was_refused(jobs: JobStore, deliveries: DeliveryStore) -> None:
    job = jobs.submit(received(), RECIPE, BOTH)
    running = jobs.claim("w", RECIPE)
    assert running is not None
    jobs.finish(running, refusal())
    assert deliveries.of_job(job.id) == []
    jobs.submit(received(), RECIPE, BOTH)
    assert deliveries.of_job(job.id) == []


def test_new_destinations_of_a_known_image_are_added(
    jobs: JobStore, deliveries: DeliveryStore
) -> None:
    job = judged(jobs, destinations=("PACS",))
    deliveries.sent(claimed(deliveries), "d")
    jobs.submit(received(), RECIPE, (*BOTH, "PACS"))
    assert states(deliveries, job) == {
        "PACS": DeliveryState.SENT,
        "ARCHIVE": DeliveryState.WAITING,
    }


def test_fail_later_and_later_and_are_then_given_up(
    jobs: JobStore, deliveries: DeliveryStore, clock: SetClock
) -> None:
    job = judged(jobs, destinations=("PACS",))
    for wait in (10, 20):
        deliveries.failed(claimed(deliveries), "d", FAILURE)
        (delivery,) = deliveries.of_job(job.id)
        assert (delivery.state, delivery.failure) == (DeliveryState.WAITING, FAILURE)
        assert wait <= (delivery.next_try_at - clock.now).total_seconds() <= 1.25 * wait
        assert deliveries.claim("d", BOTH) is None
        clock.forward(1.25 * wait)
    deliveries.failed(claimed(deliveries), "d", FAILURE)
    (delivery,) = deliveries.of_job(job.id)
    assert (delivery.state, delivery.finished_at) == (DeliveryState.FAILED, clock.now)
    assert deliveries.find(DeliveryState.FAILED) == [delivery]
    assert jobs.get(job.id).state is State.DONE

    deliveries.requeue(delivery.id)
    again = claimed(deliveries)
    assert (again.id, again.attempts) == (delivery.id, 1)


def test_a_final_failure_is_given_up_at_once(jobs: JobStore, deliveries: DeliveryStore) -> None:
    judged(jobs, destinations=("PACS",))
    deliveries.failed(claimed(deliveries), "d", FAILURE, final=True)
    assert deliveries.counts() == {("PACS", DeliveryState.FAILED): 1}


def test_that_were_given_up_get_another_chance_when_the_image_comes_again(
    jobs: JobStore, deliveries: DeliveryStore
) -> None:
    job = judged(jobs, destinations=("PACS",))
    deliveries.failed(claimed(deliveries), "d", FAILURE, final=True)
    jobs.submit(received(), RECIPE, ("PACS",))
    (delivery,) = deliveries.of_job(job.id)
    assert (delivery.state, delivery.attempts, delivery.failure) == (
        DeliveryState.WAITING,
        0,
        None,
    )


def test_one_whose_process_died_is_taken_over_and_the_dead_one_is_fenced(
    jobs: JobStore, deliveries: DeliveryStore, clock: SetClock
) -> None:
    judged(jobs, destinations=("PACS",))
    late = claimed(deliveries, "dead")
    left(deliveries, clock)
    delivery = claimed(deliveries, "other")
    assert (delivery.id, delivery.attempts) == (late.id, 2)
    for end in (
        lambda: deliveries.sent(late, "dead"),
        lambda: deliveries.failed(late, "dead", FAILURE),
        lambda: deliveries.release(late, "dead"),
        lambda: deliveries.sent(delivery, "third"),
    ):
        with pytest.raises(LeaseLostError):
            end()
    deliveries.sent(delivery, "other")


def test_one_that_kills_whoever_tries_it_is_given_up(
    jobs: JobStore, deliveries: DeliveryStore, clock: SetClock
) -> None:
    job = judged(jobs, destinations=("PACS",))
    for _ in range(3):
        claimed(deliveries)
        left(deliveries, clock)
    assert deliveries.claim("d", BOTH) is None
    (delivery,) = deliveries.of_job(job.id)
    assert delivery.state is DeliveryState.FAILED
    assert delivery.failure is not None
    assert delivery.failure.code == "worker_died"


def test_one_given_back_has_not_been_tried(jobs: JobStore, deliveries: DeliveryStore) -> None:
    judged(jobs, destinations=("PACS",))
    for _ in range(5):
        delivery = claimed(deliveries)
        assert delivery.attempts == 1
        deliveries.release(delivery, "d")


def test_only_what_was_given_up_and_has_results_is_requeued(
    jobs: JobStore, deliveries: DeliveryStore, clock: SetClock
) -> None:
    job = judged(jobs, destinations=("PACS",))
    (delivery,) = deliveries.of_job(job.id)
    for wrong in (delivery.id, delivery.id + 1):
        with pytest.raises(UnknownJobError):
            deliveries.requeue(wrong)
    deliveries.failed(claimed(deliveries), "d", FAILURE, final=True)
    later = clock.forward(1)
    Keeping(jobs.engine).drop([job.id], later, later)
    with pytest.raises(UnknownJobError):
        deliveries.requeue(delivery.id)
    assert states(deliveries, job) == {"PACS": DeliveryState.FAILED}


def test_lists_page_by_page_and_counts(jobs: JobStore, deliveries: DeliveryStore) -> None:
    for number in range(3):
        judged(jobs, number)
    deliveries.sent(claimed(deliveries), "d")
    assert sum(deliveries.counts().values()) == 6
    first = deliveries.find(DeliveryState.WAITING, 3)
    second = deliveries.find(DeliveryState.WAITING, 3, after=first[-1].id)
    assert [len(first), len(second)] == [3, 2]
    assert len(deliveries.find()) == 6


def test_a_job_redone_by_a_newer_model_keeps_its_deliveries(
    jobs: JobStore, deliveries: DeliveryStore
) -> None:
    job = jobs.submit(received(), RECIPE, BOTH)
    taken = jobs.claim("w", NEWER)
    assert taken is not None
    jobs.finish(taken, outcome())
    assert states(deliveries, job) == dict.fromkeys(BOTH, DeliveryState.WAITING)


def test_the_destination_that_has_waited_longest_comes_first(
    jobs: JobStore, deliveries: DeliveryStore, clock: SetClock
) -> None:
    judged(jobs, 0, destinations=("ARCHIVE",))
    clock.forward(1)
    judged(jobs, 1, destinations=("PACS",))
    clock.forward(1)
    judged(jobs, 2, destinations=("ARCHIVE",))
    order = [claimed(deliveries).destination for _ in range(3)]
    assert order == ["ARCHIVE", "PACS", "ARCHIVE"]


def test_wait_again_when_their_job_is_done_anew(
    jobs: JobStore, deliveries: DeliveryStore, clock: SetClock
) -> None:
    """The results were removed, and the image comes again for one more destination."""
    job = judged(jobs, destinations=("PACS",))
    deliveries.failed(claimed(deliveries), "d", FAILURE, final=True)
    later = clock.forward(1)
    Keeping(jobs.engine).drop([job.id], later, later)
    jobs.submit(received(), RECIPE, BOTH)
    assert states(deliveries, job) == dict.fromkeys(BOTH, DeliveryState.PENDING)
    assert deliveries.claim("d", BOTH) is None
    judged(jobs)
    assert states(deliveries, job) == dict.fromkeys(BOTH, DeliveryState.WAITING)


@pytest.mark.parametrize("done", [False, True])
def test_go_over_to_the_job_that_supersedes_theirs(
    jobs: JobStore, deliveries: DeliveryStore, clock: SetClock, done: bool
) -> None:
    old = jobs.submit(received(), RECIPE, BOTH)
    clock.forward(1)
    new = jobs.submit(received(), NEWER, ("PACS",))
    jobs.rank(new.id, 1 if done else None)  # so that it comes first
    for _ in range(2):
        if (job := jobs.claim("w", NEWER)) is not None:
            jobs.finish(job, outcome())
    assert jobs.get(old.id).state is State.FAILED
    assert deliveries.of_job(old.id) == []
    assert states(deliveries, new) == dict.fromkeys(BOTH, DeliveryState.WAITING)
