"""Around every request: counted, and logged without what was sent."""

import logging
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pleura.outputs import DISCLAIMER
from pleura.service.api.access import NOBODY, known_caller
from pleura.service.api.context import Context
from pleura.service.api.template import template_of

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
_QUIET = ("/health", "/ready", "/metrics")
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "pleura-notice": DISCLAIMER,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_STRICT_TRANSPORT = "max-age=31536000"

_log = logging.getLogger(__name__)


class Observed:
    """ASGI middleware, the outermost one."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        began = time.perf_counter()
        status = 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.setdefault("strict-transport-security", _STRICT_TRANSPORT)
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = template_of(scope)
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self._context.exposition.count_request(method, route, status)
        caller = known_caller(scope["state"])
        _log.log(
            logging.DEBUG if route in _QUIET else logging.INFO,
            "%s %s %s by %s in %.0f ms",
            method,
            route,
            status or "cut",
            caller.name if caller else NOBODY,
            seconds * 1000,
        )
