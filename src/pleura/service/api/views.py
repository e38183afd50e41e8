"""What the API shows, as JSON."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pleura.errors import PleuraError
from pleura.outputs import PredictionRecord, RefusalRecord
from pleura.outputs.record import ErrorRecord
from pleura.service.audit import Line
from pleura.service.files import FileStore
from pleura.service.judge import OVERLAY_NAME
from pleura.service.store import FINISHED, Delivery, DeliveryState, Failure, Job, State

_FILES = {OVERLAY_NAME: "overlay", "seg.dcm": "seg", "sr.dcm": "sr", "sc.dcm": "sc"}


class View(BaseModel):
    """Base of what is shown."""

    model_config = ConfigDict(frozen=True)


class ModelView(View):
    """Which model judges, or has judged."""

    name: str
    version: str


class JobView(View):
    """One image and one model. `links` names what can be fetched now.

    `probability` and `present` are null before the job is done. `rank` is the place on the work
    list that a human gave it, 1 the most urgent.
    """

    id: str = Field(pattern="^[0-9a-f]{32}$")
    state: State
    attempts: int
    rank: int | None
    source: str
    received_at: datetime
    finished_at: datetime | None
    probability: float | None
    present: bool | None
    model: ModelView
    sop_instance_uid: str | None
    study_instance_uid: str | None
    error: ErrorRecord | None
    links: dict[str, str]


class JobPage(View):
    """Jobs, the newest first; `next` is the `after` of the next page, null on the last one."""

    jobs: list[JobView]
    next: str | None


class WorkList(View):
    """Jobs as they should be looked at."""

    jobs: list[JobView]


def _number(value: object) -> object:
    if isinstance(value, bool | str):  # pydantic would make a number of them
        raise ValueError("Input should be a number")
    return value


class RankBody(View):
    """Where a human puts a job: 1 is the most urgent."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    rank: Annotated[int, BeforeValidator(_number)] = Field(ge=1, le=1_000_000)


class UploadItem(View):
    """One image of an upload.

    `state` is that of the job, or `rejected` where there is none: then `error` says why.
    `prediction` is null before the job has come to its end.
    """

    index: int
    name: str
    state: State | Literal["rejected"]
    job: JobView | None
    prediction: PredictionRecord | RefusalRecord | None
    error: ErrorRecord | None


class UploadAnswer(View):
    """One item for each image, in the order sent."""

    items: list[UploadItem]


class DeliveryView(View):
    """The results of a job on their way to one destination."""

    destination: str
    state: DeliveryState
    attempts: int
    next_try_at: datetime | None
    finished_at: datetime | None
    error: ErrorRecord | None


class Deliveries(View):
    """By destination."""

    deliveries: list[DeliveryView]


class AuditLine(View):
    """Who (`actor`, the name of a key) asked for what, from where, and what was answered."""

    id: int
    at: datetime
    actor: str
    address: str
    action: str
    job_id: str | None
    outcome: int


class AuditPage(View):
    """Lines, the newest first; `next` is the `before` of the next page, null on the last one."""

    lines: list[AuditLine]
    next: int | None


class Health(View):
    """The process lives."""

    status: Literal["ok"] = "ok"


class Readiness(View):
    """Whether images can be taken and judged, and what stands against it."""

    status: Literal["ready", "not_ready"]
    database: Literal["ok", "no_answer"]
    disk: Literal["ok", "full"]
    workers: int = Field(description="Workers seen lately.")


class ProblemView(View):
    """Any error."""

    error: ErrorRecord


def job_view(job: Job, files: FileStore) -> JobView:
    """A job as it is shown."""
    outcome = job.outcome if job.state in (State.DONE, State.REFUSED) else None
    return JobView(
        id=job.id,
        state=job.state,
        attempts=job.attempts,
        rank=job.rank,
        source=job.received.source,
        received_at=job.received_at,
        finished_at=job.finished_at,
        probability=None if outcome is None else outcome.probability,
        present=None if outcome is None else outcome.present,
        model=ModelView(name=job.recipe.model_name, version=job.recipe.model_version),
        sop_instance_uid=job.received.sop_instance_uid or None,
        study_instance_uid=job.received.study_instance_uid or None,
        error=_error(job.failure),
        links=_links(job, files),
    )


def record_of_job(job: Job) -> str | None:
    """The result as JSON, `pleura.prediction/1`; None before the job has come to its end."""
    if job.state not in FINISHED:
        return None
    if job.state is not State.FAILED and job.outcome is not None:
        return job.outcome.record
    failed = {"input": job.id, "status": "failed", "error": _error(job.failure)}
    return RefusalRecord.model_validate(failed).model_dump_json(by_alias=True)


def upload_item(index: int, name: str, job: Job, files: FileStore) -> dict[str, Any]:
    """An item with a job, as JSON; its record goes out as it was stored."""
    record = record_of_job(job)
    return {
        "index": index,
        "name": name,
        "state": job.state.value,
        "job": job_view(job, files).model_dump(mode="json"),
        "prediction": None if record is None else json.loads(record),
        "error": None,
    }


def rejected_item(index: int, name: str, error: PleuraError) -> dict[str, Any]:
    """An item without a job, as JSON."""
    reason = {"code": error.code, "message": error.message, "hint": error.hint}
    shown = {"index": index, "name": name, "state": "rejected"}
    return {**shown, "job": None, "prediction": None, "error": reason}


def delivery_view(delivery: Delivery) -> DeliveryView:
    """A delivery as it is shown."""
    waits = delivery.state is DeliveryState.WAITING
    return DeliveryView(
        destination=delivery.destination,
        state=delivery.state,
        attempts=delivery.attempts,
        next_try_at=delivery.next_try_at if waits else None,
        finished_at=delivery.finished_at,
        error=_error(delivery.failure),
    )


def audit_line(line: Line) -> AuditLine:
    """A line of the audit log as it is shown."""
    access = line.access
    return AuditLine(
        id=line.id,
        at=line.at,
        actor=access.actor,
        address=access.address,
        action=access.action,
        job_id=access.job_id,
        outcome=access.outcome,
    )


def _error(failure: Failure | None) -> ErrorRecord | None:
    if failure is None:
        return None
    return ErrorRecord(code=failure.code, message=failure.message, hint=failure.hint)


def _links(job: Job, files: FileStore) -> dict[str, str]:
    here = f"/v1/jobs/{job.id}"
    links = {"self": here, "deliveries": f"{here}/deliveries"}
    if job.state in FINISHED:
        links["prediction"] = f"{here}/prediction"
    if job.state is State.DONE and job.outcome is not None and job.outcome.results is not None:
        folder = files.results_path(job.outcome.results)
        links |= {
            kind: f"{here}/{name}" for name, kind in _FILES.items() if (folder / name).is_file()
        }
    return links
