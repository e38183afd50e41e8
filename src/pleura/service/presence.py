"""Which workers are there: rows of the table `workers`, renewed by each every few seconds."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, insert, select, update

from pleura.service.store import Recipe
from pleura.service.store.clock import Clock, utc_now
from pleura.service.store.engine import reading, writing
from pleura.service.store.rows import recipe_columns
from pleura.service.store.tables import workers


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that judges.

    Attributes:
        name: unique.
        started_at: its first sign of life.
        seen_at: its last one.
        recipe: what it judges with.
    """

    name: str
    started_at: datetime
    seen_at: datetime
    recipe: Recipe


class Presence:
    """The workers of one database.

    Args:
        engine: from `open_engine`.
        clock: for tests.
    """

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine = engine
        self._clock = clock

    def beat(self, name: str, recipe: Recipe) -> None:
        """Give a sign of life."""
        now = self._clock()
        with writing(self._engine) as connection:
            seen = update(workers).where(workers.c.name == name).values(seen_at=now)
            if connection.execute(seen).rowcount == 0:
                connection.execute(
                    insert(workers).values(
                        name=name, started_at=now, seen_at=now, **recipe_columns(recipe)
                    )
                )

    def leave(self, name: str) -> None:
        """Say that a worker ends."""
        with writing(self._engine) as connection:
            connection.execute(delete(workers).where(workers.c.name == name))

    def alive(self, within: timedelta) -> list[Worker]:
        """Workers that were seen in this time, by name.

        Args:
            within: longer than a job may take, because a worker that judges gives no sign.
        """
        query = select(workers).where(workers.c.seen_at >= self._clock() - within)
        with reading(self._engine) as connection:
            return [
                Worker(
                    row.name,
                    row.started_at,
                    row.seen_at,
                    Recipe(row.recipe_sha256, row.model_name, row.model_version),
                )
                for row in connection.execute(query.order_by(workers.c.name))
            ]

    def forget(self, older: timedelta) -> None:
        """Remove those that died without a word."""
        limit = self._clock() - older
        with writing(self._engine) as connection:
            connection.execute(delete(workers).where(workers.c.seen_at < limit))
