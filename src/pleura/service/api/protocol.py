"""HTTP on a socket, for clients that are slow, endless or many.

uvicorn bounds neither how long the head of a request may take, nor how long a client may not read
its answer, nor how much of a body is thrown away after an early answer. This does.
"""

import asyncio
import logging
from typing import ClassVar

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from pleura.service.api.errors import CrowdedError
from pleura.service.api.problems import problem, problem_of
from pleura.service.settings.api import ApiSettings

_TICK_SECONDS = 0.5
_LINGER_SECONDS = 5.0

_log = logging.getLogger(__name__)


class GuardedProtocol(H11Protocol):
    """One connection, looked at twice a second, and cut when it

    - has sent no complete head within `head_seconds` of being opened or of its first byte;
    - has not read what it was answered for `stall_seconds`;
    - goes on sending a body `_LINGER_SECONDS` after it was answered. Until then it is read and
      thrown away: closing at once would take the answer away from a client that is still sending.

    Above `connections` open ones a request is answered 503; above twice as many, a new connection
    is cut at once.
    """

    settings: ClassVar[ApiSettings]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        now = self.loop.time()
        self._head_since: float | None = now
        self._answered_since: float | None = None
        self._read_since = now
        self._ticking = self.loop.call_later(_TICK_SECONDS, self._tick)
        if len(self.connections) > self.settings.connections * 2:
            self._cut("too many connections")
        elif len(self.connections) > self.settings.connections:
            self.app = _crowded

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._ticking.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._head_since = None
        elif self._head_since is None:
            self._head_since = self.loop.time()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, if an answer can still be sent, and close the connection."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self._cut("it sent what is no HTTP")
            return
        response = problem(400, "invalid_http", msg, "Use a library for HTTP/1.1.")
        headers = [*response.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def on_response_complete(self) -> None:
        """An answer was handed to the transport."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and self.cycle.response_complete:
            self._answered_since = self.loop.time()

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self._read_since = self.loop.time()

    def _tick(self) -> None:
        now = self.loop.time()
        if self.transport.get_write_buffer_size() == 0:
            self._read_since = now
        if self.conn.their_state is not h11.SEND_BODY:
            self._answered_since = None
        for what, since, seconds in (
            ("its head came too slowly", self._head_since, self.settings.head_seconds),
            ("it did not read", self._read_since, self.settings.stall_seconds),
            ("it sent on after the answer", self._answered_since, _LINGER_SECONDS),
        ):
            if since is not None and now - since > seconds:
                self._cut(what)
                return
        self._ticking = self.loop.call_later(_TICK_SECONDS, self._tick)

    def _cut(self, what: str) -> None:
        _log.info("a connection was cut: %s", what)
        self.transport.abort()


def protocol_of(settings: ApiSettings) -> type[GuardedProtocol]:
    """The protocol with these bounds."""

    class Protocol(GuardedProtocol):
        pass

    Protocol.settings = settings
    return Protocol


async def _crowded(scope: Scope, receive: Receive, send: Send) -> None:
    response = problem_of(CrowdedError("Too many connections are open."))
    response.headers["connection"] = "close"
    await response(scope, receive, send)
