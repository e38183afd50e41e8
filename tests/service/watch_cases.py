"""Simulated days, as figures and as jobs in a store."""

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from sqlalchemy import insert

from pleura.service.store import Recipe, State
from pleura.service.store.engine import writing
from pleura.service.store.tables import jobs
from pleura.service.watch import Figures, Reference
from pleura.service.watch.bins import SCORES, TIMES_MS
from pleura.service.watch.figures import no_figures
from pleura.service.wiring import Service

RECIPE = Recipe("a" * 64, "tiny", "0.0.1")
FIRST = date(2026, 1, 5)  # a Monday
THRESHOLD = 0.5


@dataclass(frozen=True)
class Practice:
    """What a site's days are like.

    Attributes:
        images: mean number of a day.
        positive: share of radiographs with the finding.
        shift: added to the log odds of every score, as another detector might.
        refused, failed: shares.
        median_ms: of the time from receipt to result.
    """

    images: float = 120
    positive: float = 0.1
    shift: float = 0.0
    refused: float = 0.03
    failed: float = 0.002
    median_ms: float = 2_000.0

    def day(self, draws: np.random.Generator, day: date = FIRST) -> Figures:
        """One day's figures by chance."""
        n = int(draws.poisson(self.images))
        failed = int(draws.binomial(n, self.failed))
        refused = int(draws.binomial(n - failed, self.refused))
        judged = n - failed - refused
        ill = draws.random(judged) < self.positive
        odds = np.where(ill, draws.normal(2.0, 1.0, judged), draws.normal(-3.0, 1.2, judged))
        scores = 1 / (1 + np.exp(-(odds + self.shift)))
        waits = self.median_ms * np.exp(draws.normal(0.0, 0.5, n - failed))
        return no_figures(day, RECIPE).model_copy(
            update={
                "judged": judged,
                "positive": int((scores >= THRESHOLD).sum()),
                "refused": {"picture_lateral": refused} if refused else {},
                "failed": {"worker_died": failed} if failed else {},
                "scores": SCORES.bins(scores),
                "waits": TIMES_MS.bins(waits),
            }
        )

    def days(self, draws: np.random.Generator, count: int) -> list[Figures]:
        """Several days in a row."""
        return [self.day(draws, FIRST + timedelta(days=number)) for number in range(count)]


def reference_of(days: list[Figures]) -> Reference:
    return Reference(figures=total(days), days=len(days), quiet_days=0, automatic=True)


def total(days: Iterable[Figures]) -> Figures:
    return reduce(add, days)


def at(day: date, hour: float = 12) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC) + timedelta(hours=hour)


def job_row(
    service: Service,
    finished: datetime,
    *,
    score: float = 0.1,
    code: str | None = None,
    state: State = State.DONE,
    wait_s: float = 2.0,
    total_ms: float = 150.0,
    warnings: tuple[str, ...] = (),
    recipe: Recipe | None = None,
) -> dict[str, Any]:
    """A finished job, as the judge would have left it."""
    recipe = service.recipe if recipe is None else recipe
    record = {"quality": {"warnings": [{"code": one, "message": ""} for one in warnings]}}
    judged = state is State.DONE
    return {
        "id": secrets.token_hex(16),
        "input_sha256": secrets.token_hex(32),
        "input_size": 1,
        "input_name": "",
        "input_kept": False,
        "source": "test",
        "sop_instance_uid": "",
        "study_instance_uid": "",
        "recipe_sha256": recipe.sha256,
        "model_name": recipe.model_name,
        "model_version": recipe.model_version,
        "state": state,
        "attempts": 1,
        "next_try_at": finished,
        "received_at": finished - timedelta(seconds=wait_s),
        "finished_at": finished,
        "record": json.dumps(record) if judged else None,
        "probability": score if judged else None,
        "present": score >= THRESHOLD if judged else None,
        "results_size": 0,
        "timings_ms": json.dumps({"total": total_ms}) if judged else None,
        "error_code": code,
    }


def put(service: Service, rows: Sequence[dict[str, Any]]) -> None:
    """Into the store, all at once."""
    with writing(service.engine) as connection:
        connection.execute(insert(jobs), list(rows))


def put_job(service: Service, finished: datetime, **given: Any) -> None:
    """One job; see `job_row`."""
    put(service, [job_row(service, finished, **given)])
