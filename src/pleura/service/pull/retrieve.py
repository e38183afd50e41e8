"""Retrieving one instance with WADO-RS (PS3.18 10.4), as a stream onto the disk."""

from collections.abc import Iterator
from email.message import Message

import requests
from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser

from pleura.errors import PleuraError
from pleura.io.walk import Walk
from pleura.service.dicomweb import DicomWeb, chunks
from pleura.service.errors import PullError
from pleura.service.files import SpooledFile
from pleura.service.node.arrival import file_start

# As it is stored there: what was compressed with a loss must not be compressed again.
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'

_META_BYTES = 1 << 14
_KEPT = (0x00020002, 0x00020003, 0x00020010)  # SOP class and instance, transfer syntax


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
        for piece in _restarted(_instance(answer)):
            if spooled.size + len(piece) > most:
                raise PullError("The instance is larger than node.max_object_mib.")
            spooled.write(piece)
    if spooled.size == 0:
        raise PullError("The server gave an empty answer.")


def _restarted(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The file with the beginning that the node gives it.

    What the server's own says of itself would make a second image of one that the node has
    received, or will receive.
    """
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= _META_BYTES:
            break
    yield _with_own_start(head)
    yield from pieces


def _with_own_start(head: bytes) -> bytes:
    """As it is, where it does not begin as it should (PS3.10 7.1)."""
    if head[128:138] != b"DICM\2\0\0\0UL":
        return head
    end = 144 + int.from_bytes(head[140:144], "little")
    meta = head[144:end]
    try:
        found = {
            element.tag: meta[element.begin : element.end].rstrip(b"\0 ").decode("ascii")
            for element in Walk(meta, explicit=True, little=True).elements()
            if element.tag in _KEPT
        }
        return file_start(*(found[tag] for tag in _KEPT)) + head[end:]
    except (PleuraError, KeyError, ValueError):
        return head


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
