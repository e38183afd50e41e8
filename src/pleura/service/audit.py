"""The audit log: who asked for what, from where, of which job, and what was answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Row, delete, insert, select

from pleura.service.store.clock import Clock, utc_now
from pleura.service.store.engine import reading, writing
from pleura.service.store.tables import audit


@dataclass(frozen=True, slots=True)
class Access:
    """One request.

    Attributes:
        actor: name of the key; `-` for a caller without a valid one.
        address: of the caller.
        action: method and template of the route, as `GET /v1/jobs/{job_id}`.
        outcome: HTTP status.
        job_id: whose job was touched; None for none.
    """

    actor: str
    address: str
    action: str
    outcome: int
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log."""

    id: int
    at: datetime
    access: Access


class AuditLog:
    """The audit log of one database.

    Args:
        engine: from `open_engine`.
        clock: for tests.
    """

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine = engine
        self._clock = clock

    def write(self, accesses: Sequence[Access]) -> None:
        """Write lines; they are on the disk when this returns."""
        now = self._clock()
        rows = [
            {
                "at": now,
                "actor": access.actor,
                "address": access.address[:64],
                "action": access.action[:64],
                "job_id": access.job_id,
                "outcome": access.outcome,
            }
            for access in accesses
        ]
        with writing(self._engine) as connection:
            connection.execute(insert(audit), rows)

    def find(
        self,
        *,
        job_id: str | None = None,
        actor: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Line]:
        """Lines, the newest first.

        Args:
            job_id: only of this job.
            actor: only of this key.
            before: only lines older than the one of this id, the last of the page before.
            limit: of the page.
        """
        query = select(audit)
        if job_id is not None:
            query = query.where(audit.c.job_id == job_id)
        if actor is not None:
            query = query.where(audit.c.actor == actor)
        if before is not None:
            query = query.where(audit.c.id < before)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(audit.c.id.desc()).limit(limit))
            return [_line_of(row) for row in rows]

    def remove_old(self, days: float) -> int:
        """Remove lines older than so many days; returns how many."""
        limit = self._clock() - timedelta(days=days)
        with writing(self._engine) as connection:
            return connection.execute(delete(audit).where(audit.c.at < limit)).rowcount


def _line_of(row: Row[Any]) -> Line:
    access = Access(row.actor, row.address, row.action, row.outcome, row.job_id)
    return Line(row.id, row.at, access)
