"""Jobs and deliveries as `pleura jobs` shows them."""

from typing import TYPE_CHECKING, Any

from pleura.cli.console import printable

if TYPE_CHECKING:
    from pleura.service.store import Delivery, Failure, Job


def job_record(job: "Job") -> dict[str, Any]:
    """A job as JSON, without what identifies a patient."""
    outcome, failure = job.outcome, job.failure
    return {
        "id": job.id,
        "state": job.state,
        "received_at": job.received_at.isoformat(),
        "finished_at": None if job.finished_at is None else job.finished_at.isoformat(),
        "source": job.received.source,
        "attempts": job.attempts,
        "rank": job.rank,
        "model": f"{job.recipe.model_name} {job.recipe.model_version}",
        "probability": None if outcome is None else outcome.probability,
        "present": None if outcome is None else outcome.present,
        "error": _error(failure),
    }


def delivery_record(delivery: "Delivery") -> dict[str, Any]:
    """A delivery as JSON."""
    finished = delivery.finished_at
    return {
        "id": delivery.id,
        "job": delivery.job_id,
        "destination": delivery.destination,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "next_try_at": delivery.next_try_at.isoformat(),
        "finished_at": None if finished is None else finished.isoformat(),
        "error": _error(delivery.failure),
    }


def _error(failure: "Failure | None") -> dict[str, str] | None:
    if failure is None:
        return None
    return {"code": failure.code, "message": failure.message, "hint": failure.hint}


def job_line(record: dict[str, Any]) -> str:
    """A job's record as a line of a table."""
    probability = record["probability"]
    shown = "-" if probability is None else f"{probability:.3f}"
    return (
        f"{record['id']}  {record['received_at'][:19]}  {record['state']:<8}  {shown:>6}"
        f"  {printable(record['source']):<20}  {_said(record)}"
    ).rstrip()


def delivery_line(record: dict[str, Any]) -> str:
    """A delivery's record as a line of a table."""
    return (
        f"{record['id']:>8}  {record['job']}  {record['state']:<8}  {record['destination']:<20}"
        f"  {record['attempts']:>3} tries  {_said(record)}"
    ).rstrip()


def _said(record: dict[str, Any]) -> str:
    error = record["error"]
    return "" if error is None else f"{error['message']} [{error['code']}]"
