"""Beginning a job and its deliveries, once more or for the first time; parts of a transaction."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, insert, select, update

from pleura.service.store.rows import failure_columns, outcome_columns
from pleura.service.store.tables import deliveries, jobs
from pleura.service.store.values import DeliveryState, Job, State


def renew(connection: Connection, job_id: str, now: datetime) -> None:
    """Begin a job anew: nothing came of it yet."""
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(
            state=State.RECEIVED,
            attempts=0,
            next_try_at=now,
            started_at=None,
            finished_at=None,
            **outcome_columns(None),
        )
    )


def open_deliveries(
    connection: Connection, job: Job, destinations: Sequence[str], now: datetime
) -> None:
    """One row for each destination; it is due when the job is done."""
    if job.state is State.REFUSED:
        return
    state = DeliveryState.WAITING if job.state is State.DONE else DeliveryState.PENDING
    opened = {"state": state, "attempts": 0, "next_try_at": now}
    of_job = deliveries.c.job_id == job.id
    known = set(connection.execute(select(deliveries.c.destination).where(of_job)).scalars())
    for name in dict.fromkeys(destinations):
        if name not in known:
            connection.execute(insert(deliveries).values(job_id=job.id, destination=name, **opened))
    if known:  # those that were given up get another chance, too
        given_up = and_(of_job, deliveries.c.state == DeliveryState.FAILED)
        again = {**opened, "finished_at": None, **failure_columns(None)}
        connection.execute(update(deliveries).where(given_up).values(**again))
