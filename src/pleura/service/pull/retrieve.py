"""Retrieving one instance with WADO-RS (PS3.18 10.4), as a stream onto the disk."""

from collections.abc import Iterator
from email.message import Message

import requests
from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser

from pleura.service.dicomweb import DicomWeb, chunks
from pleura.service.errors import PullError
from pleura.service.files import SpooledFile

# As it is stored there: what was compressed with a loss must not be compressed again.
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def retrieve(web: DicomWeb, path: str, spooled: SpooledFile, most: int) -> None:
    """Write an instance into a file.

    Args:
        web: the server.
        path: of the instance.
        spooled: empty.
        most: bytes that it may have.

    Raises:
        DeliveryError: the server gives no answer, or does not allow it.
        PullError: it has no such instance, or gives something else, or too much.
        OSError: the file cannot be written.
    """
    with web.request("GET", path, headers={"Accept": _ACCEPT}, stream=True) as answer:
        if answer.status_code != 200:
            raise PullError(f"The server answered HTTP {answer.status_code}.")
        for piece in _instance(answer):
            if spooled.size + len(piece) > most:
                raise PullError("The instance is larger than node.max_object_mib.")
            spooled.write(piece)
    if spooled.size == 0:
        raise PullError("The server gave an empty answer.")


def _instance(answer: requests.Response) -> Iterator[bytes]:
    """The first part of a multipart answer, or an answer that is the instance itself."""
    header = Message()
    header["Content-Type"] = answer.headers.get("Content-Type", "")
    kind = header.get_content_type()
    if kind == "application/dicom":
        yield from chunks(answer)
        return
    boundary = header.get_param("boundary")
    if kind != "multipart/related" or not isinstance(boundary, str):
        raise PullError("The server gave something else than DICOM.")
    try:
        yield from _first_part(answer, boundary)
    except (MultipartParseError, FormParserError) as error:
        raise PullError(f"The server's answer is malformed ({type(error).__name__}).") from None


def _first_part(answer: requests.Response, boundary: str) -> Iterator[bytes]:
    found: list[bytes] = []
    ended: list[bool] = []

    def data(chunk: bytes, start: int, end: int) -> None:
        if not ended:
            found.append(chunk[start:end])

    parser = MultipartParser(
        boundary, {"on_part_data": data, "on_part_end": lambda: ended.append(True)}
    )
    for chunk in chunks(answer):
        parser.write(chunk)
        yield from found
        found.clear()
        if ended:
            return
    raise PullError("The server's answer breaks off.")
