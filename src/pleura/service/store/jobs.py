"""Jobs: taken once, claimed under a lease, finished once."""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from pleura.service.errors import BusyError, LeaseLostError, UnknownJobError
from pleura.service.settings.work import WorkerSettings
from pleura.service.store.backoff import delay
from pleura.service.store.claiming import end_leases, in_turn, next_due, supersede, twin_of
from pleura.service.store.clock import Clock, utc_now
from pleura.service.store.engine import reading, writing
from pleura.service.store.opening import open_deliveries, renew
from pleura.service.store.queries import WAITING, JobQueries
from pleura.service.store.rows import (
    failure_columns,
    job_of,
    outcome_columns,
    received_columns,
    recipe_columns,
)
from pleura.service.store.tables import deliveries, jobs
from pleura.service.store.values import (
    DeliveryState,
    Failure,
    Job,
    Outcome,
    Received,
    Recipe,
    State,
)

__all__ = ["Clock", "JobStore", "utc_now"]


class JobStore(JobQueries):
    """The jobs of one database. Safe for many threads, processes and machines.

    Machines that share a database need clocks that agree to a few seconds: leases end by the
    clock of the one that looks. Every method raises `StoreUnavailableError` when the database
    cannot be reached.

    Args:
        engine: from `open_engine`.
        settings: leases, attempts and the time between them.
        queue_limit: jobs that may wait.
        clock: for tests.
    """

    def __init__(
        self,
        engine: Engine,
        settings: WorkerSettings,
        queue_limit: int = 10_000,
        clock: Clock = utc_now,
    ) -> None:
        super().__init__(engine, clock)
        self._settings = settings
        self._queue_limit = queue_limit

    def submit(self, received: Received, recipe: Recipe, destinations: Sequence[str] = ()) -> Job:
        """Take an image whose file is safe on disk. When this returns, the job survives anything.

        The same image and recipe again is the earlier job: with its result if it has one, tried
        anew if it had been given up or its results were removed. Destinations that it was not
        delivered to are added.

        Args:
            received: the image.
            recipe: what it is judged with.
            destinations: names of those that get the results.

        Raises:
            BusyError: too many jobs wait; nothing was taken.
        """
        try:
            return self._submit(received, recipe, destinations)
        except IntegrityError:  # another process took the same image at the same moment
            return self._submit(received, recipe, destinations)

    def claim(self, owner: str, recipe: Recipe) -> Job | None:
        """Take the next job: those that humans ranked first, then the oldest.

        A job whose lease has run out is tried again like one that failed, and given up if that was
        its last try: an image that kills workers neither kills them for ever nor keeps others
        waiting.

        Args:
            owner: unique name of the worker.
            recipe: what it judges with. A job that was received for another one, before the model
                was changed, becomes a job of this one; if the image was received for this one as
                well, or again for another one, the older job is given up as `superseded`.
        """
        if not self._anything_due():  # looking takes no lock that others wait for
            return None
        try:
            return self._claim(owner, recipe)
        except IntegrityError:  # the image was received for this recipe at the same moment
            return self._claim(owner, recipe)

    def finish(self, job: Job, outcome: Outcome) -> None:
        """Write what came of a claimed job, and open its deliveries, in one transaction.

        Raises:
            LeaseLostError: another worker has taken it over; nothing is written.
        """
        refused = outcome.failure is not None
        with writing(self.engine) as connection:
            now = self._clock()
            state = State.REFUSED if refused else State.DONE
            columns = outcome_columns(outcome)
            self._end(connection, job, state=state, finished_at=now, **columns)
            unsent = and_(
                deliveries.c.job_id == job.id, deliveries.c.state == DeliveryState.PENDING
            )
            if refused:  # there is nothing to deliver
                connection.execute(delete(deliveries).where(unsent))
            else:
                due = {"state": DeliveryState.WAITING, "next_try_at": now}
                connection.execute(update(deliveries).where(unsent).values(**due))

    def fail(self, job: Job, failure: Failure, *, final: bool = False) -> None:
        """Write that a claimed job could not be done; it is tried again, unless it was the last.

        Args:
            job: as claimed.
            failure: why.
            final: trying again cannot help.

        Raises:
            LeaseLostError: another worker has taken it over; nothing is written.
        """
        with writing(self.engine) as connection:
            now = self._clock()
            values: dict[str, Any] = dict(failure_columns(failure))
            if final or job.attempts >= self._settings.attempts:
                values |= {"state": State.FAILED, "finished_at": now}
            else:
                wait = delay(job.attempts, self._settings.retry_seconds)
                values |= {"state": State.RECEIVED, "next_try_at": now + wait}
            self._end(connection, job, **values)

    def release(self, job: Job) -> None:
        """Give a claimed job back untried, as a worker does that is told to stop.

        Raises:
            LeaseLostError: another worker has taken it over.
        """
        with writing(self.engine) as connection:
            self._end(connection, job, state=State.RECEIVED, attempts=job.attempts - 1)

    def end_leases(self, owner: str) -> None:
        """Let the leases of a worker run out now, because it is known to be dead."""
        held = and_(jobs.c.state == State.RUNNING, jobs.c.lease_owner == owner)
        with writing(self.engine) as connection:
            connection.execute(update(jobs).where(held).values(lease_until=self._clock()))

    def rank(self, job_id: str, place: int | None) -> Job:
        """Set a human's place for a job on the work list and in the queue; None takes it away.

        Raises:
            UnknownJobError: there is none of this id.
        """
        with writing(self.engine) as connection:
            self._get(connection, job_id)
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(rank=place))
            return self._get(connection, job_id)

    def requeue(self, job_id: str) -> Job:
        """Try a job anew that was given up.

        Raises:
            UnknownJobError: there is no such job that was given up and whose image is kept.
        """
        with writing(self.engine) as connection:
            connection.execute(select(jobs.c.id).where(jobs.c.id == job_id).with_for_update())
            job = self._get(connection, job_id)
            if job.state is not State.FAILED or not job.input_kept:
                raise UnknownJobError(
                    f"Job {job_id} is not one that was given up and whose image is kept."
                )
            renew(connection, job_id, self._clock())
            return self._get(connection, job_id)

    def _submit(self, received: Received, recipe: Recipe, destinations: Sequence[str]) -> Job:
        with writing(self.engine) as connection:
            now = self._clock()
            row = connection.execute(
                select(jobs)
                .where(
                    jobs.c.input_sha256 == received.sha256,
                    jobs.c.recipe_sha256 == recipe.sha256,
                )
                .with_for_update()
            ).first()
            if row is None:
                self._check_queue(connection)
                job_id = secrets.token_hex(16)
                connection.execute(
                    insert(jobs).values(
                        id=job_id,
                        source=received.source,
                        **received_columns(received),
                        **recipe_columns(recipe),
                        state=State.RECEIVED,
                        attempts=0,
                        next_try_at=now,
                        received_at=now,
                        results_size=0,
                    )
                )
            else:
                job_id = row.id
                self._received_again(connection, job_of(row), received)
            job = self._get(connection, job_id)
            open_deliveries(connection, job, destinations, now)
            return job

    def _received_again(self, connection: Connection, job: Job, received: Received) -> None:
        columns = received_columns(received)
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(**columns))
        lost = job.state is State.DONE and (job.outcome is None or job.outcome.results is None)
        if job.state is State.FAILED or lost:
            self._check_queue(connection)
            renew(connection, job.id, self._clock())

    def _check_queue(self, connection: Connection) -> None:
        waiting = connection.execute(
            select(func.count()).select_from(jobs).where(jobs.c.state.in_(WAITING))
        ).scalar_one()
        if waiting >= self._queue_limit:
            raise BusyError(f"{waiting} jobs wait, which is as many as may.")

    def _anything_due(self) -> bool:
        now = self._clock()
        waiting = and_(jobs.c.state == State.RECEIVED, jobs.c.next_try_at <= now)
        left = and_(jobs.c.state == State.RUNNING, jobs.c.lease_until <= now)
        with reading(self.engine) as connection:
            return any(
                # Ordered as the index is, or PostgreSQL reads the table to find one row.
                connection.execute(in_turn(select(jobs.c.id).where(due)).limit(1)).first()
                for due in (waiting, left)
            )

    def _claim(self, owner: str, recipe: Recipe) -> Job | None:
        with writing(self.engine) as connection:
            now = self._clock()
            end_leases(connection, self._settings, now)
            row = next_due(connection, now)
            while row is not None and (twin := twin_of(connection, row, recipe)) is not None:
                supersede(connection, row, twin, now)
                row = next_due(connection, now)
            if row is None:
                return None
            connection.execute(
                update(jobs)
                .where(jobs.c.id == row.id)
                .values(
                    state=State.RUNNING,
                    attempts=row.attempts + 1,
                    started_at=now,
                    lease_owner=owner,
                    lease_until=now + timedelta(seconds=self._settings.lease_seconds),
                    **recipe_columns(recipe),
                )
            )
            return self._get(connection, row.id)

    def _end(self, connection: Connection, job: Job, **values: Any) -> None:
        """End a try, if the lease is still the one of `job`."""
        changed = connection.execute(
            update(jobs)
            .where(
                jobs.c.id == job.id,
                jobs.c.state == State.RUNNING,
                jobs.c.lease_owner == job.lease_owner,
                jobs.c.attempts == job.attempts,
            )
            .values(lease_owner=None, lease_until=None, **values)
        )
        if changed.rowcount != 1:
            raise LeaseLostError(f"Job {job.id} is no longer this worker's.")
