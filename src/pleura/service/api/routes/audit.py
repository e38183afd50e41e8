"""The audit log."""

from typing import Annotated

from fastapi import APIRouter, Query

from pleura.service.api.access import Admin
from pleura.service.api.context import Here
from pleura.service.api.responses import KEYED, problems
from pleura.service.api.routes.jobs import PRINTABLE, Limit
from pleura.service.api.views import AuditPage, audit_line

router = APIRouter(prefix="/v1/audit", tags=["audit"])


@router.get("", summary="Who asked for what", responses=problems(*KEYED))
def get_audit(
    here: Here,
    caller: Admin,
    job: Annotated[
        str | None, Query(pattern="^[0-9a-f]{32}$", description="Only of this job.")
    ] = None,
    actor: Annotated[
        str | None, Query(pattern=PRINTABLE, description="Only of this key; `-` for none.")
    ] = None,
    before: Annotated[
        int | None,
        Query(ge=1, le=2**31 - 1, description="Id of the last line of the page before."),
    ] = None,
    limit: Limit = 100,
) -> AuditPage:
    """Requests that needed a key, the newest first: written before their answer went out."""
    found = here.audit.find(job_id=job, actor=actor, before=before, limit=limit + 1)
    page = found[:limit]
    return AuditPage(
        lines=[audit_line(line) for line in page],
        next=page[-1].id if len(found) > limit else None,
    )
