"""Who read what is written down before a byte of it goes out."""

import re

from anyio import to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pleura.service.api.access import known_caller
from pleura.service.api.context import Context
from pleura.service.api.errors import NotAuditedError
from pleura.service.api.problems import problem_of
from pleura.service.api.template import template_of
from pleura.service.audit import Access
from pleura.service.logs import log_exception

_JOB_ID = re.compile(r"[0-9a-f]{32}")


class Audited:
    """ASGI middleware: writes the audit log when an answer begins; no log, no answer.

    A request is written down when a route asked who is calling: that is all of `/v1` and, where
    it needs a key, `/metrics`.
    """

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        withheld = False

        async def audited(message: Message) -> None:
            nonlocal withheld
            if message["type"] == "http.response.start":
                try:
                    await self._write(scope, message["status"])
                except Exception as error:  # whatever it is, nothing may be shown
                    withheld = True
                    log_exception(error)
                    response = problem_of(NotAuditedError("The audit log cannot be written."))
                    await response(scope, receive, send)
            if not withheld:
                await send(message)

        await self._app(scope, receive, audited)

    async def _write(self, scope: Scope, status: int) -> None:
        caller = known_caller(scope["state"])
        if caller is None:
            return
        action = f"{scope['method']} {template_of(scope)}"
        accesses = [
            Access(caller.name, caller.address, action, status, job_id)
            for job_id in _jobs_of(scope)
        ]
        await to_thread.run_sync(self._context.audit.write, accesses)


def touch(state: dict[str, object], job_ids: list[str]) -> None:
    """Name the jobs that an answer shows, where the path does not."""
    state["touched"] = job_ids


def _jobs_of(scope: Scope) -> list[str | None]:
    touched = scope["state"].get("touched")
    if touched:
        return list(dict.fromkeys(touched))
    job_id = scope.get("path_params", {}).get("job_id", "")
    return [job_id if _JOB_ID.fullmatch(job_id) else None]
