"""Jobs: taken once, claimed under a lease, finished once; on SQLite and on PostgreSQL."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from service_stores import FAILURE, NEWER, RECIPE, SetClock, outcome, received, refusal

from pleura.service.errors import BusyError, LeaseLostError, UnknownJobError
from pleura.service.store import Job, JobStore, State


def claimed(jobs: JobStore, owner: str = "w") -> Job:
    job = jobs.claim(owner, RECIPE)
    assert job is not None
    return job


def left(jobs: JobStore, clock: SetClock) -> None:
    """The lease of the one job runs out, and its next try is due."""
    clock.forward(91)
    assert jobs.claim("w", RECIPE) is None
    clock.forward(60)


def test_a_job_is_received_claimed_and_done(jobs: JobStore, clock: SetClock) -> None:
    job = jobs.submit(received(7), RECIPE)
    assert re.fullmatch("[0-9a-f]{32}", job.id)
    assert (job.state, job.attempts, job.outcome) == (State.RECEIVED, 0, None)
    assert job.received == received(7)
    assert job.recipe == RECIPE
    assert job.received_at == clock.now

    begun = clock.forward(1)
    job = claimed(jobs)
    assert (job.state, job.attempts, job.lease_owner) == (State.RUNNING, 1, "w")
    assert job.started_at == begun
    assert job.lease_until is not None
    assert (job.lease_until - begun).total_seconds() == 90

    ended = clock.forward(1)
    jobs.finish(job, outcome())
    job = jobs.get(job.id)
    assert (job.state, job.finished_at, job.lease_owner) == (State.DONE, ended, None)
    assert job.outcome == outcome()
    assert job.failure is None
    assert jobs.claim("w", RECIPE) is None


def test_a_refusal_is_an_outcome(jobs: JobStore) -> None:
    jobs.submit(received(), RECIPE)
    job = claimed(jobs)
    jobs.finish(job, refusal())
    job = jobs.get(job.id)
    assert job.state is State.REFUSED
    assert job.outcome == refusal()
    assert job.failure == FAILURE


def test_an_unknown_job_is_an_error(jobs: JobStore) -> None:
    for ask in (jobs.get, jobs.requeue, lambda job_id: jobs.rank(job_id, 1)):
        with pytest.raises(UnknownJobError):
            ask("0" * 32)


class TestTheSameImageAgain:
    def test_while_it_waits_or_runs_is_the_same_job(self, jobs: JobStore) -> None:
        first = jobs.submit(received(), RECIPE)
        assert jobs.submit(received(), RECIPE).id == first.id
        job = claimed(jobs)
        assert jobs.submit(received(), RECIPE) == job
        assert sum(jobs.counts().values()) == 1

    def test_when_done_is_the_result(self, jobs: JobStore) -> None:
        jobs.submit(received(), RECIPE)
        jobs.finish(claimed(jobs), outcome())
        again = jobs.submit(received(), RECIPE)
        assert again.state is State.DONE
        assert again.outcome == outcome()

    def test_when_refused_is_the_refusal(self, jobs: JobStore) -> None:
        jobs.submit(received(), RECIPE)
        jobs.finish(claimed(jobs), refusal())
        assert jobs.submit(received(), RECIPE).state is State.REFUSED

    def test_when_given_up_is_tried_anew(self, jobs: JobStore) -> None:
        jobs.submit(received(), RECIPE)
        jobs.fail(claimed(jobs), FAILURE, final=True)
        again = jobs.submit(received(), RECIPE)
        assert (again.state, again.attempts, again.failure) == (State.RECEIVED, 0, None)
        assert again.finished_at is None

    def test_of_another_recipe_is_another_job(self, jobs: JobStore) -> None:
        first = jobs.submit(received(), RECIPE)
        second = jobs.submit(received(), NEWER)
        assert first.id != second.id

    def test_takes_the_name_it_came_with_last(self, jobs: JobStore) -> None:
        jobs.submit(received(), RECIPE)
        again = jobs.submit(replace(received(), name="other"), RECIPE)
        assert again.received.name == "other"


class TestLeases:
    def test_a_job_whose_worker_died_is_taken_over(self, jobs: JobStore, clock: SetClock) -> None:
        jobs.submit(received(), RECIPE)
        first = claimed(jobs, "dead")
        clock.forward(89.9)
        assert jobs.claim("other", RECIPE) is None
        assert jobs.get(first.id).state is State.RUNNING
        clock.forward(0.2)
        assert jobs.claim("other", RECIPE) is None  # others come first
        assert jobs.get(first.id).state is State.RECEIVED
        clock.forward(12.5)
        second = claimed(jobs, "other")
        assert (second.id, second.attempts, second.lease_owner) == (first.id, 2, "other")

    @pytest.mark.parametrize("end", ["finish", "fail", "release"])
    def test_one_that_comes_back_from_the_dead_changes_nothing(
        self, jobs: JobStore, clock: SetClock, end: str
    ) -> None:
        jobs.submit(received(), RECIPE)
        late = claimed(jobs, "late")
        left(jobs, clock)
        job = claimed(jobs, "other")
        with pytest.raises(LeaseLostError):
            _end(jobs, late, end)
        assert jobs.get(job.id) == job
        jobs.finish(job, outcome())
        with pytest.raises(LeaseLostError):
            _end(jobs, late, end)
        assert jobs.get(job.id).outcome == outcome()

    def test_the_same_worker_is_fenced_from_its_own_earlier_try(
        self, jobs: JobStore, clock: SetClock
    ) -> None:
        jobs.submit(received(), RECIPE)
        late = claimed(jobs)
        left(jobs, clock)
        claimed(jobs)
        with pytest.raises(LeaseLostError):
            jobs.finish(late, outcome())

    def test_one_that_gave_it_back_is_fenced_from_the_try_of_another(self, jobs: JobStore) -> None:
        jobs.submit(received(), RECIPE)
        early = claimed(jobs, "early")
        jobs.release(early)
        job = claimed(jobs, "other")
        assert job.attempts == early.attempts
        with pytest.raises(LeaseLostError):
            jobs.finish(early, outcome())
        assert jobs.get(job.id) == job

    def test_that_run_out_are_taken_over_once_by_many_at_a_time(
        self, jobs: JobStore, clock: SetClock
    ) -> None:
        for number in range(12):
            jobs.submit(received(number), RECIPE)
            claimed(jobs, "dead")
        barrier = Barrier(6)

        def take_all(owner: str) -> list[str]:
            barrier.wait()
            return [job.id for job in iter(lambda: jobs.claim(owner, RECIPE), None)]

        with ThreadPoolExecutor(6) as threads:
            clock.forward(91)
            assert list(threads.map(take_all, "abcdef")) == [[]] * 6
            clock.forward(60)
            taken = [each for ids in threads.map(take_all, "abcdef") for each in ids]
        assert sorted(taken) == sorted(_ids(jobs.find()))
        assert {job.attempts for job in jobs.find()} == {2}

    def test_a_lease_that_ran_out_unnoticed_still_counts(
        self, jobs: JobStore, clock: SetClock
    ) -> None:
        jobs.submit(received(), RECIPE)
        job = claimed(jobs)
        clock.forward(1000)
        jobs.finish(job, outcome())
        assert jobs.get(job.id).state is State.DONE

    def test_an_image_that_kills_workers_is_given_up(self, jobs: JobStore, clock: SetClock) -> None:
        job = jobs.submit(received(), RECIPE)
        for _ in range(3):
            assert claimed(jobs).id == job.id
            ended = clock.forward(91)
            assert jobs.claim("w", RECIPE) is None
            clock.forward(60)
        assert jobs.claim("w", RECIPE) is None
        job = jobs.get(job.id)
        assert job.state is State.FAILED
        assert job.failure is not None
        assert job.failure.code == "worker_died"
        assert job.finished_at == ended

    def test_of_a_worker_that_is_known_to_be_dead_end_at_once(
        self, jobs: JobStore, clock: SetClock
    ) -> None:
        jobs.submit(received(0), RECIPE)
        clock.forward(1)
        jobs.submit(received(1), RECIPE)
        dead, living = claimed(jobs, "dead"), claimed(jobs, "living")
        jobs.end_leases("dead")
        assert jobs.claim("other", RECIPE) is None
        clock.forward(12.5)
        again = claimed(jobs, "other")
        assert (again.id, again.attempts) == (dead.id, 2)
        assert jobs.get(living.id) == living

    def test_a_job_given_back_has_not_been_tried(self, jobs: JobStore) -> None:
        jobs.submit(received(), RECIPE)
        for _ in range(5):  # more often than it may be tried
            job = claimed(jobs)
            assert job.attempts == 1
            jobs.release(job)
        assert jobs.get(job.id).state is State.RECEIVED


def _end(jobs: JobStore, job: Job, how: str) -> None:
    if how == "finish":
        jobs.finish(job, outcome(0.1, "late"))
    elif how == "fail":
        jobs.fail(job, FAILURE)
    else:
        jobs.release(job)


class TestFailures:
    def test_are_tried_again_later_and_later_and_then_given_up(
        self, jobs: JobStore, clock: SetClock
    ) -> None:
        job = jobs.submit(received(), RECIPE)
        for wait in (10, 20):  # and up to a quarter longer
            jobs.fail(claimed(jobs), FAILURE)
            job = jobs.get(job.id)
            assert (job.state, job.failure) == (State.RECEIVED, FAILURE)
            assert wait <= (job.next_try_at - clock.now).total_seconds() <= 1.25 * wait
            clock.forward(wait - 0.1)
            assert jobs.claim("w", RECIPE) is None
            clock.forward(0.25 * wait + 0.2)
        jobs.fail(claimed(jobs), FAILURE)
        job = jobs.get(job.id)
        assert (job.state, job.failure, job.attempts) == (State.FAILED, FAILURE, 3)
        clock.forward(10_000)
        assert jobs.claim("w", RECIPE) is None

    def test_that_are_final_are_given_up_at_once(self, jobs: JobStore) -> None:
        jobs.submit(received(), RECIPE)
        job = claimed(jobs)
        jobs.fail(job, FAILURE, final=True)
        assert jobs.get(job.id).state is State.FAILED

    def test_are_forgotten_when_a_later_try_succeeds(self, jobs: JobStore, clock: SetClock) -> None:
        jobs.submit(received(), RECIPE)
        jobs.fail(claimed(jobs), FAILURE)
        clock.forward(13)
        job = claimed(jobs)
        jobs.finish(job, outcome())
        assert jobs.get(job.id).failure is None

    def test_are_requeued_by_hand_with_all_their_tries(self, jobs: JobStore) -> None:
        jobs.submit(received(), RECIPE)
        job = claimed(jobs)
        jobs.fail(job, FAILURE, final=True)
        job = jobs.requeue(job.id)
        assert (job.state, job.attempts, job.failure) == (State.RECEIVED, 0, None)
        assert claimed(jobs).attempts == 1

    def test_only_what_was_given_up_is_requeued(self, jobs: JobStore) -> None:
        job = jobs.submit(received(), RECIPE)
        with pytest.raises(UnknownJobError):
            jobs.requeue(job.id)
        jobs.finish(claimed(jobs), outcome())
        with pytest.raises(UnknownJobError):
            jobs.requeue(job.id)


class TestAnotherModel:
    def test_takes_over_what_waits(self, jobs: JobStore) -> None:
        job = jobs.submit(received(), RECIPE)
        taken = jobs.claim("w", NEWER)
        assert taken is not None
        assert (taken.id, taken.recipe) == (job.id, NEWER)
        jobs.finish(taken, outcome())
        assert jobs.submit(received(), NEWER).state is State.DONE
        assert jobs.submit(received(), RECIPE).id != job.id

    def test_gives_up_what_was_received_for_it_as_well(
        self, jobs: JobStore, clock: SetClock
    ) -> None:
        old = jobs.submit(received(), RECIPE)
        clock.forward(1)
        new = jobs.submit(received(), NEWER)
        taken = jobs.claim("w", NEWER)
        assert taken is not None
        assert taken.id == new.id
        old = jobs.get(old.id)
        assert old.state is State.FAILED
        assert old.failure is not None
        assert old.failure.code == "superseded"

    def test_gives_up_the_older_one_of_two_other_recipes(
        self, jobs: JobStore, clock: SetClock
    ) -> None:
        older = jobs.submit(received(), RECIPE)
        clock.forward(1)
        newer = jobs.submit(received(), NEWER)
        taken = jobs.claim("w", replace(RECIPE, sha256="c" * 64))
        assert taken is not None
        assert taken.id == newer.id
        assert jobs.get(older.id).state is State.FAILED

    def test_is_not_stopped_by_a_job_that_its_old_worker_left(
        self, jobs: JobStore, clock: SetClock
    ) -> None:
        """The lease of a job of the old model runs out, and the image has a newer job."""
        left = jobs.submit(received(), RECIPE)
        claimed(jobs, "dead")
        new = jobs.submit(received(), NEWER)
        clock.forward(1)
        other = jobs.submit(received(1), NEWER)
        clock.forward(91)
        taken = [jobs.claim("w", NEWER), jobs.claim("w", NEWER)]
        assert [job.id for job in taken if job is not None] == [new.id, other.id]
        clock.forward(60)
        assert jobs.claim("w", NEWER) is None
        assert jobs.get(left.id).state is State.FAILED


class TestOrder:
    def test_of_the_queue_is_by_rank_and_then_by_arrival(
        self, jobs: JobStore, clock: SetClock
    ) -> None:
        ids = []
        for number in range(5):
            ids.append(jobs.submit(received(number), RECIPE).id)
            clock.forward(1)
        jobs.rank(ids[4], 2)
        jobs.rank(ids[3], 1)
        jobs.rank(ids[0], 7)
        jobs.rank(ids[0], None)
        order = [claimed(jobs).id for _ in ids]
        assert order == [ids[3], ids[4], ids[0], ids[1], ids[2]]

    def test_of_the_worklist_never_lowers_what_a_human_ranked(
        self, jobs: JobStore, clock: SetClock
    ) -> None:
        ids = []
        for number, probability in enumerate((0.1, 0.9, 0.2, 0.8, 0.3)):
            ids.append(jobs.submit(received(number), RECIPE).id)
            jobs.finish(claimed(jobs), outcome(probability))
            clock.forward(1)
        assert _ids(jobs.worklist()) == [ids[3], ids[1], ids[4], ids[2], ids[0]]
        jobs.rank(ids[0], 2)  # negative, and the oldest
        jobs.rank(ids[1], 1)
        assert _ids(jobs.worklist()) == [ids[1], ids[0], ids[3], ids[4], ids[2]]
        assert _ids(jobs.worklist(limit=2)) == [ids[1], ids[0]]
        since = jobs.get(ids[3]).received_at
        assert _ids(jobs.worklist(since=since)) == [ids[3], ids[4]]

    def test_of_the_worklist_leaves_out_what_has_no_result(self, jobs: JobStore) -> None:
        jobs.submit(received(0), RECIPE)
        jobs.finish(claimed(jobs), refusal())
        jobs.submit(received(1), RECIPE)
        jobs.fail(claimed(jobs), FAILURE, final=True)
        jobs.submit(received(2), RECIPE)
        assert jobs.worklist() == []

    def test_of_the_worklist_keeps_what_a_human_ranked_whatever_came_of_it(
        self, jobs: JobStore
    ) -> None:
        for number in range(3):
            jobs.rank(jobs.submit(received(number), RECIPE).id, number + 1)
        jobs.finish(claimed(jobs), refusal())
        jobs.fail(claimed(jobs), FAILURE, final=True)
        states = [job.state for job in jobs.worklist()]
        assert states == [State.REFUSED, State.FAILED, State.RECEIVED]


def _ids(found: list[Job]) -> list[str]:
    return [job.id for job in found]


class TestFinding:
    def test_goes_page_by_page_through_jobs_of_the_same_moment(
        self, jobs: JobStore, clock: SetClock
    ) -> None:
        for number in range(10):
            jobs.submit(received(number), RECIPE)
            clock.forward(number % 2)  # two at each moment
        pages, after = [], None
        while page := jobs.find(after=after, limit=3):
            pages.append(page)
            after = page[-1].id
        found = [job for page in pages for job in page]
        assert [len(page) for page in pages] == [3, 3, 3, 1]
        assert len({job.id for job in found}) == 10
        assert found == sorted(found, key=lambda job: (job.received_at, job.id), reverse=True)

    def test_goes_on_where_it_was_when_new_jobs_come(self, jobs: JobStore, clock: SetClock) -> None:
        ids = [jobs.submit(received(number), RECIPE).id for number in range(4)]
        first = jobs.find(limit=2)
        clock.forward(1)
        jobs.submit(received(9), RECIPE)
        second = jobs.find(limit=9, after=first[-1].id)
        assert sorted(_ids(first + second)) == sorted(ids)

    def test_by_state_sender_and_study(self, jobs: JobStore) -> None:
        first = jobs.submit(received(0, source="api:one"), RECIPE)
        jobs.finish(claimed(jobs), outcome())
        second = jobs.submit(received(1), RECIPE)
        assert _ids(jobs.find(states=[State.DONE])) == [first.id]
        assert _ids(jobs.find(states=[State.RECEIVED, State.RUNNING])) == [second.id]
        assert _ids(jobs.find(source="api:one")) == [first.id]
        assert _ids(jobs.find(study_instance_uid="1.1.1")) == [second.id]
        assert jobs.find(study_instance_uid="1.1") == []

    def test_after_a_job_that_does_not_exist_is_an_error(self, jobs: JobStore) -> None:
        with pytest.raises(UnknownJobError):
            jobs.find(after="0" * 32)

    def test_counts_and_age_of_the_queue(self, jobs: JobStore, clock: SetClock) -> None:
        assert jobs.queue_age().total_seconds() == 0
        jobs.submit(received(0), RECIPE)
        clock.forward(5)
        jobs.submit(received(1), RECIPE)
        clock.forward(2)
        assert jobs.queue_age().total_seconds() == 7
        jobs.finish(claimed(jobs), outcome())
        assert jobs.queue_age().total_seconds() == 2
        assert jobs.counts() == dict.fromkeys(State, 0) | {State.DONE: 1, State.RECEIVED: 1}


class TestTooMany:
    def test_waiting_jobs_stop_the_intake_and_leave_nothing(self, jobs: JobStore) -> None:
        for number in range(12):
            jobs.submit(received(number), RECIPE)
        claimed(jobs)  # one that runs counts as well
        with pytest.raises(BusyError):
            jobs.submit(received(12), RECIPE)
        assert sum(jobs.counts().values()) == 12
        jobs.submit(received(1), RECIPE)  # known already: nothing more waits

    def test_finished_jobs_do_not_count(self, jobs: JobStore) -> None:
        for number in range(15):
            jobs.submit(received(number), RECIPE)
            jobs.finish(claimed(jobs), outcome())
        assert jobs.counts()[State.DONE] == 15

    def test_stops_those_that_were_given_up_as_well(self, jobs: JobStore) -> None:
        jobs.submit(received(99), RECIPE)
        given_up = claimed(jobs)
        jobs.fail(given_up, FAILURE, final=True)
        for number in range(12):
            jobs.submit(received(number), RECIPE)
        with pytest.raises(BusyError):
            jobs.submit(received(99), RECIPE)
        assert jobs.get(given_up.id).state is State.FAILED
