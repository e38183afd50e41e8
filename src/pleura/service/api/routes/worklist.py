"""The triage work list: the newest positive first, and humans before the model."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AfterValidator, AwareDatetime, BeforeValidator

from pleura.service.api.access import Reader, Submitter
from pleura.service.api.context import Here
from pleura.service.api.examples import JOB, example
from pleura.service.api.responses import KEYED, OF_JOB, problems
from pleura.service.api.routes.jobs import JobId, Limit
from pleura.service.api.views import JobView, RankBody, WorkList, job_view

router = APIRouter(prefix="/v1/worklist", tags=["work list"])


def _written_out(value: object) -> object:
    if isinstance(value, str) and "T" not in value.upper():  # pydantic takes seconds, too
        raise ValueError("Input should be a date, T and a time")
    return value


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("Input should be within the years 1 to 9999") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_in_utc)]


@router.get(
    "",
    summary="The work list",
    responses={200: example({"jobs": [{**JOB, "rank": 1}, JOB]}), **problems(*KEYED)},
)
def get_worklist(
    here: Here,
    caller: Reader,
    since: Annotated[
        Moment | None,
        Query(description="Only images received from then on; a time with its zone, RFC 3339."),
    ] = None,
    limit: Limit = 100,
) -> WorkList:
    """Jobs as they should be looked at.

    First those that a human ranked, in this order and in whatever state; then, of the done ones,
    those with pneumothorax, then those without, each the newest first. Nothing that the model says
    lowers a human's rank. The list changes while it is read, so it has one page: the first
    `limit` are the most urgent.
    """
    found = here.service.jobs.worklist(limit=limit, since=since)
    return WorkList(jobs=[job_view(job, here.service.files) for job in found])


@router.put(
    "/{job_id}/rank",
    summary="Rank a job",
    responses={200: example({**JOB, "rank": 1}), **problems(*OF_JOB)},
)
def put_rank(job_id: JobId, body: RankBody, here: Here, caller: Submitter) -> JobView:
    """Put a job where a human wants it: in the work list and, until it is judged, in the queue."""
    return job_view(here.service.jobs.rank(job_id, body.rank), here.service.files)


@router.delete(
    "/{job_id}/rank",
    summary="Take a rank away",
    responses={200: example(JOB), **problems(*OF_JOB)},
)
def delete_rank(job_id: JobId, here: Here, caller: Submitter) -> JobView:
    """Leave the job to the order of the model again."""
    return job_view(here.service.jobs.rank(job_id, None), here.service.files)
