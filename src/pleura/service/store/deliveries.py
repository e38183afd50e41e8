"""Deliveries: the results of a job on their way to a destination, tried until they arrive."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, Row, and_, func, or_, select, update

from pleura.service.errors import LeaseLostError, UnknownJobError
from pleura.service.settings.work import WorkerSettings
from pleura.service.store.backoff import delay
from pleura.service.store.engine import reading, writing
from pleura.service.store.jobs import Clock, utc_now
from pleura.service.store.tables import deliveries, jobs
from pleura.service.store.values import Delivery, DeliveryState, Failure, State


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

        Args:
            owner: unique name of the one who delivers.
            destinations: names of those it can reach.
        """
        with writing(self.engine) as connection:
            now = self._clock()
            due = or_(
                and_(deliveries.c.state == DeliveryState.WAITING, deliveries.c.next_try_at <= now),
                and_(deliveries.c.state == DeliveryState.SENDING, deliveries.c.lease_until <= now),
            )
            row = connection.execute(
                select(deliveries)
                .join(jobs, jobs.c.id == deliveries.c.job_id)
                .where(
                    due,
                    jobs.c.state == State.DONE,
                    jobs.c.results.is_not(None),
                    deliveries.c.destination.in_(tuple(destinations)),
                )
                .order_by(deliveries.c.next_try_at, deliveries.c.id)
                .limit(1)
                .with_for_update(skip_locked=True, of=deliveries)
            ).first()
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
            return _delivery_of(claimed.one())

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
            error_code=None,
            error_message=None,
            error_hint=None,
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
        values: dict[str, Any] = {
            "error_code": failure.code,
            "error_message": failure.message,
            "error_hint": failure.hint,
        }
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
            return [_delivery_of(row) for row in rows]

    def find(self, state: DeliveryState, limit: int = 100) -> list[Delivery]:
        """Deliveries in one state, the oldest first."""
        with reading(self.engine) as connection:
            rows = connection.execute(
                select(deliveries)
                .where(deliveries.c.state == state)
                .order_by(deliveries.c.id)
                .limit(limit)
            )
            return [_delivery_of(row) for row in rows]

    def requeue(self, delivery_id: int) -> None:
        """Try a delivery anew that was given up.

        Raises:
            UnknownJobError: there is none such.
        """
        with writing(self.engine) as connection:
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
            if changed.rowcount != 1:
                raise UnknownJobError(f"There is no delivery {delivery_id} that was given up.")

    def counts(self) -> dict[tuple[str, DeliveryState], int]:
        """Deliveries by destination and state."""
        with reading(self.engine) as connection:
            rows = connection.execute(
                select(deliveries.c.destination, deliveries.c.state, func.count()).group_by(
                    deliveries.c.destination, deliveries.c.state
                )
            )
            return {(name, DeliveryState(state)): count for name, state, count in rows}

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


def _delivery_of(row: Row[Any]) -> Delivery:
    failure = None
    if row.error_code is not None:
        failure = Failure(row.error_code, row.error_message or "", row.error_hint or "")
    return Delivery(
        id=row.id,
        job_id=row.job_id,
        destination=row.destination,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_try_at=row.next_try_at,
        finished_at=row.finished_at,
        failure=failure,
    )
