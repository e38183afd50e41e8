"""`pleura serve`: the REST API."""

import signal
import threading
from typing import Annotated

import typer

from pleura.cli.service_options import SettingsFile, opened


def serve(
    settings: SettingsFile = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Run the DICOM node and the workers as well, under one parent."),
    ] = False,
) -> None:
    """Answer programs: upload images, fetch results, read the work list; until SIGTERM or Ctrl-C.

    Images are judged by `pleura worker`, unless --all is given. Callers need a key, see `pleura
    keys`. Exit status: 0 stopped; 2 settings, model or database cannot be used.
    """
    from pleura.service.api import check, serve_forever
    from pleura.service.supervisor import start_supervised

    service = opened(settings)
    try:
        if not everything:
            stop = threading.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stop.set())
            serve_forever(service, stop)
            return
        # What is wrong is said here, and not by each process again and again.
        from pleura.service.node import Node

        check(service)
        Node(service.settings.node, service.intake).close()
    finally:
        service.close()
    start_supervised(service.settings, node=True, api=True)
