"""Delivery by STOW-RS (PS3.18 10.5)."""

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests

from pleura.service.delivery.outcome import Said, check_all_taken, said_by
from pleura.service.dicomweb import DicomWeb, content
from pleura.service.errors import NotTakenError
from pleura.service.settings.destinations import StowDestination

_FAILED, _TAKEN, _OTHER_FAILURES = "00081198", "00081199", "0008119A"
_REASON = "00081197"
_PROCESSING_FAILURE = 0x0110
_LONGEST_ANSWER = 1 << 20
_ANSWERED = (200, 202, 409)
"""Taken, partly taken, not taken (PS3.18 table 10.5.3-1). The others say nothing of objects."""


class StowSender:
    """Sends all objects of a result in one request.

    Args:
        destination: where to.
    """

    def __init__(self, destination: StowDestination) -> None:
        self._web = DicomWeb(destination)

    def send(self, objects: Sequence[Path]) -> None:
        """See `Sender`."""
        boundary = secrets.token_hex(16)
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        parts = [head + path.read_bytes() + b"\r\n" for path in objects]
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": "application/dicom+json",
        }
        body = b"".join(parts) + f"--{boundary}--\r\n".encode()
        answer = self._web.request("POST", "/studies", data=body, headers=headers, stream=True)
        with answer:
            _check(answer, len(objects))

    def close(self) -> None:
        """Close the connection."""
        self._web.close()


def _check(answer: requests.Response, count: int) -> None:
    """Whether the server has taken so many objects; status 202 and 409 tell of some it has not.

    Raises:
        NotTakenError, NeverTakenError: it has not.
        UnreachableError: the answer breaks off.
    """
    status = answer.status_code
    if status not in _ANSWERED:
        raise NotTakenError(f"The server answered HTTP {status}; no object was taken.")
    told = _told(answer)
    failures = [*_items(told, _FAILED), *_items(told, _OTHER_FAILURES)]
    if status == 200 and not failures and _TAKEN not in told:
        return  # "all were stored", without naming them
    reasons = [_reason(item) for item in failures]
    # A reason that says "taken" contradicts the sequence it stands in.
    said = [Said.NOT_NOW if said_by(r) is Said.TAKEN else said_by(r) for r in reasons]
    silent = max(count - len(failures) - len(_items(told, _TAKEN)), 0)
    taken = count - len(failures) - silent
    said += [Said.TAKEN] * taken + [Said.NOT_NOW] * silent
    words = [f"HTTP {status}", *dict.fromkeys(f"reason {reason:04X}" for reason in reasons)]
    check_all_taken(said, lambda: ", ".join(words))


def _told(answer: requests.Response) -> dict[str, Any]:
    """The response's data set; empty where it is none in JSON (PS3.18 F)."""
    try:
        told = json.loads(content(answer, _LONGEST_ANSWER))
    except ValueError:
        return {}
    if isinstance(told, list) and told:
        told = told[0]
    return told if isinstance(told, dict) else {}


def _items(told: dict[str, Any], tag: str) -> list[Any]:
    element = told.get(tag)
    found = element.get("Value") if isinstance(element, dict) else None
    return found if isinstance(found, list) else []


def _reason(item: Any) -> int:
    values = _items(item, _REASON) if isinstance(item, dict) else []
    return values[0] if values and isinstance(values[0], int) else _PROCESSING_FAILURE
