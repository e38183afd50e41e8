"""Whether the part of the service in this container is well: `healthcheck.py api|node|worker`.

Exit status 0: well; 1: not. The API is asked for /health, the node's port is connected to, and a
worker of this container must have given a sign of life in the database.
"""

import os
import socket
import ssl
import sys
import urllib.request
from datetime import timedelta
from pathlib import Path

from pleura.service.presence import Presence
from pleura.service.settings import Settings, load_settings
from pleura.service.store.engine import open_as_it_is

SECONDS = 5.0


def api(settings: Settings) -> bool:
    """The REST API answers."""
    tls = settings.api.tls
    if tls is not None and tls.ca is not None:  # it answers nobody without a certificate
        return _connects(settings.api.port)
    scheme = "http" if tls is None else "https"
    # The certificate names the host that callers know, and not this address.
    unchecked = ssl._create_unverified_context()
    url = f"{scheme}://127.0.0.1:{settings.api.port}/health"
    with urllib.request.urlopen(url, timeout=SECONDS, context=unchecked) as answer:
        return bool(answer.status == 200)


def node(settings: Settings) -> bool:
    """The DICOM node takes connections."""
    return _connects(settings.node.port)


def _connects(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS):
        return True


def worker(settings: Settings) -> bool:
    """A worker of this container is alive; one that judges gives no sign until it is done."""
    engine = open_as_it_is(settings.storage)
    try:
        within = timedelta(seconds=settings.worker.job_seconds + 30)
        names = [found.name for found in Presence(engine).alive(within)]
    finally:
        engine.dispose()
    return any(name.startswith(f"{socket.gethostname()[:64]}:") for name in names)


def main() -> int:
    """Check the part that is named."""
    checks = {"api": api, "node": node, "worker": worker}
    path = os.environ.get("PLEURA_SETTINGS")
    try:
        settings = load_settings(None if path is None else Path(path))
        return 0 if checks[sys.argv[1]](settings) else 1
    except Exception as error:  # whatever it is, the part is not well
        sys.stderr.write(f"{type(error).__name__}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
