"""Errors that nobody foresaw are answers like others, and their texts go nowhere."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pleura.service.api.problems import unexpected


class Caught:
    """ASGI middleware, next to the routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:  # the next request must be answered
            if begun:  # the server breaks the answer off, and closes the connection
                raise
            await unexpected(error)(scope, receive, send)
