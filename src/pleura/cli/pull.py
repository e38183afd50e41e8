"""`pleura pull`: fetch radiographs from a DICOMweb server."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pleura.cli.console import complain, say
from pleura.cli.service_options import SettingsFile, opened

if TYPE_CHECKING:
    from pleura.service.pull import PullTally
    from pleura.service.settings import Settings
    from pleura.service.settings.destinations import StowDestination

_DAY = ["%Y-%m-%d", "%Y%m%d"]


def pull(
    server: Annotated[
        str,
        typer.Argument(
            help="Base URL of a DICOMweb service, or the name of a STOW destination of the"
            " settings, whose address, login and certificates are then used.",
            metavar="URL|NAME",
        ),
    ],
    study: Annotated[str | None, typer.Option(help="Study Instance UID of one study.")] = None,
    from_date: Annotated[
        datetime | None, typer.Option(formats=_DAY, help="Earliest Study Date.")
    ] = None,
    to_date: Annotated[
        datetime | None, typer.Option(formats=_DAY, help="Latest Study Date.")
    ] = None,
    modality: Annotated[str, typer.Option(help="Modalities, with commas.")] = "CR,DX",
    patient_age_min: Annotated[
        float | None,
        typer.Option(min=0, help="Youngest age in years; who has none stated is fetched too."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most images that are fetched in this run.")
    ] = None,
    settings: SettingsFile = None,
) -> None:
    """Fetch radiographs that have no job yet from a DICOMweb server; `pleura worker` judges them.

    Can be broken off and run again at any time. Exit status: 0 nothing failed; 1 some images could
    not be fetched; 2 wrong usage; 3 none could.
    """
    from pleura.service.node.heading import well_formed
    from pleura.service.pull import Criteria
    from pleura.service.pull import pull as run

    modalities = tuple(dict.fromkeys(_modalities(modality)))
    if study is not None and not well_formed(study):
        raise typer.BadParameter("is no UID", param_hint="--study")
    service = opened(settings)
    criteria = Criteria(
        study_instance_uid=study,
        from_date=None if from_date is None else from_date.date(),
        to_date=None if to_date is None else to_date.date(),
        modalities=modalities,
        age_min=patient_age_min,
        limit=limit,
    )
    try:
        source = _source(server, service.settings)
        with _progress() as advance:
            tally = run(service, source, criteria, advance)
    finally:
        service.close()
    say(f"{tally}.")
    if tally.stopped is not None:
        complain(tally.stopped)
    raise typer.Exit(tally.exit_status)


def _modalities(given: str) -> list[str]:
    names = [name.strip().upper() for name in given.split(",") if name.strip()]
    if not names or not all(name.isalnum() and len(name) <= 16 for name in names):
        raise typer.BadParameter("gives codes of modalities, with commas", param_hint="--modality")
    return names


def _source(server: str, settings: "Settings") -> "StowDestination":
    """The destination of this name, or one of this URL without a login."""
    from pydantic import ValidationError

    from pleura.service.settings.destinations import StowDestination

    for destination in settings.destinations:
        if destination.name == server and isinstance(destination, StowDestination):
            return destination
    try:
        return StowDestination(name="pull", kind="stow", url=server)
    except ValidationError as error:
        raise typer.BadParameter(
            "is neither an http(s) URL nor the name of a STOW destination", param_hint="URL|NAME"
        ) from error


@contextmanager
def _progress() -> Iterator[Callable[["PullTally"], None]]:
    """A live line on stderr when that is a terminal; a function that sets it."""
    if not sys.stderr.isatty():
        yield lambda tally: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("asking", total=None)
        yield lambda tally: progress.update(task, description=str(tally))
