"""`pleura node`: take images from a PACS or a modality."""

import signal
import threading
from typing import Annotated

import typer

from pleura.cli.service_options import SettingsFile, opened


def node(
    settings: SettingsFile = None,
    listen_only: Annotated[
        bool,
        typer.Option(
            "--listen-only",
            help="Take images only; `pleura worker` runs elsewhere and judges them.",
        ),
    ] = False,
) -> None:
    """Take images by DICOM, judge them, and deliver the results, until SIGTERM or Ctrl-C.

    Starts the listener and the processes of `pleura worker`; one that dies is replaced. Exit
    status: 0 stopped; 2 settings, model or database cannot be used.
    """
    from pleura.service.node import Node, listen_forever
    from pleura.service.supervisor import start_supervised

    service = opened(settings)
    # What is wrong is said here, and not by each process again and again.
    Node(service.settings.node, service.intake).close()
    if not listen_only:
        service.close()
        start_supervised(service.settings, node=True)
        return
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        listen_forever(service, stop)
    finally:
        service.close()
