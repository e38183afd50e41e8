"""For those who run it: does it live, can it work, what does it do."""

from typing import Any

from fastapi import APIRouter, Depends, Response
from sqlalchemy.exc import SQLAlchemyError

from pleura.service.api.access import need
from pleura.service.api.context import Context, Here
from pleura.service.api.examples import example
from pleura.service.api.responses import KEYED, problems
from pleura.service.api.views import Health, Readiness
from pleura.service.errors import BusyError, StoreUnavailableError
from pleura.service.exposition import CONTENT_TYPE, live_workers
from pleura.service.keys import Role

_READY = {"status": "ready", "database": "ok", "disk": "ok", "workers": 2}
_METRICS = '# TYPE pleura_jobs gauge\npleura_jobs{code="",state="done"} 1204.0\n'


def router_of(open_metrics: bool) -> APIRouter:
    """The routes.

    Args:
        open_metrics: the metrics need no key.
    """
    router = APIRouter(tags=["operations"])
    router.add_api_route("/health", get_health, summary="Does the process live?")
    router.add_api_route(
        "/ready",
        get_ready,
        summary="Can images be taken and judged?",
        response_model=Readiness,
        responses={
            200: example(_READY),
            503: {
                "model": Readiness,
                "description": "Something stands against it.",
                **example({**_READY, "status": "not_ready", "workers": 0}),
            },
        },
    )
    metrics: dict[str, Any] = {"content": {"text/plain": {"example": _METRICS}}}
    router.add_api_route(
        "/metrics",
        get_metrics,
        summary="Metrics for Prometheus",
        response_class=Response,
        dependencies=[] if open_metrics else [Depends(need(Role.READ))],
        responses={200: metrics, **({} if open_metrics else problems(*KEYED))},
    )
    return router


def get_health() -> Health:
    """Answers as long as the process does; asks nothing else."""
    return Health()


def get_ready(here: Here, response: Response) -> Readiness:
    """Database, disk, and workers that gave a sign of life lately."""
    readiness = _readiness(here)
    if readiness.status == "not_ready":
        response.status_code = 503
    return readiness


def get_metrics(here: Here) -> Response:
    """Counts by state and code, the queue, latencies, deliveries, workers; nobody's name."""
    return Response(here.exposition.render(), media_type=CONTENT_TYPE)


def _readiness(here: Context) -> Readiness:
    disk = database = True
    workers = 0
    try:
        workers = len(live_workers(here.service))
    except (StoreUnavailableError, SQLAlchemyError):
        database = False
    try:
        here.service.files.check_space()
    except (BusyError, OSError):
        disk = False
    return Readiness(
        status="ready" if database and disk and workers else "not_ready",
        database="ok" if database else "no_answer",
        disk="ok" if disk else "full",
        workers=workers,
    )
