"""Jobs: taken once, claimed under a lease, finished once."""

import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Row,
    Select,
    and_,
    case,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from pleura.service.errors import (
    BusyError,
    LeaseLostError,
    SupersededError,
    UnknownJobError,
    WorkerDiedError,
)
from pleura.service.settings.work import WorkerSettings
from pleura.service.store.backoff import delay
from pleura.service.store.engine import reading, writing
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

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class JobStore:
    """The jobs of one database. Safe for many threads, processes and machines.

    Machines that share a database need clocks that agree to a few seconds: leases end by the
    clock of the one that looks.

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
        self.engine = engine
        self._settings = settings
        self._queue_limit = queue_limit
        self._clock = clock

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

        A job whose lease has run out is taken over; one whose last try was such is given up, so
        that an image that kills workers does not kill them for ever.

        Args:
            owner: unique name of the worker.
            recipe: what it judges with. A job that was received for another one, before the model
                was changed, becomes a job of this one; if the image was received for this one as
                well, the older job is given up as `superseded`.
        """
        with writing(self.engine) as connection:
            now = self._clock()
            self._give_up_orphans(connection, now)
            self._give_up_superseded(connection, recipe, now)
            due = or_(
                and_(jobs.c.state == State.RECEIVED, jobs.c.next_try_at <= now),
                and_(jobs.c.state == State.RUNNING, jobs.c.lease_until <= now),
            )
            row = connection.execute(
                select(jobs)
                .where(due)
                .order_by(
                    case((jobs.c.rank.is_(None), 1), else_=0),
                    jobs.c.rank,
                    jobs.c.received_at,
                    jobs.c.id,
                )
                .limit(1)
                .with_for_update(skip_locked=True)
            ).first()
            if row is None:
                return None
            lease = now + timedelta(seconds=self._settings.lease_seconds)
            connection.execute(
                update(jobs)
                .where(jobs.c.id == row.id)
                .values(
                    state=State.RUNNING,
                    attempts=row.attempts + 1,
                    started_at=now,
                    lease_owner=owner,
                    lease_until=lease,
                    **_recipe_columns(recipe),
                )
            )
            return self._get(connection, row.id)

    def finish(self, job: Job, outcome: Outcome) -> None:
        """Write what came of a claimed job, and open its deliveries, in one transaction.

        Raises:
            LeaseLostError: another worker has taken it over; nothing is written.
        """
        refused = outcome.failure is not None
        with writing(self.engine) as connection:
            self._end(
                connection,
                job,
                state=State.REFUSED if refused else State.DONE,
                finished_at=self._clock(),
                record=outcome.record,
                probability=outcome.probability,
                present=outcome.present,
                results=outcome.results,
                results_size=outcome.results_size,
                timings_ms=json.dumps(dict(outcome.timings_ms)),
                **_failure_columns(outcome.failure),
            )
            if refused:  # there is nothing to deliver
                connection.execute(deliveries.delete().where(deliveries.c.job_id == job.id))

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
            values: dict[str, Any] = dict(_failure_columns(failure))
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

    def get(self, job_id: str) -> Job:
        """One job.

        Raises:
            UnknownJobError: there is none of this id.
        """
        with reading(self.engine) as connection:
            return self._get(connection, job_id)

    def find(
        self,
        *,
        states: Iterable[State] = (),
        source: str | None = None,
        study_instance_uid: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Job]:
        """Jobs, the newest first.

        Args:
            states: only these; none for all.
            source: only from this sender.
            study_instance_uid: only of this study.
            after: id of the last job of the page before.
            limit: of the page.

        Raises:
            UnknownJobError: there is no job `after`.
        """
        query: Select[Any] = select(jobs)
        wanted = tuple(states)
        if wanted:
            query = query.where(jobs.c.state.in_(wanted))
        if source is not None:
            query = query.where(jobs.c.source == source)
        if study_instance_uid is not None:
            query = query.where(jobs.c.study_instance_uid == study_instance_uid)
        with reading(self.engine) as connection:
            if after is not None:
                last = self._get(connection, after)
                query = query.where(
                    or_(
                        jobs.c.received_at < last.received_at,
                        and_(jobs.c.received_at == last.received_at, jobs.c.id < last.id),
                    )
                )
            query = query.order_by(jobs.c.received_at.desc(), jobs.c.id.desc()).limit(limit)
            return [job_of(row) for row in connection.execute(query)]

    def worklist(self, *, limit: int = 100, since: datetime | None = None) -> list[Job]:
        """Done jobs as they should be looked at.

        First those that a human ranked, in this order; then the positive, then the negative, each
        the newest first. A human's rank is never lowered by the model's word.

        Args:
            limit: of the list.
            since: only jobs received from then on.
        """
        query = select(jobs).where(jobs.c.state == State.DONE)
        if since is not None:
            query = query.where(jobs.c.received_at >= since)
        query = query.order_by(
            case((jobs.c.rank.is_(None), 1), else_=0),
            jobs.c.rank,
            case((jobs.c.present.is_(True), 0), else_=1),
            jobs.c.received_at.desc(),
            jobs.c.id.desc(),
        ).limit(limit)
        with reading(self.engine) as connection:
            return [job_of(row) for row in connection.execute(query)]

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
            job = self._get(connection, job_id)
            if job.state is not State.FAILED or not job.input_kept:
                raise UnknownJobError(
                    f"Job {job_id} is not one that was given up and whose image is kept."
                )
            self._renew(connection, job_id)
            return self._get(connection, job_id)

    def counts(self) -> dict[State, int]:
        """Jobs by state; every state is listed."""
        with reading(self.engine) as connection:
            rows = connection.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state))
            found = {State(state): count for state, count in rows}
        return {state: found.get(state, 0) for state in State}

    def queue_age(self) -> timedelta:
        """How long the longest waiting job has waited; zero when none waits."""
        with reading(self.engine) as connection:
            oldest = connection.execute(
                select(jobs.c.received_at)
                .where(jobs.c.state.in_((State.RECEIVED, State.RUNNING)))
                .order_by(jobs.c.received_at)
                .limit(1)
            ).scalar_one_or_none()
        return timedelta(0) if oldest is None else max(self._clock() - oldest, timedelta(0))

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
                        input_sha256=received.sha256,
                        input_size=received.size,
                        input_name=received.name,
                        input_kept=True,
                        source=received.source,
                        sop_instance_uid=received.sop_instance_uid,
                        study_instance_uid=received.study_instance_uid,
                        **_recipe_columns(recipe),
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
            self._open_deliveries(connection, job_id, destinations, now)
            return self._get(connection, job_id)

    def _received_again(self, connection: Connection, job: Job, received: Received) -> None:
        kept = {
            "input_kept": True,
            "input_name": received.name,
            "sop_instance_uid": received.sop_instance_uid,
            "study_instance_uid": received.study_instance_uid,
        }
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(**kept))
        lost = job.state is State.DONE and (job.outcome is None or job.outcome.results is None)
        if job.state is State.FAILED or lost:
            self._check_queue(connection)
            self._renew(connection, job.id)

    def _renew(self, connection: Connection, job_id: str) -> None:
        connection.execute(
            update(jobs)
            .where(jobs.c.id == job_id)
            .values(
                state=State.RECEIVED,
                attempts=0,
                next_try_at=self._clock(),
                finished_at=None,
                **_failure_columns(None),
            )
        )

    def _open_deliveries(
        self, connection: Connection, job_id: str, destinations: Sequence[str], now: datetime
    ) -> None:
        """One row for each destination; it is due when the job is done."""
        known = set(
            connection.execute(
                select(deliveries.c.destination).where(deliveries.c.job_id == job_id)
            ).scalars()
        )
        state = self._get(connection, job_id).state
        for name in dict.fromkeys(destinations):
            if name not in known and state is not State.REFUSED:
                connection.execute(
                    insert(deliveries).values(
                        job_id=job_id,
                        destination=name,
                        state=DeliveryState.WAITING,
                        attempts=0,
                        next_try_at=now,
                    )
                )

    def _check_queue(self, connection: Connection) -> None:
        waiting = connection.execute(
            select(func.count()).where(jobs.c.state.in_((State.RECEIVED, State.RUNNING)))
        ).scalar_one()
        if waiting >= self._queue_limit:
            raise BusyError(f"{waiting} jobs wait, which is as many as may.")

    def _give_up_orphans(self, connection: Connection, now: datetime) -> None:
        died = WorkerDiedError("Every worker that tried this image died or hung.")
        connection.execute(
            update(jobs)
            .where(
                jobs.c.state == State.RUNNING,
                jobs.c.lease_until <= now,
                jobs.c.attempts >= self._settings.attempts,
            )
            .values(
                state=State.FAILED,
                finished_at=now,
                lease_owner=None,
                lease_until=None,
                **_failure_columns(failure_of(died)),
            )
        )

    def _give_up_superseded(self, connection: Connection, recipe: Recipe, now: datetime) -> None:
        """Give up jobs of other recipes whose image has a job of this one, or a newer one."""
        other = jobs.alias("other")
        newer = and_(
            other.c.recipe_sha256 != jobs.c.recipe_sha256,
            other.c.state == State.RECEIVED,
            or_(
                other.c.received_at > jobs.c.received_at,
                and_(other.c.received_at == jobs.c.received_at, other.c.id > jobs.c.id),
            ),
        )
        twice = (
            select(other.c.id)
            .where(
                other.c.input_sha256 == jobs.c.input_sha256,
                or_(other.c.recipe_sha256 == recipe.sha256, newer),
            )
            .exists()
        )
        superseded = SupersededError("The image was received for the model of today as well.")
        connection.execute(
            update(jobs)
            .where(
                jobs.c.state == State.RECEIVED,
                jobs.c.recipe_sha256 != recipe.sha256,
                twice,
            )
            .values(state=State.FAILED, finished_at=now, **_failure_columns(failure_of(superseded)))
        )

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

    def _get(self, connection: Connection, job_id: str) -> Job:
        row = connection.execute(select(jobs).where(jobs.c.id == job_id)).first()
        if row is None:
            raise UnknownJobError("There is no job of this id.")
        return job_of(row)


def failure_of(error: Any) -> Failure:
    """The failure that a typed error states."""
    return Failure(error.code, error.message, error.hint)


def job_of(row: Row[Any]) -> Job:
    """A row as a value."""
    failure = None
    if row.error_code is not None:
        failure = Failure(row.error_code, row.error_message or "", row.error_hint or "")
    state = State(row.state)
    outcome = None
    if row.record is not None:
        outcome = Outcome(
            record=row.record,
            probability=row.probability,
            present=row.present,
            results=row.results,
            results_size=row.results_size,
            failure=failure if state is State.REFUSED else None,
            timings_ms=tuple(json.loads(row.timings_ms or "{}").items()),
        )
    return Job(
        id=row.id,
        received=Received(
            sha256=row.input_sha256,
            size=row.input_size,
            name=row.input_name,
            source=row.source,
            sop_instance_uid=row.sop_instance_uid,
            study_instance_uid=row.study_instance_uid,
        ),
        recipe=Recipe(row.recipe_sha256, row.model_name, row.model_version),
        state=state,
        attempts=row.attempts,
        rank=row.rank,
        next_try_at=row.next_try_at,
        received_at=row.received_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        lease_owner=row.lease_owner,
        lease_until=row.lease_until,
        outcome=outcome,
        failure=failure,
        input_kept=row.input_kept,
    )


def _failure_columns(failure: Failure | None) -> dict[str, str | None]:
    return {
        "error_code": None if failure is None else failure.code,
        "error_message": None if failure is None else failure.message,
        "error_hint": None if failure is None else failure.hint,
    }


def _recipe_columns(recipe: Recipe) -> dict[str, str]:
    return {
        "recipe_sha256": recipe.sha256,
        "model_name": recipe.model_name,
        "model_version": recipe.model_version,
    }
