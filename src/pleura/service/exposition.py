"""What Prometheus is shown: read from the store when it asks, and nothing that names a patient.

Latencies are those of the last jobs that were finished, so their histograms go up and down (type
gauge histogram): quantiles are taken of the buckets themselves, without `rate()`.
"""

import json
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import (
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from pleura.service.errors import StoreUnavailableError
from pleura.service.logs import log_exception
from pleura.service.presence import Presence, Worker
from pleura.service.store import FINISHED, State
from pleura.service.store.clock import Clock, utc_now
from pleura.service.store.engine import reading
from pleura.service.store.tables import jobs
from pleura.service.wiring import Service

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
WINDOW_JOBS = 1000
"""Jobs whose latencies are shown."""
SIGN_SECONDS = 30
"""Within which a worker that is alive, and not judging, has given a sign."""
STAGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
JOB_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)


class Exposition:
    """The metrics of one process and of the store that it stands on.

    Args:
        service: opened.
        clock: for tests.
    """

    def __init__(self, service: Service, clock: Clock = utc_now) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_StoreCollector(service, clock))
        self._requests = Counter(
            "pleura_http_requests",
            "HTTP requests by method, template of the route and status; 0 was cut.",
            ("method", "route", "status"),
            registry=self._registry,
        )

    def count_request(self, method: str, route: str, status: int) -> None:
        """Count one HTTP request; `route` is a template and holds nothing that was sent."""
        self._requests.labels(method, route, str(status)).inc()

    def render(self) -> bytes:
        """The metrics, as `CONTENT_TYPE`."""
        return generate_latest(self._registry)


class _StoreCollector(Collector):
    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        """Nothing is read before somebody asks."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families; of a store that does not answer, only that it does not."""
        up = GaugeMetricFamily("pleura_store_up", "Whether the job store answers.")
        try:
            families = list(self._families())
        except (StoreUnavailableError, SQLAlchemyError) as error:
            log_exception(error)
            families = []
        up.add_metric((), float(bool(families)))
        yield up
        yield from families

    def _families(self) -> Iterator[Metric]:
        recipe = self._service.recipe
        model = InfoMetricFamily("pleura_model", "The model that judges what is received now.")
        model.add_metric((), {"name": recipe.model_name, "version": recipe.model_version})
        yield model
        yield from self._jobs()
        yield from self._deliveries()
        yield from _latencies(*_window(self._service.engine))
        alive = GaugeMetricFamily(
            "pleura_workers", "Workers seen lately, by model.", labels=("name", "version")
        )
        recipes = [worker.recipe for worker in live_workers(self._service, self._clock)]
        models = Tally((recipe.model_name, recipe.model_version) for recipe in recipes)
        for model_labels, count in models.items():
            alive.add_metric(model_labels, count)
        yield alive

    def _jobs(self) -> Iterator[Metric]:
        by_state = GaugeMetricFamily(
            "pleura_jobs", "Jobs by state and code of the error.", labels=("state", "code")
        )
        counts = self._service.jobs.counts()
        codes = _codes(self._service.engine)
        for state, count in counts.items():
            coded = {code: number for (of, code), number in codes.items() if of == state}
            rest = count - sum(coded.values())
            if rest > 0 or not coded:
                by_state.add_metric((state, ""), max(rest, 0))
            for code, number in coded.items():
                by_state.add_metric((state, code), number)
        yield by_state
        yield GaugeMetricFamily(
            "pleura_queue_length",
            "Jobs that wait or are being judged.",
            value=counts[State.RECEIVED] + counts[State.RUNNING],
        )
        yield GaugeMetricFamily(
            "pleura_queue_age_seconds",
            "How long the oldest of them has waited.",
            value=self._service.jobs.queue_age().total_seconds(),
        )

    def _deliveries(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "pleura_deliveries",
            "Deliveries by destination and state.",
            labels=("destination", "state"),
        )
        for (destination, state), count in self._service.deliveries.counts().items():
            family.add_metric((destination, state), count)
        yield family


def live_workers(service: Service, clock: Clock = utc_now) -> list[Worker]:
    """Workers seen lately; one that judges gives no sign until it is done."""
    within = timedelta(seconds=service.settings.worker.job_seconds + SIGN_SECONDS)
    return Presence(service.engine, clock).alive(within)


def _codes(engine: Engine) -> dict[tuple[str, str], int]:
    """Jobs without a result by state and code; the many that have one are not looked at."""
    with reading(engine) as connection:
        rows = connection.execute(
            select(jobs.c.state, jobs.c.error_code, func.count())
            .where(jobs.c.state.in_((State.REFUSED, State.FAILED)), jobs.c.error_code.is_not(None))
            .group_by(jobs.c.state, jobs.c.error_code)
        )
        return {(state, code): count for state, code, count in rows}


def _window(engine: Engine) -> tuple[list[float], dict[str, list[float]]]:
    """Seconds from received to finished, and seconds by stage, of the last jobs."""
    with reading(engine) as connection:
        rows = connection.execute(
            select(jobs.c.received_at, jobs.c.finished_at, jobs.c.timings_ms)
            .where(jobs.c.finished_at.is_not(None), jobs.c.state.in_(FINISHED))
            .order_by(jobs.c.finished_at.desc())
            .limit(WINDOW_JOBS)
        ).all()
    whole: list[float] = []
    stages: dict[str, list[float]] = {}
    for received_at, finished_at, timings in rows:
        whole.append((finished_at - received_at).total_seconds())
        for stage, elapsed_ms in json.loads(timings or "{}").items():
            stages.setdefault(stage, []).append(elapsed_ms / 1000)
    return whole, stages


def _latencies(whole: list[float], stages: dict[str, list[float]]) -> Iterator[Metric]:
    by_stage = GaugeHistogramMetricFamily(
        "pleura_stage_seconds",
        f"Seconds by stage of the last {WINDOW_JOBS} jobs; not for rate().",
        labels=("stage",),
    )
    for stage, values in stages.items():
        by_stage.add_metric((stage,), _cumulative(values, STAGE_SECONDS), sum(values))
    yield by_stage
    jobs_family = GaugeHistogramMetricFamily(
        "pleura_job_seconds",
        f"Seconds from received to finished of the last {WINDOW_JOBS} jobs; not for rate().",
    )
    jobs_family.add_metric((), _cumulative(whole, JOB_SECONDS), sum(whole))
    yield jobs_family


def _cumulative(values: Sequence[float], bounds: Sequence[float]) -> list[tuple[str, float]]:
    """Buckets as Prometheus wants them: how many values are at most each bound."""
    ordered = Tally(bisect_left(bounds, value) for value in values)
    counts, total = [], 0
    for place, bound in enumerate([*bounds, float("inf")]):
        total += ordered[place]
        counts.append(("+Inf" if bound == float("inf") else str(bound), float(total)))
    return counts
