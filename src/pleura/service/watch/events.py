"""Rows of the table `events`: what the watch remembers from one day to the next."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select

from pleura.service.store.engine import reading
from pleura.service.store.tables import events

DAY = "watch.day"
REFERENCE = "watch.reference"
ALARM = "watch.alarm"
SELFTEST = "watch.selftest"
RUN = "watch.run"

_LOCK = 0x77617463


def lock(connection: Connection) -> None:
    """Let one process at a time decide what to write; SQLite's writers wait by themselves."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


def write(connection: Connection, kind: str, at: datetime, detail: str) -> None:
    """Add a row.

    Args:
        connection: of a transaction that writes.
        kind: one of the names above.
        at: when it happened.
        detail: JSON.
    """
    connection.execute(insert(events).values(at=at, kind=kind, detail=detail))


def read(connection: Connection, kind: str, since: datetime | None = None) -> list[str]:
    """The details of one kind, the oldest first."""
    query = select(events.c.detail).where(events.c.kind == kind)
    if since is not None:
        query = query.where(events.c.at >= since)
    rows: Any = connection.execute(query.order_by(events.c.id)).scalars()
    return list(rows)


def read_all(engine: Engine, kind: str, since: datetime | None = None) -> list[str]:
    """`read` in a transaction of its own."""
    with reading(engine) as connection:
        return read(connection, kind, since)


def forget(connection: Connection, kind: str, before: datetime) -> None:
    """Remove rows of one kind."""
    connection.execute(delete(events).where(events.c.kind == kind, events.c.at < before))
