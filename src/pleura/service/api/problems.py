"""Every error as the same JSON, `{"error": {"code", "message", "hint"}}`, without what was sent."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from pleura.errors import PleuraError, TooLargeError
from pleura.service.api.errors import RETRY_SECONDS, ApiError, InvalidRequestError
from pleura.service.api.template import template_of
from pleura.service.errors import BusyError, StoreError, UnknownJobError
from pleura.service.logs import log_exception

_STATUS: Mapping[type[PleuraError], int] = {
    BusyError: 429,
    StoreError: 503,
    TooLargeError: 413,
    UnknownJobError: 404,
}
_COMES_AGAIN = (429, 503)


def problem(
    status: int, code: str, message: str, hint: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An error as a response."""
    content = {"error": {"code": code, "message": message, "hint": hint}}
    return JSONResponse(content, status, headers=dict(headers or {}))


def problem_of(error: PleuraError) -> JSONResponse:
    """A typed error as a response."""
    status = status_of(type(error))
    retry = error.retry if isinstance(error, ApiError) else status in _COMES_AGAIN
    headers = {"retry-after": str(RETRY_SECONDS)} if retry else {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return problem(status, error.code, error.message, error.hint, headers)


def status_of(kind: type[PleuraError]) -> int:
    """The HTTP status of a kind of error; 500 where it is not the caller's concern."""
    if issubclass(kind, ApiError):
        return kind.status
    return next((status for known, status in _STATUS.items() if issubclass(kind, known)), 500)


def unexpected(error: BaseException) -> JSONResponse:
    """An error that nobody foresaw: logged by type and place, answered without its text."""
    log_exception(error)
    return problem(
        500,
        "internal_error",
        "An unexpected error stopped this request.",
        "Report it with the log; other requests are not affected.",
    )


def install(app: FastAPI) -> None:
    """Answer all errors of the routes in this form."""

    @app.exception_handler(PleuraError)
    async def typed(request: Request, error: PleuraError) -> Response:
        return problem_of(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return problem_of(InvalidRequestError(_described(error.errors()[0])))

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> Response:
        if isinstance(error.__cause__, ApiError):  # raised while FastAPI read the body
            return problem_of(error.__cause__)
        if error.status_code == 400:  # FastAPI's word for a body that it cannot decode
            return problem_of(InvalidRequestError("The body is not JSON."))
        phrase = HTTPStatus(error.status_code).phrase
        code = phrase.lower().replace(" ", "_")
        hint = "See /openapi.json for the routes and what they take."
        headers = {"allow": _allowed(request)} if error.status_code == 405 else error.headers
        return problem(error.status_code, code, f"{phrase}.", hint, headers)

    @app.exception_handler(SQLAlchemyError)
    async def no_store(request: Request, error: SQLAlchemyError) -> Response:
        log_exception(error)
        return problem_of(StoreError("The job store does not answer.", "Try again later."))

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> None:
        """There is nobody to answer."""


def _allowed(request: Request) -> str:
    """The methods of a path: its routes are several, and each knows only its own."""
    paths = request.app.openapi()["paths"]
    methods = paths.get(template_of(request.scope), {})
    return ", ".join(method.upper() for method in methods)


def _described(error: Mapping[str, Any]) -> str:
    """Which parameter is wrong, and why; without its value, and without a name that was sent."""
    if error["type"] == "extra_forbidden":
        return "The body has a field that is not known."
    place = ".".join(part for part in error["loc"] if isinstance(part, str))
    return f"{place}: {error['msg']}."
