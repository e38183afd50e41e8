"""Who asks, and whether they may."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from pleura.service.api.context import Context, context_of
from pleura.service.api.errors import ForbiddenError, NoKeyError, WrongKeysError
from pleura.service.keys import Role

NOBODY = "-"
ANYBODY = "anybody"
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="A key from `pleura keys make`. Roles: read, submit, admin; each may do what those"
    " before it may.",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        name: of the key; `anybody` where no keys are needed, `-` for nobody known.
        address: where from.
    """

    name: str
    address: str


def need(role: Role) -> Callable[..., Caller]:
    """A dependency: the caller, who has this role or a higher one."""

    def caller(
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    ) -> Caller:
        context = context_of(request)
        address = request.client.host if request.client else NOBODY
        if not context.settings.require_keys:
            _refuse_browsers(request)
            return _known(request, Caller(ANYBODY, address))
        key = context.keys.find(credentials.credentials) if credentials else None
        if key is None:
            raise _without_key(request, context, address)
        found = _known(request, Caller(key.name, address))
        if not key.role.covers(role):
            raise ForbiddenError(f"This needs the role {role}; the key has {key.role}.")
        return found

    return caller


Reader = Annotated[Caller, Depends(need(Role.READ))]
Submitter = Annotated[Caller, Depends(need(Role.SUBMIT))]
Admin = Annotated[Caller, Depends(need(Role.ADMIN))]


def known_caller(state: dict[str, object]) -> Caller | None:
    """Who the audit log names for a request; None where the request is not to be written down."""
    caller = state.get("caller")
    return caller if isinstance(caller, Caller) else None


def _known(request: Request, caller: Caller) -> Caller:
    request.state.caller = caller
    return caller


def _without_key(request: Request, context: Context, address: str) -> NoKeyError | WrongKeysError:
    """Audited as long as the address has tokens, so that nobody can fill the log."""
    if not context.throttle.take(address):
        return WrongKeysError("Too many requests without a valid key came from this address.")
    _known(request, Caller(NOBODY, address))
    if not context.keys.has_any():
        return NoKeyError(
            "No key has been made yet.", "Run: pleura keys make NAME --role read, submit or admin"
        )
    return NoKeyError("The request has no valid key.")


def _refuse_browsers(request: Request) -> None:
    """Without keys, a page that a browser on this machine shows must not reach the API.

    Such a page comes with an origin, or under a name of its own that leads to the loopback
    address.
    """
    name = re.sub(r":\d+$", "", request.headers.get("host", ""))
    if name not in _LOOPBACK_NAMES or "origin" in request.headers:
        raise ForbiddenError("Without keys, only programs on this machine are served.")
