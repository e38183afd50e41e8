"""Stored images judged by another model, before it is switched on: what would change?

The store is only read. The images are those of done jobs that the model in use has judged.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pleura.inference import Manifest, OperatingPoint, Prediction, Refusal, Status, find_model
from pleura.io import Input
from pleura.service.errors import CorruptInputError, MissingInputError
from pleura.service.files import FileStore
from pleura.service.recipe import load_predictor, recipe_of
from pleura.service.settings import Settings
from pleura.service.store import Job, Outcome, State
from pleura.service.store.engine import open_as_it_is
from pleura.service.store.queries import JobQueries
from pleura.service.watch.statistics import mcnemar, spearman, wilson

SCHEMA: Literal["pleura.recheck/1"] = "pleura.recheck/1"
_PAGE = 200


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ModelName(_Part):
    """A model by name and version."""

    name: str
    version: str


class Agreement(_Part):
    """Decisions of both at an operating point.

    Attributes:
        stored_point, new_point: names of the points; the same but for models with other defaults.
        stored_threshold, new_threshold: on the probability.
        both_positive, only_stored, only_new, both_negative: images.
        flip_rate: share of images on which they differ.
        flip_interval: its 95 % interval (Wilson).
        p: of McNemar's exact test.
    """

    stored_point: str
    new_point: str
    stored_threshold: float
    new_threshold: float
    both_positive: int
    only_stored: int
    only_new: int
    both_negative: int
    flip_rate: float
    flip_interval: tuple[float, float]
    p: float


class Flip(_Part):
    """A job on which the decision would change, at the point that decides."""

    job: str
    stored: float
    new: float


class Shift(_Part):
    """How far scores move: new minus stored."""

    mean: float
    median: float
    mean_absolute: float
    p05: float
    p95: float


class Recheck(_Part):
    """What another model says of stored images.

    Attributes:
        stored_model, new_model: which.
        n: images that both judged.
        missing: images that are no longer kept.
        damaged: images that are not what was received.
        other_recipe: done jobs that another model, point or gate has judged; left out.
        refused, failed: images that the new model does not judge, by code.
        decisions: at the point that decides, then at every other point that both models have.
        shift: of scores; None without images.
        rank_correlation: Spearman's; None without images or where all scores are the same.
        timing_ratio: median time of a prediction, new over stored; the machine may have had other
            work to do. None where nothing was timed.
        flips: where the decision would change.
    """

    schema_: Literal["pleura.recheck/1"] = Field(SCHEMA, alias="schema")
    stored_model: ModelName
    new_model: ModelName
    n: int
    missing: int
    damaged: int
    other_recipe: int
    refused: dict[str, int]
    failed: dict[str, int]
    decisions: tuple[Agreement, ...]
    shift: Shift | None
    rank_correlation: float | None
    timing_ratio: float | None
    flips: tuple[Flip, ...]

    @property
    def flip_rate(self) -> float:
        """Share of the images on which the decision would change."""
        return self.decisions[0].flip_rate


@dataclass(frozen=True, slots=True)
class Pair:
    """A job with both scores, in [0, 1], and both times in milliseconds."""

    job: str
    stored: float
    new: float
    stored_ms: float | None
    new_ms: float | None


def recheck(
    settings: Settings,
    model: str,
    *,
    limit: int = 1000,
    since: datetime | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> tuple[Recheck, list[Pair]]:
    """Judge stored images, the newest first, with another model, and compare.

    Args:
        settings: of the service, with the model in use.
        model: name or folder of the other one.
        limit: most images.
        since: only jobs received from then on.
        advance: called with the number of images done.

    Raises:
        ModelError: there is no such model, or it lacks the operating point of the settings.
        StoreError: the store cannot be opened, or is of another version.
    """
    newer = settings.model.model_copy(update={"model": model})
    manifests = [Manifest.read(find_model(one.model)) for one in (settings.model, newer)]
    named = settings.model.operating_point
    deciding = [manifest.operating_point(named) for manifest in manifests]
    predictor = load_predictor(newer)
    engine = open_as_it_is(settings.storage)
    try:
        stock = _Stock(JobQueries(engine), FileStore(settings.storage.folder), settings)
        pairs: list[Pair] = []
        not_judged: dict[Status, Counter[str]] = {
            Status.REFUSED: Counter(),
            Status.FAILED: Counter(),
        }
        sources, jobs = stock.sources(limit, since)
        for done, result in enumerate(predictor.predict_many(sources), 1):
            job = jobs.popleft()
            if isinstance(result, Refusal):
                not_judged[result.status][result.code] += 1
            else:
                pairs.append(_pair(job, result))
            advance(done)
    finally:
        engine.dispose()
    flips = [
        Flip(job=pair.job, stored=pair.stored, new=pair.new)
        for pair in pairs
        if (pair.stored >= deciding[0].threshold) != (pair.new >= deciding[1].threshold)
    ]
    made = Recheck(
        schema=SCHEMA,
        stored_model=ModelName(name=manifests[0].name, version=manifests[0].version),
        new_model=ModelName(name=manifests[1].name, version=manifests[1].version),
        n=len(pairs),
        missing=stock.missing,
        damaged=stock.damaged,
        other_recipe=stock.other_recipe,
        refused=dict(sorted(not_judged[Status.REFUSED].items())),
        failed=dict(sorted(not_judged[Status.FAILED].items())),
        decisions=tuple(_agreement(pairs, *points) for points in _points(manifests, deciding)),
        shift=_shift(pairs),
        rank_correlation=_rank_correlation(pairs),
        timing_ratio=_timing_ratio(pairs),
        flips=tuple(flips),
    )
    return made, pairs


class _Stock:
    """The images of done jobs, and what was left out."""

    def __init__(self, queries: JobQueries, files: FileStore, settings: Settings) -> None:
        self._queries = queries
        self._files = files
        self._recipe = recipe_of(settings.model)
        self.missing = 0
        self.damaged = 0
        self.other_recipe = 0

    def sources(self, limit: int, since: datetime | None) -> tuple[Iterator[Input], deque[Job]]:
        """Images to judge, and the queue that their jobs are put into as they are handed out."""
        jobs: deque[Job] = deque()
        return self._checked(limit, since, jobs), jobs

    def _checked(self, limit: int, since: datetime | None, jobs: deque[Job]) -> Iterator[Input]:
        taken = 0
        for job in self._done(since):
            if taken == limit:
                return
            if job.recipe != self._recipe:
                self.other_recipe += 1
                continue
            try:
                path = self._files.checked_input(job.received.sha256)
            except MissingInputError:
                self.missing += 1
            except CorruptInputError:
                self.damaged += 1
            else:
                taken += 1
                jobs.append(job)
                yield Input(job.id, path)

    def _done(self, since: datetime | None) -> Iterator[Job]:
        after = None
        while page := self._queries.find(states=[State.DONE], after=after, limit=_PAGE):
            for job in page:
                if since is not None and job.received_at < since:
                    return
                yield job
            after = page[-1].id


def _pair(job: Job, result: Prediction) -> Pair:
    outcome = job.outcome or Outcome(record="")
    return Pair(
        job=job.id,
        stored=outcome.probability or 0.0,
        new=result.probability,
        stored_ms=dict(outcome.timings_ms).get("total"),
        new_ms=result.timings_ms.get("total"),
    )


def _points(
    manifests: Sequence[Manifest], deciding: Sequence[OperatingPoint]
) -> Iterator[tuple[OperatingPoint, OperatingPoint]]:
    """The points that decide, then every other one of a name that both have."""
    yield deciding[0], deciding[1]
    stored, new = ({point.name: point for point in one.operating_points} for one in manifests)
    for name, point in stored.items():
        if name in new and (point, new[name]) != (deciding[0], deciding[1]):
            yield point, new[name]


def _agreement(pairs: Sequence[Pair], stored: OperatingPoint, new: OperatingPoint) -> Agreement:
    counts = Counter((pair.stored >= stored.threshold, pair.new >= new.threshold) for pair in pairs)
    flips = counts[True, False] + counts[False, True]
    return Agreement(
        stored_point=stored.name,
        new_point=new.name,
        stored_threshold=stored.threshold,
        new_threshold=new.threshold,
        both_positive=counts[True, True],
        only_stored=counts[True, False],
        only_new=counts[False, True],
        both_negative=counts[False, False],
        flip_rate=flips / len(pairs) if pairs else 0.0,
        flip_interval=wilson(flips, len(pairs)),
        p=mcnemar(counts[True, False], counts[False, True]),
    )


def _shift(pairs: Sequence[Pair]) -> Shift | None:
    if not pairs:
        return None
    moved = np.array([pair.new - pair.stored for pair in pairs])
    p05, median, p95 = (float(value) for value in np.quantile(moved, [0.05, 0.5, 0.95]))
    return Shift(
        mean=float(moved.mean()),
        median=median,
        mean_absolute=float(np.abs(moved).mean()),
        p05=p05,
        p95=p95,
    )


def _rank_correlation(pairs: Sequence[Pair]) -> float | None:
    if len(pairs) < 2:
        return None
    return spearman(
        np.array([pair.stored for pair in pairs]), np.array([pair.new for pair in pairs])
    )


def _timing_ratio(pairs: Sequence[Pair]) -> float | None:
    timed = [(pair.stored_ms, pair.new_ms) for pair in pairs if pair.stored_ms and pair.new_ms]
    if not timed:
        return None
    stored, new = np.median(np.array(timed, dtype=np.float64), axis=0)
    return float(new / stored)
