"""The application on a socket."""

import logging
import socket
import ssl
import threading
from collections.abc import Callable

import uvicorn

from pleura.service.api.app import create_app
from pleura.service.api.protocol import protocol_of
from pleura.service.errors import SettingsError
from pleura.service.settings.api import ApiSettings
from pleura.service.wiring import Service

_BACKLOG = 128

_log = logging.getLogger(__name__)


def serve_forever(service: Service, stop: threading.Event) -> None:
    """Answer requests until `stop` is set, SIGTERM or SIGINT, then let open requests end.

    In the main thread alone: uvicorn takes the signals while it runs, and raises the one that
    stopped it once more at the end.

    Args:
        service: opened by this process; the caller closes it.
        stop: set when it shall stop.

    Raises:
        SettingsError: the address cannot be listened on, or a certificate cannot be used.
    """
    server = server_of(service)

    def await_stop() -> None:
        stop.wait()
        server.should_exit = True

    threading.Thread(target=await_stop, daemon=True).start()
    with listener_of(service.settings.api) as listener:
        _log.info("listening on %s", url_of(service.settings.api, listener))
        server.run(sockets=[listener])


def check(service: Service) -> None:
    """Whether it could listen now.

    Raises:
        SettingsError: the address cannot be listened on, or a certificate cannot be used.
    """
    server_of(service)
    listener_of(service.settings.api).close()


def server_of(service: Service) -> uvicorn.Server:
    """The server, to be run on a listener.

    Raises:
        SettingsError: a certificate cannot be used.
    """
    stopping: list[Callable[[], bool]] = []
    app = create_app(service, stopping=lambda: stopping[0]())
    server = uvicorn.Server(_config(app, service.settings.api))
    stopping.append(lambda: server.should_exit)
    return server


def listener_of(settings: ApiSettings) -> socket.socket:
    """The socket that accepts connections.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    address = (settings.host, settings.port)
    try:
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsError(
            f"api.host and api.port: {settings.host}:{settings.port} cannot be listened on"
            f" ({reason})."
        ) from error


def url_of(settings: ApiSettings, listener: socket.socket) -> str:
    """Where a listener is reached."""
    scheme = "http" if settings.tls is None else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{listener.getsockname()[1]}"


def _config(app: object, settings: ApiSettings) -> uvicorn.Config:
    tls = settings.tls
    ca = None if tls is None else tls.ca
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=protocol_of(settings),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.forwarded_from),
        forwarded_allow_ips=list(settings.forwarded_from),
        backlog=_BACKLOG,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.stop_seconds,
        h11_max_incomplete_event_size=settings.head_kib * 1024,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
        ssl_ca_certs=None if ca is None else str(ca),
        ssl_cert_reqs=ssl.CERT_NONE if ca is None else ssl.CERT_REQUIRED,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise SettingsError(f"api.tls: a certificate or key cannot be used ({reason}).") from error
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return config
