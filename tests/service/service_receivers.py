"""Destinations that do as they are told: by C-STORE, and by DICOMweb."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import pydicom
from dicom_peer import SC, SEG, SR
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity


@dataclass
class Receiver:
    """Takes by C-STORE, and answers by `statuses` in their order, then with success."""

    port: int = 0
    statuses: list[int] = field(default_factory=list)
    received: list[Dataset] = field(default_factory=list)
    associations: int = 0
    slow_seconds: float = 0.0

    def stored(self, event: evt.Event) -> int:
        time.sleep(self.slow_seconds)
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        status = self.statuses.pop(0) if self.statuses else 0
        if status in (0, 0xB000):
            self.received.append(dataset)
        return status

    def counted(self, event: evt.Event) -> None:
        self.associations += 1


@contextmanager
def receiving(
    *statuses: int,
    classes: tuple[str, ...] = (SEG, SR, SC),
    syntax: str = ExplicitVRLittleEndian,
    ae_title: str = "PACS",
    slow_seconds: float = 0.0,
) -> Iterator[Receiver]:
    """A receiver of these classes that runs meanwhile."""
    receiver = Receiver(statuses=list(statuses), slow_seconds=slow_seconds)
    entity = ApplicationEntity(ae_title)
    entity.require_called_aet = True
    for sop_class in classes:
        entity.add_supported_context(sop_class, syntax)
    handlers = [(evt.EVT_C_STORE, receiver.stored), (evt.EVT_ACCEPTED, receiver.counted)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    receiver.port = server.server_address[1]
    try:
        yield receiver
    finally:
        server.shutdown()


@dataclass
class Asked:
    """A request that a web server has got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def parts(self) -> list[bytes]:
        """Of a multipart body."""
        boundary = self.headers["content-type"].partition("boundary=")[2].encode()
        pieces = self.body.split(b"--" + boundary)[1:-1]
        return [piece.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for piece in pieces]


Answer = tuple[int, dict[str, str], bytes]


@dataclass
class WebServer:
    """Answers requests by a function, and remembers them."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def web_server(
    answer: Callable[[Asked], Answer], tls: ssl.SSLContext | None = None
) -> Iterator[WebServer]:
    """A server that runs meanwhile."""
    found = WebServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Asked(self.command, self.path, headers, self.rfile.read(length))
            found.asked.append(request)
            status, more, body = answer(request)
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | more).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    found.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/dicom-web"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def stow_answer(status: int, taken: int, reasons: tuple[int, ...] = ()) -> Answer:
    """PS3.18 10.5.3."""
    body: dict[str, object] = {}
    if taken:
        body["00081199"] = {"vr": "SQ", "Value": [{}] * taken}
    if reasons:
        items = [{"00081197": {"vr": "US", "Value": [reason]}} for reason in reasons]
        body["00081198"] = {"vr": "SQ", "Value": items}
    return status, {"Content-Type": "application/dicom+json"}, json.dumps(body).encode()


def read(content: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(BytesIO(content))
