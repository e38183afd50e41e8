"""The figures of a day: what was judged, refused and given up, the scores, and how long it took.

A day is a UTC day, and a job belongs to the day on which it was finished, so that a day's figures
are final when it is over. Figures add up: those of a week are the sum of its days.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine, select

from pleura.service.errors import SupersededError
from pleura.service.store import FINISHED, Recipe, State
from pleura.service.store.engine import reading
from pleura.service.store.tables import jobs
from pleura.service.watch.bins import SCORES, TIMES_MS, added, added_bins

TENTHS = 10
_ROWS_AT_ONCE = 200


class Figures(BaseModel):
    """What came of the jobs of one recipe that were finished on some days.

    Attributes:
        first, last: the days, both included.
        recipe_sha256, model_name, model_version: what judged; see `Recipe`.
        judged: jobs with a score.
        positive: of these, with the finding at the operating point.
        refused: refused jobs by code.
        failed: jobs that were given up, by code; not those that a newer model superseded.
        warned: judged jobs with at least one warning.
        warnings: judged jobs by code of a warning.
        scores: judged jobs by bin of the score, see `SCORES`.
        histogram: judged jobs by tenth of the score: [0, 0.1), ... [0.9, 1].
        waits: judged and refused jobs by bin of the time from receipt to result, see `TIMES_MS`.
        totals: judged jobs by bin of the prediction's `total` time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: date
    last: date
    recipe_sha256: str
    model_name: str
    model_version: str
    judged: int = 0
    positive: int = 0
    refused: dict[str, int] = {}
    failed: dict[str, int] = {}
    warned: int = 0
    warnings: dict[str, int] = {}
    scores: dict[int, int] = {}
    histogram: tuple[int, ...] = (0,) * TENTHS
    waits: dict[int, int] = {}
    totals: dict[int, int] = {}

    @property
    def refusals(self) -> int:
        """Refused jobs."""
        return sum(self.refused.values())

    @property
    def failures(self) -> int:
        """Jobs that were given up."""
        return sum(self.failed.values())

    @property
    def answered(self) -> int:
        """Jobs that were judged or refused."""
        return self.judged + self.refusals

    @property
    def finished(self) -> int:
        """All jobs."""
        return self.answered + self.failures

    def deciles(self) -> list[float]:
        """The scores that 10, 20, ... 90 of 100 judged jobs do not exceed; empty without any."""
        found = (SCORES.quantile(self.scores, tenth / TENTHS) for tenth in range(1, TENTHS))
        return [value for value in found if value is not None]

    def wait_ms(self, share: float) -> float | None:
        """A quantile of the time from receipt to result."""
        return TIMES_MS.quantile(self.waits, share)

    def total_ms(self, share: float) -> float | None:
        """A quantile of the prediction's total time."""
        return TIMES_MS.quantile(self.totals, share)

    def __add__(self, other: Self) -> Self:
        """Both together; what judged is the later one's."""
        earlier, later = sorted((self, other), key=lambda figures: figures.last)
        return type(self)(
            first=min(self.first, other.first),
            last=later.last,
            recipe_sha256=later.recipe_sha256,
            model_name=later.model_name,
            model_version=later.model_version,
            judged=self.judged + other.judged,
            positive=self.positive + other.positive,
            refused=added(earlier.refused, later.refused),
            failed=added(earlier.failed, later.failed),
            warned=self.warned + other.warned,
            warnings=added(earlier.warnings, later.warnings),
            scores=added_bins(self.scores, other.scores),
            histogram=tuple(a + b for a, b in zip(self.histogram, other.histogram, strict=True)),
            waits=added_bins(self.waits, other.waits),
            totals=added_bins(self.totals, other.totals),
        )


def no_figures(day: date, recipe: Recipe) -> Figures:
    """The figures of a day without jobs."""
    return Figures(
        first=day,
        last=day,
        recipe_sha256=recipe.sha256,
        model_name=recipe.model_name,
        model_version=recipe.model_version,
    )


def summed(days: Iterable[Figures], first: date, last: date, recipe: Recipe) -> Figures:
    """The figures of some days together, of one recipe; days without jobs are none."""
    total = no_figures(first, recipe)
    for figures in days:
        if figures.recipe_sha256 == recipe.sha256 and first <= figures.first <= last:
            total = total + figures
    return total.model_copy(update={"first": first, "last": last})


def figures_of_day(engine: Engine, day: date) -> list[Figures]:
    """The figures of a day, one entry for each recipe that judged on it, by model and version."""
    with reading(engine) as connection:
        start = datetime.combine(day, time(), tzinfo=UTC)
        rows = connection.execute(
            select(
                jobs.c.recipe_sha256,
                jobs.c.model_name,
                jobs.c.model_version,
                jobs.c.state,
                jobs.c.probability,
                jobs.c.present,
                jobs.c.error_code,
                jobs.c.received_at,
                jobs.c.finished_at,
                jobs.c.timings_ms,
                jobs.c.record,
            )
            .where(
                jobs.c.state.in_(FINISHED),
                jobs.c.finished_at >= start,
                jobs.c.finished_at < start + timedelta(days=1),
            )
            .execution_options(yield_per=_ROWS_AT_ONCE)
        )
        counted: dict[str, _Count] = {}
        for row in rows:
            recipe = Recipe(row.recipe_sha256, row.model_name, row.model_version)
            counted.setdefault(recipe.sha256, _Count(recipe)).add(row)
    found = [count.figures(day) for count in counted.values()]
    return sorted(found, key=lambda one: (one.model_name, one.model_version, one.recipe_sha256))


def days_between(first: date, last: date) -> Iterator[date]:
    """The days, both included."""
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


class _Count:
    """The jobs of one recipe, counted one at a time."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._positive = 0
        self._warned = 0
        self._refused: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._warnings: Counter[str] = Counter()
        self._scores: list[float] = []
        self._waits: list[float] = []
        self._totals: list[float] = []

    def add(self, row: Any) -> None:
        if row.state == State.FAILED:
            if row.error_code != SupersededError.code:
                self._failed[row.error_code or "unknown"] += 1
            return
        self._waits.append((row.finished_at - row.received_at).total_seconds() * 1000)
        if row.state == State.REFUSED or row.probability is None:
            self._refused[row.error_code or "unknown"] += 1
            return
        self._scores.append(row.probability)
        self._positive += bool(row.present)
        total = json.loads(row.timings_ms or "{}").get("total")
        if total is not None:
            self._totals.append(total)
        codes = _warning_codes(row.record)
        self._warned += bool(codes)
        self._warnings.update(codes)

    def figures(self, day: date) -> Figures:
        histogram, _ = np.histogram(self._scores, bins=TENTHS, range=(0.0, 1.0))
        return no_figures(day, self._recipe).model_copy(
            update={
                "judged": len(self._scores),
                "positive": self._positive,
                "refused": dict(sorted(self._refused.items())),
                "failed": dict(sorted(self._failed.items())),
                "warned": self._warned,
                "warnings": dict(sorted(self._warnings.items())),
                "scores": SCORES.bins(self._scores),
                "histogram": tuple(int(count) for count in histogram),
                "waits": TIMES_MS.bins(self._waits),
                "totals": TIMES_MS.bins(self._totals),
            }
        )


def _warning_codes(record: str | None) -> set[str]:
    """The codes in a result as JSON; none where retention has removed it."""
    warnings: Sequence[Any] = json.loads(record or "{}").get("quality", {}).get("warnings", ())
    return {str(warning["code"]) for warning in warnings}
