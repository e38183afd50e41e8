"""Jobs and their results."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi import Path as PathParameter
from fastapi.responses import StreamingResponse

from pleura.outputs import PredictionRecord, RefusalRecord
from pleura.service.api.access import Admin, Reader
from pleura.service.api.context import Here
from pleura.service.api.errors import (
    NoSuchResultError,
    NotFinishedError,
    NotGivenUpError,
    ResultRemovedError,
)
from pleura.service.api.examples import JOB, PREDICTION, REFUSAL, example
from pleura.service.api.responses import KEYED, OF_INPUT, OF_JOB, OF_REQUEUE, OF_RESULT, problems
from pleura.service.api.views import (
    Deliveries,
    JobPage,
    JobView,
    delivery_view,
    job_view,
    record_of_job,
)
from pleura.service.errors import UnknownJobError
from pleura.service.judge import OVERLAY_NAME
from pleura.service.store import FINISHED, Job, State

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

JobId = Annotated[str, PathParameter(pattern="^[0-9a-f]{32}$", description="Id of a job.")]
Limit = Annotated[int, Query(ge=1, le=500, description="Most entries of the page.")]
PRINTABLE = "^[ -~]{1,128}$"
_PIECE = 64 * 1024


@router.get(
    "",
    summary="List jobs",
    responses={200: example({"jobs": [JOB], "next": None}), **problems(*KEYED, UnknownJobError)},
)
def list_jobs(
    here: Here,
    caller: Reader,
    state: Annotated[list[State], Query(description="Only these; may be given again.")] = [],  # noqa: B006
    source: Annotated[
        str | None,
        Query(pattern=PRINTABLE, description="Only from this sender: `api:KEY`, `dicom:AE_TITLE`."),
    ] = None,
    after: Annotated[
        str | None,
        Query(pattern="^[0-9a-f]{32}$", description="Id of the last job of the page before."),
    ] = None,
    limit: Limit = 100,
) -> JobPage:
    """Jobs, the newest first."""
    found = here.service.jobs.find(states=state, source=source, after=after, limit=limit + 1)
    page = found[:limit]
    return JobPage(
        jobs=[job_view(job, here.service.files) for job in page],
        next=page[-1].id if len(found) > limit else None,
    )


@router.get(
    "/{job_id}",
    summary="Look at a job",
    responses={200: example(JOB), **problems(*OF_JOB)},
)
def get_job(job_id: JobId, here: Here, caller: Reader) -> JobView:
    """Where a job stands, and links to what can be fetched."""
    return job_view(here.service.jobs.get(job_id), here.service.files)


@router.get(
    "/{job_id}/prediction",
    summary="Result as JSON",
    response_model=PredictionRecord | RefusalRecord,
    responses={
        200: example(PREDICTION, refused=REFUSAL),
        **problems(*OF_JOB, NotFinishedError),
    },
)
def get_prediction(job_id: JobId, here: Here, caller: Reader) -> Response:
    """The result, `pleura.prediction/1`; of a job without one, why there is none."""
    record = record_of_job(here.service.jobs.get(job_id))
    if record is None:
        raise NotFinishedError("The job has not come to its end.")
    return Response(record, media_type="application/json")


def _add_file_route(name: str, media_type: str, summary: str, description: str) -> None:
    """The routes of results differ in nothing but the file."""

    def get_file(job_id: JobId, here: Here, caller: Reader) -> StreamingResponse:
        job = here.service.jobs.get(job_id)
        return _sent(_results(job, here.service.files.results_path, name), job, name, media_type)

    router.add_api_route(
        f"/{{job_id}}/{name}",
        get_file,
        methods=["GET"],
        name=f"get_{name.replace('.', '_')}",
        summary=summary,
        description=description,
        response_class=StreamingResponse,
        responses={
            200: {"content": {media_type: {"schema": {"type": "string", "format": "binary"}}}},
            **problems(*OF_RESULT),
        },
    )


_add_file_route(
    OVERLAY_NAME,
    "image/png",
    "Result as picture",
    "The radiograph with the outline of the mask, the probability and the notice that this is no"
    " medical device.",
)
for _name, _title in (
    ("seg.dcm", "DICOM Segmentation"),
    ("sr.dcm", "DICOM Structured Report"),
    ("sc.dcm", "DICOM Secondary Capture"),
):
    _add_file_route(
        _name,
        "application/dicom",
        f"Result as {_title}",
        f"{_title}, a Part 10 file. Only of images that are DICOM, and as the setting"
        " `worker.formats` says.",
    )


@router.get(
    "/{job_id}/input",
    summary="The image as it was received",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            }
        },
        **problems(*OF_INPUT),
    },
)
def get_input(job_id: JobId, here: Here, caller: Admin) -> StreamingResponse:
    """Byte for byte, patient and all: for admins, to look into a failure."""
    job = here.service.jobs.get(job_id)
    if not job.input_kept:
        raise ResultRemovedError("The image was kept as long as the settings say, and is gone.")
    path = here.service.files.checked_input(job.received.sha256)
    return _sent(path, job, "input", "application/octet-stream")


@router.get(
    "/{job_id}/deliveries",
    summary="Deliveries of a job",
    responses=problems(*OF_JOB),
)
def get_deliveries(job_id: JobId, here: Here, caller: Reader) -> Deliveries:
    """Where its results were sent, and whether they arrived."""
    here.service.jobs.get(job_id)
    found = here.service.deliveries.of_job(job_id)
    return Deliveries(deliveries=[delivery_view(delivery) for delivery in found])


@router.post(
    "/{job_id}/requeue",
    summary="Try a job anew",
    responses={200: example(JOB), **problems(*OF_REQUEUE)},
)
def requeue(job_id: JobId, here: Here, caller: Admin) -> JobView:
    """Try a job anew that was given up (state `failed`) and whose image is kept."""
    here.service.jobs.get(job_id)
    try:
        job = here.service.jobs.requeue(job_id)
    except UnknownJobError as error:
        raise NotGivenUpError("The job was not given up, or its image is gone.") from error
    return job_view(job, here.service.files)


def _results(job: Job, path_of: Any, name: str) -> Path:
    """Where a result lies.

    Raises:
        NotFinishedError, NoSuchResultError, ResultRemovedError: there is none.
    """
    if job.state not in FINISHED:
        raise NotFinishedError("The job has not come to its end.")
    if job.state is not State.DONE or job.outcome is None:
        raise NoSuchResultError("The job was finished without a prediction.")
    if job.outcome.results is None:
        raise ResultRemovedError("The results were kept as long as the settings say, and are gone.")
    folder: Path = path_of(job.outcome.results)
    if not (folder / name).is_file() and folder.is_dir():
        raise NoSuchResultError("The job has no result of this kind.")
    return folder / name


def _sent(path: Path, job: Job, name: str, media_type: str) -> StreamingResponse:
    """A file in pieces, opened before the answer begins.

    Raises:
        ResultRemovedError: it was removed at this moment.
    """
    try:
        stream = path.open("rb")
    except FileNotFoundError as error:
        raise ResultRemovedError("The file is gone.") from error

    def pieces() -> Iterator[bytes]:
        with stream:
            while piece := stream.read(_PIECE):
                yield piece

    headers = {
        "content-length": str(path.stat().st_size),
        "content-disposition": f'attachment; filename="{job.id}.{name}"',
    }
    return StreamingResponse(pieces(), media_type=media_type, headers=headers)
