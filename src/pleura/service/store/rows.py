"""Rows of the tables as values, and values as columns."""

import json
from typing import Any

from sqlalchemy import Row

from pleura.errors import PleuraError
from pleura.service.store.values import (
    Delivery,
    DeliveryState,
    Failure,
    Job,
    Outcome,
    Received,
    Recipe,
    State,
)


def failure_of(error: PleuraError) -> Failure:
    """The failure that a typed error states."""
    return Failure(error.code, error.message, error.hint)


def job_of(row: Row[Any]) -> Job:
    """A row of `jobs`."""
    state, failure = State(row.state), _failure(row)
    outcome = None
    if row.record is not None:
        outcome = Outcome(
            record=row.record,
            probability=row.probability,
            present=row.present,
            results=row.results,
            results_size=row.results_size,
            failure=failure if state is State.REFUSED else None,
            timings_ms=tuple(json.loads(row.timings_ms or "{}").items()),
        )
    return Job(
        id=row.id,
        received=Received(
            sha256=row.input_sha256,
            size=row.input_size,
            name=row.input_name,
            source=row.source,
            sop_instance_uid=row.sop_instance_uid,
            study_instance_uid=row.study_instance_uid,
        ),
        recipe=Recipe(row.recipe_sha256, row.model_name, row.model_version),
        state=state,
        attempts=row.attempts,
        rank=row.rank,
        next_try_at=row.next_try_at,
        received_at=row.received_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        lease_owner=row.lease_owner,
        lease_until=row.lease_until,
        outcome=outcome,
        failure=failure,
        input_kept=row.input_kept,
    )


def delivery_of(row: Row[Any]) -> Delivery:
    """A row of `deliveries`."""
    return Delivery(
        id=row.id,
        job_id=row.job_id,
        destination=row.destination,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_try_at=row.next_try_at,
        finished_at=row.finished_at,
        failure=_failure(row),
    )


def received_columns(received: Received) -> dict[str, Any]:
    """What is taken from the sender, but for who it was."""
    return {
        "input_sha256": received.sha256,
        "input_size": received.size,
        "input_name": received.name,
        "input_kept": True,
        "sop_instance_uid": received.sop_instance_uid,
        "study_instance_uid": received.study_instance_uid,
    }


def recipe_columns(recipe: Recipe) -> dict[str, str]:
    """What the image is judged with."""
    return {
        "recipe_sha256": recipe.sha256,
        "model_name": recipe.model_name,
        "model_version": recipe.model_version,
    }


def outcome_columns(outcome: Outcome | None) -> dict[str, Any]:
    """What came of a job; None empties the columns."""
    return {
        "record": None if outcome is None else outcome.record,
        "probability": None if outcome is None else outcome.probability,
        "present": None if outcome is None else outcome.present,
        "results": None if outcome is None else outcome.results,
        "results_size": 0 if outcome is None else outcome.results_size,
        "timings_ms": None if outcome is None else json.dumps(dict(outcome.timings_ms)),
        **failure_columns(None if outcome is None else outcome.failure),
    }


def failure_columns(failure: Failure | None) -> dict[str, str | None]:
    """Why something failed; None empties the columns."""
    return {
        "error_code": None if failure is None else failure.code,
        "error_message": None if failure is None else failure.message,
        "error_hint": None if failure is None else failure.hint,
    }


def _failure(row: Row[Any]) -> Failure | None:
    if row.error_code is None:
        return None
    return Failure(row.error_code, row.error_message or "", row.error_hint or "")
