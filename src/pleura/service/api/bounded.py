"""Requests have bounds: in bytes, in seconds, and in how long a sender may stand still."""

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pleura.service.api.context import Context
from pleura.service.api.errors import HeadTooLargeError, TooMuchSentError, TooSlowError
from pleura.service.api.problems import problem_of

UPLOAD_PATH = "/v1/predictions"
_SMALL = 64 * 1024
_OVERHEAD = 1 << 20
_MIB = 1 << 20


class Bounded:
    """ASGI middleware: whoever reads a body finds an error in it when it goes beyond its bounds.

    A body that is never read is the server's concern, see `GuardedProtocol`.
    """

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._settings = context.settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            if _head_bytes(scope) > self._settings.head_kib * 1024:
                await problem_of(HeadTooLargeError("The head is too large."))(scope, receive, send)
                return
            limit = _SMALL
            if scope["path"] == UPLOAD_PATH:
                limit = round(self._settings.request_mib * _MIB) + _OVERHEAD
            receive = self._bounded(receive, limit, _declared(scope))
        await self._app(scope, receive, send)

    def _bounded(self, receive: Receive, limit: int, declared: int) -> Receive:
        received, complete = 0, False
        deadline = time.monotonic() + self._settings.request_seconds

        async def bounded() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()
            if max(declared, received) > limit:  # before the first byte where it can be known
                raise TooMuchSentError(f"The request has more than {limit} bytes.")
            left = deadline - time.monotonic()
            try:
                async with asyncio.timeout(min(left, self._settings.stall_seconds)):
                    message = await receive()
            except TimeoutError:
                raise TooSlowError("The body of the request came too slowly.") from None
            received += len(message.get("body", b""))
            if received > limit:
                raise TooMuchSentError(f"The request has more than {limit} bytes.")
            complete = not message.get("more_body", False)
            return message

        return bounded


def _head_bytes(scope: Scope) -> int:
    """The server bounds a head that comes in pieces; this is for one that comes at once."""
    fields = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    return fields + len(scope.get("raw_path", b"")) + len(scope["query_string"])


def _declared(scope: Scope) -> int:
    """Content-Length, which the server has checked to be a number."""
    length = Headers(scope=scope).get("content-length", "0")
    return int(length) if length.isdecimal() else 0
