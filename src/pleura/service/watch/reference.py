"""What days are held against: the figures of a span of days that somebody trusts.

A reference belongs to a recipe: with another model, operating point or gate, a new one is needed.
"""

from datetime import date, datetime, timedelta

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine

from pleura.errors import TooFewCasesError
from pleura.service.settings.watch import WatchSettings
from pleura.service.store import Recipe
from pleura.service.store.engine import writing
from pleura.service.watch import events
from pleura.service.watch.days import Day, days, last_day_over
from pleura.service.watch.figures import Figures, days_between, summed

_LONGEST_DAYS = 92


class Reference(BaseModel):
    """A span of days of one recipe.

    Attributes:
        figures: of all days together.
        days: days with at least one finished job.
        quiet_days: days without.
        automatic: taken by itself; not chosen by anybody.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    figures: Figures
    days: int
    quiet_days: int
    automatic: bool


def current_reference(engine: Engine, recipe: Recipe) -> Reference | None:
    """The newest reference of a recipe, if there is one."""
    for text in reversed(events.read_all(engine, events.REFERENCE)):
        reference = Reference.model_validate_json(text)
        if reference.figures.recipe_sha256 == recipe.sha256:
            return reference
    return None


def set_reference(
    engine: Engine,
    recipe: Recipe,
    settings: WatchSettings,
    first: date,
    last: date,
    now: datetime,
) -> Reference:
    """Take the days from the first to the last, both included, as the reference from now on.

    Raises:
        TooFewCasesError: they hold too few judged images of this recipe, or are too many.
        ValueError: the last lies before the first, or is not over.
    """
    if not first <= last <= last_day_over(now):
        raise ValueError("the reference's days must be in order, and over")
    if (last - first).days >= _LONGEST_DAYS:
        raise TooFewCasesError(
            f"A reference spans at most {_LONGEST_DAYS} days.", "Choose days that are alike."
        )
    reference = _reference(days(engine, first, last), recipe, automatic=False)
    if reference.figures.judged < settings.reference_images:
        raise TooFewCasesError(
            f"The days hold {reference.figures.judged} judged images of the model in use;"
            f" {settings.reference_images} are needed.",
            "Choose more days, or lower watch.reference_images.",
        )
    _write(engine, reference, now)
    return reference


def take_reference(
    engine: Engine, recipe: Recipe, settings: WatchSettings, now: datetime
) -> Reference | None:
    """Take the first days of a recipe as its reference, once there are enough.

    Enough are `watch.reference_days` with a finished job each and `watch.reference_images` among
    the last 92 days. The days end with the first that makes them enough.
    """
    last = last_day_over(now)
    found = days(engine, last - timedelta(days=_LONGEST_DAYS - 1), last)
    used = [day for day in found if _of(day, recipe) is not None]
    if not used:
        return None
    span = [day for day in found if day.day >= used[0].day]
    for end in range(settings.reference_days, len(span) + 1):
        reference = _reference(span[:end], recipe, automatic=True)
        enough = reference.figures.judged >= settings.reference_images
        if enough and reference.days >= settings.reference_days:
            _write(engine, reference, now)
            return reference
    return None


def _reference(span: list[Day], recipe: Recipe, automatic: bool) -> Reference:
    first, last = span[0].day, span[-1].day
    found = [figures for day in span if (figures := _of(day, recipe)) is not None]
    return Reference(
        figures=summed(found, first, last, recipe),
        days=len(found),
        quiet_days=len(list(days_between(first, last))) - len(found),
        automatic=automatic,
    )


def _of(day: Day, recipe: Recipe) -> Figures | None:
    for figures in day.figures:
        if figures.recipe_sha256 == recipe.sha256 and figures.finished > 0:
            return figures
    return None


def _write(engine: Engine, reference: Reference, now: datetime) -> None:
    with writing(engine) as connection:
        events.write(connection, events.REFERENCE, now, reference.model_dump_json())
