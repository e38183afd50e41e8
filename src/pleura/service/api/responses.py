"""What the OpenAPI document says of errors, with an example for each."""

from typing import Any

from pleura.errors import PleuraError, TooLargeError
from pleura.service.api.errors import (
    BodyTypeError,
    ForbiddenError,
    InvalidRequestError,
    MalformedBodyError,
    NoKeyError,
    NoSuchResultError,
    NotAuditedError,
    NotFinishedError,
    NotGivenUpError,
    NothingSentError,
    ResultRemovedError,
    TooMuchSentError,
    TooSlowError,
    WrongKeysError,
)
from pleura.service.api.problems import status_of
from pleura.service.api.views import ProblemView
from pleura.service.errors import (
    BusyError,
    CorruptInputError,
    StoreUnavailableError,
    UnknownJobError,
)

_MESSAGE = {
    InvalidRequestError: "query.limit: Input should be less than or equal to 500.",
    BusyError: "10000 jobs wait, which is as many as may.",
}
KEYED: tuple[type[PleuraError], ...] = (
    NoKeyError,
    ForbiddenError,
    WrongKeysError,
    InvalidRequestError,
    NotAuditedError,
    StoreUnavailableError,
)
"""What every route that needs a key may answer."""
OF_JOB = (*KEYED, UnknownJobError)
OF_RESULT = (*OF_JOB, NoSuchResultError, NotFinishedError, ResultRemovedError)
OF_INPUT = (*OF_JOB, ResultRemovedError, CorruptInputError)
OF_REQUEUE = (*OF_JOB, NotGivenUpError)
OF_UPLOAD = (
    *KEYED,
    BodyTypeError,
    MalformedBodyError,
    NothingSentError,
    TooMuchSentError,
    TooLargeError,
    TooSlowError,
    BusyError,
)


def problems(*kinds: type[PleuraError]) -> dict[int | str, dict[str, Any]]:
    """For `responses=`: these errors by their status, each with an example."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        status = status_of(kind)
        sentence = (kind.__doc__ or "").splitlines()[0]
        message = _MESSAGE.get(kind, sentence)
        value = {"error": {"code": kind.code, "message": message, "hint": kind.default_hint}}
        entry = by_status.setdefault(
            status,
            {
                "model": ProblemView,
                "description": sentence,
                "content": {"application/json": {"examples": {}}},
            },
        )
        if sentence not in entry["description"]:
            entry["description"] += f" Or: {sentence}"
        entry["content"]["application/json"]["examples"][kind.code] = {"value": value}
        if status in (429, 503):
            entry["headers"] = {
                "Retry-After": {
                    "description": "Seconds after which to come again.",
                    "schema": {"type": "integer"},
                }
            }
    return by_status
