"""Starting Streamlit with the page: bound, protected, and without a word to anybody else."""

import socket
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from pleura.app.settings import AppSettings
from pleura.errors import ConfigError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def options(
    settings: AppSettings,
    host: str,
    port: int,
    allowed_hosts: Sequence[str] = (),
    browser: bool | None = None,
) -> dict[str, Any]:
    """Streamlit's settings.

    Args:
        settings: of the page.
        host: address to listen at.
        port: to listen at.
        allowed_hosts: names under which the page may be reached; on the loopback address its own
            without any, so that no page of another name that leads there is served.
        browser: open one; None to do so where there is a screen.
    """
    names = list(allowed_hosts) or (list(LOOPBACK) if host in LOOPBACK else [])
    chosen: dict[str, Any] = {
        "server.address": host,
        "server.port": port,
        "server.allowedHosts": names,
        "server.enableXsrfProtection": True,
        "server.enableCORS": True,
        "server.enableStaticServing": False,
        "server.maxUploadSize": settings.max_upload_mib,
        "server.fileWatcherType": "none",
        "server.showEmailPrompt": False,
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "viewer",
        # A traceback may quote a header; the typed errors say what a reader can use.
        "client.showErrorDetails": "none",
        "logger.hideWelcomeMessage": True,
        "theme.light.primaryColor": "#0b5cad",
        "theme.dark.primaryColor": "#7ab8ff",
    }
    if browser is not None:
        chosen["server.headless"] = not browser
    return chosen


def check_free(host: str, port: int) -> None:
    """Whether the page can listen there.

    Raises:
        ConfigError: it cannot.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ConfigError(
            f"The page cannot listen at {host}, port {port}: {error.strerror}.",
            "Choose another address or port with --host and --port.",
        ) from error


def run(settings: AppSettings, streamlit_options: dict[str, Any]) -> None:
    """Serve the page until the process is told to end.

    Args:
        settings: of the page.
        streamlit_options: of `options`.
    """
    from streamlit.web import bootstrap

    settings.to_environment()
    # Its names for the command line have `_` in the place of `.`.
    flags = {name.replace(".", "_"): value for name, value in streamlit_options.items()}
    script = str(files("pleura.app") / "entry" / "main.py")
    bootstrap.load_config_options(flags)
    bootstrap.run(script, False, [], flags)
