"""The figures of past days, kept when a day is over: they outlive the jobs that they came from."""

from datetime import UTC, date, datetime, time, timedelta

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine

from pleura.service.store.engine import writing
from pleura.service.watch import events
from pleura.service.watch.figures import Figures, days_between, figures_of_day

# The clocks of machines that share a database differ a little.
_CLOCKS = timedelta(minutes=5)


class Day(BaseModel):
    """One day, and what each recipe did on it; none where no job was finished."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    day: date
    figures: tuple[Figures, ...] = ()


def last_day_over(now: datetime) -> date:
    """The last day that is over."""
    return (now.astimezone(UTC) - _CLOCKS).date() - timedelta(days=1)


def days(engine: Engine, first: date, last: date) -> list[Day]:
    """Every day among these, both ends included: as it was kept, else reckoned from the jobs."""
    kept = _kept(engine, first, last)
    return [
        kept[day] if day in kept else Day(day=day, figures=tuple(figures_of_day(engine, day)))
        for day in days_between(first, last)
    ]


def keep_days(engine: Engine, first: date, now: datetime) -> None:
    """Keep the days from the first on that are over and not kept yet.

    Where two processes keep the same day at once, both rows say the same.
    """
    last = last_day_over(now)
    kept = _kept(engine, first, last)
    for day in days_between(first, last):
        if day not in kept:
            found = Day(day=day, figures=tuple(figures_of_day(engine, day)))
            with writing(engine) as connection:
                events.write(connection, events.DAY, now, found.model_dump_json())


def _kept(engine: Engine, first: date, last: date) -> dict[date, Day]:
    since = datetime.combine(first, time(), tzinfo=UTC)
    found = (Day.model_validate_json(text) for text in events.read_all(engine, events.DAY, since))
    return {day.day: day for day in found if first <= day.day <= last}
