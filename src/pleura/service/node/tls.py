"""TLS contexts of both sides (PS3.15 B.12, BCP 195: TLS 1.2 or newer)."""

import ssl

from pleura.service.errors import SettingsError
from pleura.service.settings.tls import ClientTls, ServerTls


def server_context(settings: ServerTls) -> ssl.SSLContext:
    """Context of a listener; peers must show a certificate if `settings.ca` is set.

    Raises:
        SettingsError: a file cannot be read, or key and certificate do not belong together.
    """
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=settings.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(settings.certificate, settings.key)
    except OSError as error:  # ssl.SSLError is one
        raise _unusable(error) from error
    if settings.ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(settings: ClientTls) -> ssl.SSLContext:
    """Context towards a server, whose certificate is always checked.

    Raises:
        SettingsError: as in `server_context`.
    """
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=settings.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.certificate is not None:
            context.load_cert_chain(settings.certificate, settings.key)
    except OSError as error:
        raise _unusable(error) from error
    context.check_hostname = settings.check_name
    return context


def _unusable(error: OSError) -> SettingsError:
    reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return SettingsError(f"A certificate or key cannot be used ({reason}).")
