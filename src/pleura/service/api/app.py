"""The application: routes, middleware, and what they work with."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from anyio import to_thread
from fastapi import FastAPI

from pleura import __version__
from pleura.outputs import DISCLAIMER
from pleura.service.api.audited import Audited
from pleura.service.api.bounded import Bounded
from pleura.service.api.caught import Caught
from pleura.service.api.context import Context
from pleura.service.api.observed import Observed
from pleura.service.api.problems import install
from pleura.service.api.routes import audit, jobs, operations, predictions, worklist
from pleura.service.api.throttle import Throttle
from pleura.service.audit import AuditLog
from pleura.service.errors import StoreUnavailableError
from pleura.service.exposition import Exposition
from pleura.service.keys import KeyStore
from pleura.service.wiring import Service

_log = logging.getLogger(__name__)


def create_app(service: Service, stopping: Callable[[], bool] = lambda: False) -> FastAPI:
    """The application over an opened service, which the caller closes.

    There is no page of documentation: FastAPI's loads its scripts from the internet, which
    hospital networks do not reach. `/openapi.json` has all of it, and `docs/rest-api.md` the rest.

    Args:
        service: opened.
        stopping: whether the server was told to stop.
    """
    settings = service.settings.api
    context = Context(
        service=service,
        settings=settings,
        keys=KeyStore(service.engine),
        audit=AuditLog(service.engine),
        throttle=Throttle(settings.wrong_keys_per_minute),
        exposition=Exposition(service),
        stopping=stopping,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await to_thread.run_sync(_state_dangers, context)
        yield

    app = FastAPI(
        title="Pleura",
        version=__version__,
        summary="Finds pneumothorax on frontal chest radiographs.",
        description=f"{DISCLAIMER} Times are UTC. Errors are `{{'error': {{'code', 'message',"
        " 'hint'}}`; codes are stable.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.context = context
    install(app)
    operating = operations.router_of(settings.open_metrics)
    for router in (predictions.router, jobs.router, worklist.router, audit.router, operating):
        app.include_router(router)
    # The last one is the outermost.
    app.add_middleware(Caught)
    app.add_middleware(Bounded, context=context)
    app.add_middleware(Audited, context=context)
    app.add_middleware(Observed, context=context)
    return app


def _state_dangers(context: Context) -> None:
    settings = context.settings
    if settings.tls is None and not settings.on_loopback:
        _log.warning("images and keys go over the network unencrypted: set api.tls")
    if not settings.require_keys:
        _log.warning("no keys are required: whoever is on this machine may do everything")
        return
    with suppress(StoreUnavailableError):  # requests are told so; it may come back
        if not context.keys.has_any():
            _log.warning("no key has been made yet: pleura keys make NAME --role submit")
