"""Deliveries: the results of a job on their way to a destination, tried until they arrive."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, select, update

from pleura.service.errors import (
    AbandonedError,
    LeaseLostError,
    UnknownJobError,
    WorkerDiedError,
)
from pleura.service.settings.work import WorkerSettings
from pleura.service.store.backoff import delay
from pleura.service.store.clock import Clock, utc_now
from pleura.service.store.engine import reading, writing
from pleura.service.store.rows import delivery_of, failure_columns, failure_of
from pleura.service.store.tables import deliveries, jobs
from pleura.service.store.values import Delivery, DeliveryState, Failure


class DeliveryStore:
    """The deliveries of one database; `JobStore.submit` opens them.

    Args:
        engine: from `open_engine`.
        settings: leases, attempts and the time between them.
        clock: for tests.
    """

    def __init__(self, engine: Engine, settings: WorkerSettings, clock: Clock = utc_now) -> None:
        self.engine = engine
        self._settings = settings
        self._clock = clock

    def claim(self, owner: str, destinations: Iterable[str]) -> Delivery | None:
        """Take the next delivery of a done job.

        One whose lease has run out is tried again like one that failed, and given up if that was
        its last try.

        Args:
            owner: unique name of the one who delivers.
            destinations: names of those it can reach.
        """
        names = tuple(dict.fromkeys(destinations))
        with reading(self.engine) as connection:  # looking takes no lock that others wait for
            now = self._clock()
            left = self._left(connection, names, now)
            if not left and not self._due(connection, names, now):
                return None
        with writing(self.engine) as connection:
            now = self._clock()
            self._end_leases(connection, names, now)
            due = self._due(connection, names, now)
            rows = (self._next(connection, name, now, lock=True) for name in due)
            row = next((row for row in rows if row is not None), None)
            if row is None:
                return None
            connection.execute(
                update(deliveries)
                .where(deliveries.c.id == row.id)
                .values(
                    state=DeliveryState.SENDING,
                    attempts=row.attempts + 1,
                    lease_owner=owner,
                    lease_until=now + timedelta(seconds=self._settings.lease_seconds),
                )
            )
            claimed = connection.execute(select(deliveries).where(deliveries.c.id == row.id))
            return delivery_of(claimed.one())

    def sent(self, delivery: Delivery, owner: str) -> None:
        """Write that everything has arrived.

        Raises:
            LeaseLostError: another one has taken it over.
        """
        self._end(
            delivery,
            owner,
            state=DeliveryState.SENT,
            finished_at=self._clock(),
            **failure_columns(None),
        )

    def failed(
        self, delivery: Delivery, owner: str, failure: Failure, *, final: bool = False
    ) -> None:
        """Write that it did not arrive; it is tried again, unless it was the last time.

        Args:
            delivery: as claimed.
            owner: who claimed it.
            failure: why.
            final: trying again cannot help.

        Raises:
            LeaseLostError: another one has taken it over.
        """
        now = self._clock()
        values: dict[str, Any] = dict(failure_columns(failure))
        if final or delivery.attempts >= self._settings.delivery_attempts:
            values |= {"state": DeliveryState.FAILED, "finished_at": now}
        else:
            wait = delay(delivery.attempts, self._settings.retry_seconds)
            values |= {"state": DeliveryState.WAITING, "next_try_at": now + wait}
        self._end(delivery, owner, **values)

    def of_job(self, job_id: str) -> list[Delivery]:
        """All deliveries of one job, by destination."""
        with reading(self.engine) as connection:
            rows = connection.execute(
                select(deliveries)
                .where(deliveries.c.job_id == job_id)
                .order_by(deliveries.c.destination)
            )
            return [delivery_of(row) for row in rows]

    def find(
        self, state: DeliveryState | None = None, limit: int = 100, *, after: int = 0
    ) -> list[Delivery]:
        """Deliveries, the oldest first.

        Args:
            state: only in this one; None for all.
            limit: of the page.
            after: id of the last delivery of the page before.
        """
        query = select(deliveries).where(deliveries.c.id > after)
        if state is not None:
            query = query.where(deliveries.c.state == state)
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(deliveries.c.id).limit(limit))
            return [delivery_of(row) for row in rows]

    def release(self, delivery: Delivery, owner: str) -> None:
        """Give a claimed delivery back untried, as one does that is told to stop.

        Raises:
            LeaseLostError: another one has taken it over.
        """
        attempts = delivery.attempts - 1
        self._end(delivery, owner, state=DeliveryState.WAITING, attempts=attempts)

    def requeue(self, delivery_id: int) -> None:
        """Try a delivery anew that was given up.

        Raises:
            UnknownJobError: there is none such, or the results were removed.
        """
        with writing(self.engine) as connection:
            # Held, so that the results are not removed at the same moment.
            of_delivery = select(deliveries.c.job_id).where(deliveries.c.id == delivery_id)
            job = connection.execute(
                select(jobs.c.results)
                .where(jobs.c.id.in_(of_delivery), jobs.c.results.is_not(None))
                .with_for_update()
            ).first()
            changed = connection.execute(
                update(deliveries)
                .where(deliveries.c.id == delivery_id, deliveries.c.state == DeliveryState.FAILED)
                .values(
                    state=DeliveryState.WAITING,
                    attempts=0,
                    next_try_at=self._clock(),
                    finished_at=None,
                )
            )
            if job is None or changed.rowcount != 1:
                raise UnknownJobError(
                    f"There is no delivery {delivery_id} that was given up and whose results are"
                    " kept."
                )

    def give_up_abandoned(self, before: datetime) -> int:
        """Give up what has been due since then and was not tried; returns how many.

        So it is with a destination that was taken out of the settings: its deliveries would keep
        results for ever.
        """
        abandoned = AbandonedError("Nobody tries this delivery any more.")
        with writing(self.engine) as connection:
            return connection.execute(
                update(deliveries)
                .where(
                    deliveries.c.state == DeliveryState.WAITING, deliveries.c.next_try_at < before
                )
                .values(
                    state=DeliveryState.FAILED,
                    finished_at=self._clock(),
                    **failure_columns(failure_of(abandoned)),
                )
            ).rowcount

    def counts(self) -> dict[tuple[str, DeliveryState], int]:
        """Deliveries by destination and state."""
        with reading(self.engine) as connection:
            rows = connection.execute(
                select(deliveries.c.destination, deliveries.c.state, func.count()).group_by(
                    deliveries.c.destination, deliveries.c.state
                )
            )
            return {(name, DeliveryState(state)): count for name, state, count in rows}

    def _due(self, connection: Connection, names: Iterable[str], now: datetime) -> list[str]:
        """Destinations with a delivery that is due, the one that has been so for longest first."""
        rows = [self._next(connection, name, now, lock=False) for name in names]
        found = sorted(
            (row.next_try_at, row.id, row.destination) for row in rows if row is not None
        )
        return [name for _, _, name in found]

    def _next(
        self, connection: Connection, name: str, now: datetime, *, lock: bool
    ) -> Row[Any] | None:
        """The delivery to one destination that has been due for longest; its job is done."""
        query = (
            select(deliveries)
            .where(
                deliveries.c.destination == name,
                deliveries.c.state == DeliveryState.WAITING,
                deliveries.c.next_try_at <= now,
            )
            .order_by(deliveries.c.next_try_at, deliveries.c.id)
            .limit(1)
        )
        if lock:
            query = query.with_for_update(skip_locked=True)
        return connection.execute(query).first()

    def _left(
        self, connection: Connection, names: tuple[str, ...], now: datetime, *, lock: bool = False
    ) -> Sequence[Any]:
        """Deliveries whose process died or hung."""
        query = select(deliveries.c.id, deliveries.c.attempts).where(
            deliveries.c.destination.in_(names),
            deliveries.c.state == DeliveryState.SENDING,
            deliveries.c.lease_until <= now,
        )
        if lock:
            query = query.with_for_update(skip_locked=True)
        return connection.execute(query).all()

    def _end_leases(self, connection: Connection, names: tuple[str, ...], now: datetime) -> None:
        """What was left goes back to the others, or is given up after the last try."""
        died = failure_of(WorkerDiedError("Every process that tried this delivery died or hung."))
        given_up = {"state": DeliveryState.FAILED, "finished_at": now, **failure_columns(died)}
        for row in self._left(connection, names, now, lock=True):
            wait = delay(row.attempts, self._settings.retry_seconds)
            again = {"state": DeliveryState.WAITING, "next_try_at": now + wait}
            values = given_up if row.attempts >= self._settings.delivery_attempts else again
            connection.execute(
                update(deliveries)
                .where(deliveries.c.id == row.id)
                .values(lease_owner=None, lease_until=None, **values)
            )

    def _end(self, delivery: Delivery, owner: str, **values: Any) -> None:
        with writing(self.engine) as connection:
            changed = connection.execute(
                update(deliveries)
                .where(
                    deliveries.c.id == delivery.id,
                    deliveries.c.state == DeliveryState.SENDING,
                    deliveries.c.lease_owner == owner,
                    deliveries.c.attempts == delivery.attempts,
                )
                .values(lease_owner=None, lease_until=None, **values)
            )
            if changed.rowcount != 1:
                raise LeaseLostError(f"Delivery {delivery.id} is no longer this one's.")
