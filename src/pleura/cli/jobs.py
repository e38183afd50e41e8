"""`pleura jobs`: list, look at and requeue jobs and deliveries."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pleura.cli.console import DISCLAIMER, complain, say
from pleura.cli.job_records import delivery_line, delivery_record, job_line, job_record
from pleura.cli.service_options import SettingsFile, opened
from pleura.errors import PleuraError

if TYPE_CHECKING:
    from pleura.service.store import DeliveryStore, JobStore

SOME_NOT = 1
_PAGE = 500

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, epilog=DISCLAIMER
)
Deliveries = Annotated[bool, typer.Option("--deliveries", help="Deliveries instead of jobs.")]


@app.callback()
def _jobs() -> None:
    """List, look at and requeue jobs and deliveries."""


@app.command("list", epilog=DISCLAIMER)
def list_jobs(
    state: Annotated[
        str | None,
        typer.Option(
            help="Only in this state: received, running, done, refused, failed; of deliveries"
            " pending, waiting, sending, sent, failed."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most lines.")] = 50,
    deliveries: Deliveries = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line.")] = False,
    settings: SettingsFile = None,
) -> None:
    """List jobs, the newest first, or deliveries, the oldest first."""
    from pleura.service.store import DeliveryState, State

    if deliveries:
        only = None if state is None else _named(DeliveryState, state)
        records = [delivery_record(each) for each in opened(settings).deliveries.find(only, limit)]
    else:
        states = () if state is None else (_named(State, state),)
        records = [
            job_record(job) for job in opened(settings).jobs.find(states=states, limit=limit)
        ]
    line = delivery_line if deliveries else job_line
    for record in records:
        say(json.dumps(record) if jsonl else line(record))
    if not jsonl:
        say(f"{len(records)} {'deliveries' if deliveries else 'jobs'}. {DISCLAIMER}")


@app.command("show", epilog=DISCLAIMER)
def show_job(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the job.")],
    identifiers: Annotated[
        bool,
        typer.Option("--identifiers", help="Also the sender's name of the image and its UIDs."),
    ] = False,
    settings: SettingsFile = None,
) -> None:
    """Show a job and its deliveries as JSON, without what identifies a patient."""
    service = opened(settings)
    job = service.jobs.get(job_id)
    shown = job_record(job)
    if identifiers:
        received = job.received
        shown |= {
            "name": received.name,
            "sop_instance_uid": received.sop_instance_uid,
            "study_instance_uid": received.study_instance_uid,
        }
    shown["deliveries"] = [delivery_record(each) for each in service.deliveries.of_job(job.id)]
    say(json.dumps(shown, indent=2))


@app.command("requeue", epilog=DISCLAIMER)
def requeue_jobs(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Which.")] = None,
    all_failed: Annotated[
        bool, typer.Option("--all-failed", help="All that were given up, but for superseded jobs.")
    ] = False,
    deliveries: Deliveries = False,
    settings: SettingsFile = None,
) -> None:
    """Try again what was given up.

    Exit status: 0 all are tried again; 1 some cannot be, and are named on stderr.
    """
    if bool(ids) == all_failed:
        raise typer.BadParameter("give ids, or --all-failed")
    service = opened(settings)
    store = service.deliveries if deliveries else service.jobs
    wanted = list(ids or _failed(store))
    done = sum(_requeue(store, each) for each in wanted)
    say(f"{done} of {len(wanted)} tried again.")
    raise typer.Exit(0 if done == len(wanted) else SOME_NOT)


def _named(kind: Any, name: str) -> Any:
    """A state by its name."""
    try:
        return kind(name)
    except ValueError:
        known = ", ".join(kind)
        raise typer.BadParameter(f"no such state; there are: {known}") from None


def _failed(store: "JobStore | DeliveryStore") -> list[str]:
    """Ids of everything that was given up and may be tried again."""
    from pleura.service.store import JobStore

    return list(_failed_jobs(store) if isinstance(store, JobStore) else _failed_deliveries(store))


def _failed_jobs(store: "JobStore") -> Iterator[str]:
    from pleura.service.errors import SupersededError
    from pleura.service.store import State

    after = None
    while page := store.find(states=[State.FAILED], after=after, limit=_PAGE):
        for job in page:
            if job.failure is None or job.failure.code != SupersededError.code:
                yield job.id
        after = page[-1].id


def _failed_deliveries(store: "DeliveryStore") -> Iterator[str]:
    from pleura.service.store import DeliveryState

    after = 0
    while page := store.find(DeliveryState.FAILED, _PAGE, after=after):
        yield from (str(each.id) for each in page)
        after = page[-1].id


def _requeue(store: "JobStore | DeliveryStore", wanted: str) -> bool:
    from pleura.service.store import JobStore

    try:
        if isinstance(store, JobStore):
            store.requeue(wanted)
        elif wanted.isdecimal():
            store.requeue(int(wanted))
        else:
            raise typer.BadParameter("ids of deliveries are numbers")
    except PleuraError as error:
        complain(error)
        return False
    return True
