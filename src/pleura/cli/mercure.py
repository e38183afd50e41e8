"""`pleura mercure`: run as a module of mercure."""

from pathlib import Path
from typing import Annotated

import typer

from pleura.cli.console import DISCLAIMER, say
from pleura.cli.results import stated_when_not_written

NOTHING_DONE = 1


def mercure(
    incoming: Annotated[
        Path,
        typer.Argument(
            envvar="MERCURE_IN_DIR",
            help="Folder of the images and task.json.",
            metavar="IN",
            exists=True,
            file_okay=False,
        ),
    ],
    outgoing: Annotated[
        Path,
        typer.Argument(
            envvar="MERCURE_OUT_DIR",
            help="Folder of the results.",
            metavar="OUT",
            exists=True,
            file_okay=False,
        ),
    ],
) -> None:
    """Judge a folder as mercure hands it over, and write DICOM objects and result.json.

    Exit status: 0 an image was judged, or refused with good reason; 1 nothing could be done,
    result.json says why; 2 wrong usage; 4 results cannot be written.
    """
    from pleura.service.logs import configure_logging
    from pleura.service.mercure import RESULT_NAME, run_module
    from pleura.service.settings.logs import LogSettings

    configure_logging(LogSettings(level="warning"))
    with stated_when_not_written():
        done = run_module(incoming, outgoing)
    say(f"Results and {RESULT_NAME} written. {DISCLAIMER}")
    raise typer.Exit(0 if done else NOTHING_DONE)
