"""Which job comes next, and what becomes of those that need no worker; parts of a transaction."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, or_, select, update

from pleura.service.errors import SupersededError, WorkerDiedError
from pleura.service.settings.work import WorkerSettings
from pleura.service.store.backoff import delay
from pleura.service.store.opening import open_deliveries
from pleura.service.store.rows import failure_columns, failure_of, job_of
from pleura.service.store.tables import deliveries, jobs
from pleura.service.store.values import DeliveryState, Recipe, State


def next_due(connection: Connection, now: datetime) -> Row[Any] | None:
    """The job that is due first, held against other workers."""
    for turn in (jobs.c.rank.is_not(None), jobs.c.rank.is_(None)):
        due = select(jobs).where(jobs.c.state == State.RECEIVED, turn, jobs.c.next_try_at <= now)
        row = connection.execute(in_turn(due).limit(1).with_for_update(skip_locked=True)).first()
        if row is not None:
            return row
    return None


def in_turn(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """In the order in which jobs of one state are taken."""
    return query.order_by(jobs.c.rank, jobs.c.received_at, jobs.c.id)


def end_leases(connection: Connection, settings: WorkerSettings, now: datetime) -> None:
    """Jobs whose worker died or hung: back to the others, or given up after the last try."""
    run_out = and_(jobs.c.state == State.RUNNING, jobs.c.lease_until <= now)
    left = connection.execute(
        select(jobs.c.id, jobs.c.attempts).where(run_out).with_for_update(skip_locked=True)
    ).all()
    died = failure_of(WorkerDiedError("Every worker that tried this image died or hung."))
    given_up = {"state": State.FAILED, "finished_at": now, **failure_columns(died)}
    for row in left:
        wait = delay(row.attempts, settings.retry_seconds)
        again = {"state": State.RECEIVED, "next_try_at": now + wait}
        values = given_up if row.attempts >= settings.attempts else again
        connection.execute(
            update(jobs)
            .where(jobs.c.id == row.id, run_out)
            .values(lease_owner=None, lease_until=None, **values)
        )


def twin_of(connection: Connection, row: Row[Any], recipe: Recipe) -> Row[Any] | None:
    """The newer job of the same image, if this one need not be done."""
    if row.recipe_sha256 == recipe.sha256:
        return None
    newer = or_(
        jobs.c.received_at > row.received_at,
        and_(jobs.c.received_at == row.received_at, jobs.c.id > row.id),
    )
    return connection.execute(
        select(jobs)
        .where(
            jobs.c.input_sha256 == row.input_sha256,
            jobs.c.id != row.id,
            or_(
                jobs.c.recipe_sha256 == recipe.sha256,
                and_(jobs.c.state == State.RECEIVED, newer),
            ),
        )
        .limit(1)
        .with_for_update()
    ).first()


def supersede(connection: Connection, row: Row[Any], twin: Row[Any], now: datetime) -> None:
    """Give a job up for the sake of another one, which takes its deliveries over."""
    superseded = SupersededError("The image was received again, for the model of today.")
    columns = failure_columns(failure_of(superseded))
    connection.execute(
        update(jobs)
        .where(jobs.c.id == row.id)
        .values(state=State.FAILED, finished_at=now, **columns)
    )
    unsent = and_(deliveries.c.job_id == row.id, deliveries.c.state == DeliveryState.PENDING)
    names = connection.execute(select(deliveries.c.destination).where(unsent)).scalars().all()
    open_deliveries(connection, job_of(twin), names, now)
    connection.execute(delete(deliveries).where(unsent))
