"""What the routes work with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Request

from pleura.service.api.throttle import Throttle
from pleura.service.audit import AuditLog
from pleura.service.exposition import Exposition
from pleura.service.keys import KeyStore
from pleura.service.settings.api import ApiSettings
from pleura.service.wiring import Service


@dataclass(slots=True)
class Context:
    """One application's parts.

    Attributes:
        stopping: whether the server was told to stop; then nobody waits for results any more.
        uploads: how many uploads are arriving.
        taking: bounds how many uploads are written to the store, and unpacked, at the same time.
    """

    service: Service
    settings: ApiSettings
    keys: KeyStore
    audit: AuditLog
    throttle: Throttle
    exposition: Exposition
    stopping: Callable[[], bool] = field(default=lambda: False)
    uploads: int = 0
    taking: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(2))


def context_of(request: Request) -> Context:
    """The context of the application that answers this request."""
    context: Context = request.app.state.context
    return context


Here = Annotated[Context, Depends(context_of)]
