"""Requests to a DICOMweb server (PS3.18), with login, certificates and times."""

from collections.abc import Iterator
from typing import Any

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from pleura.service.errors import NotAdmittedError, UnreachableError
from pleura.service.settings.destinations import StowDestination

_UNAUTHORIZED = (401, 403)
_CHUNK = 1 << 17


class DicomWeb:
    """One server. Safe for one thread.

    Args:
        server: its address and how to log in.
    """

    def __init__(self, server: StowDestination) -> None:
        self.url = server.url
        self._timeout = (server.connect_seconds, server.response_seconds)
        self.session = requests.Session()
        self.session.auth = _login(server)
        for name, value in server.headers.items():
            self.session.headers[name] = value.get_secret_value()
        tls = server.tls
        self._verify = True if tls is None or tls.ca is None else str(tls.ca)
        if tls is not None and tls.certificate is not None:
            self.session.cert = (str(tls.certificate), str(tls.key))

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request; redirections are not followed.

        Args:
            method: of HTTP.
            path: below the server's base, beginning with a slash.
            options: of `requests.Session.request`.

        Raises:
            UnreachableError: no answer.
            NotAdmittedError: status 401 or 403.
        """
        try:
            answer = self.session.request(
                method,
                self.url + path,
                timeout=self._timeout,
                verify=self._verify,  # here: elsewhere an environment variable goes before it
                allow_redirects=False,
                **options,
            )
        except OSError as error:  # of `requests` as well; its text holds the URL
            raise UnreachableError(f"The server gave no answer ({type(error).__name__}).") from None
        if answer.status_code in _UNAUTHORIZED:
            answer.close()
            raise NotAdmittedError(f"The server does not allow it (HTTP {answer.status_code}).")
        return answer

    def close(self) -> None:
        """Close connections that are kept."""
        self.session.close()


def content(answer: requests.Response, longest: int) -> bytes:
    """The body of an answer that was asked for with `stream=True`.

    Raises:
        UnreachableError: it breaks off, or is longer than `longest` bytes.
    """
    received = bytearray()
    for chunk in chunks(answer):
        received += chunk
        if len(received) > longest:
            raise UnreachableError(f"The answer has more than {longest} bytes.")
    return bytes(received)


def chunks(answer: requests.Response) -> Iterator[bytes]:
    """The body of an answer that was asked for with `stream=True`, piece by piece.

    Raises:
        UnreachableError: it breaks off.
    """
    try:
        yield from answer.iter_content(_CHUNK)
    except requests.RequestException as error:
        raise UnreachableError(f"The answer breaks off ({type(error).__name__}).") from None


class _Bearer(AuthBase):
    """A token, or nothing; either way no password is looked for in ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _login(server: StowDestination) -> AuthBase:
    if server.username is not None and server.password is not None:
        return HTTPBasicAuth(server.username, server.password.get_secret_value())
    return _Bearer(None if server.token is None else server.token.get_secret_value())
