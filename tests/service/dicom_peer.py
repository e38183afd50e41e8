"""The other side of a DICOM connection: dcmtk's tools, pynetdicom, and bare sockets."""

import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from pleura.service.settings.node import NodeSettings

CR = "1.2.840.10008.5.1.4.1.1.1"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
SC = "1.2.840.10008.5.1.4.1.1.7"
CT = "1.2.840.10008.5.1.4.1.1.2"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
SR = "1.2.840.10008.5.1.4.1.1.88.33"
ECHO = "1.2.840.10008.1.1"


def node_settings(**changed: Any) -> NodeSettings:
    """On a free port, for everybody, unless changed."""
    defaults: dict[str, Any] = {"host": "127.0.0.1", "port": 0}
    if "peers" not in changed:
        defaults["any_peer"] = True
    return NodeSettings(**(defaults | changed))


def tool(*command: object) -> "subprocess.CompletedProcess[str]":
    """Run one of dcmtk's tools; the test is skipped where it is missing."""
    name, *arguments = map(str, command)
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"dcmtk's {name} is not installed")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60)


def requested(
    port: int,
    *contexts: tuple[str, str],
    called: str = "PLEURA",
    calling: str = "MODALITY",
    **options: Any,
) -> Association:
    """An association that was asked for, with one context for each class and syntax."""
    entity = ApplicationEntity(calling)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = 20
    for sop_class, syntax in contexts or ((DX, ExplicitVRLittleEndian),):
        entity.add_requested_context(sop_class, syntax)
    return entity.associate("127.0.0.1", port, ae_title=called, **options)


@contextmanager
def associated(port: int, *contexts: tuple[str, str], **options: Any) -> Iterator[Association]:
    """An association that was accepted, and is released at the end."""
    association = requested(port, *contexts, **options)
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def encoded(dataset: Dataset) -> bytes:
    """The bytes of a data set in Explicit VR Little Endian, without file meta information."""
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, implicit_vr=False, little_endian=True)
    content = stream.getvalue()
    if content[128:132] != b"DICM":
        return content
    length = int.from_bytes(content[140:144], "little")
    return content[144 + length :]


def store_bytes(
    association: Association, data: bytes | None, *, sop_class: str = DX, instance: str = "1.2.3"
) -> Dataset:
    """Ask to store bytes, whatever they are, as an object of a class; the answer's statuses."""
    request = C_STORE()
    request.MessageID = 7
    request.Priority = 2
    request.AffectedSOPClassUID = sop_class
    request.AffectedSOPInstanceUID = instance
    request.DataSet = None if data is None else BytesIO(data)
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    assert answer is not None, "no answer"
    found = Dataset()
    found.Status = answer.Status
    found.ErrorComment = answer.ErrorComment or ""
    return found


def echo_works(port: int, called: str = "PLEURA") -> bool:
    """Whether a C-ECHO is answered."""
    association = requested(port, (ECHO, ExplicitVRLittleEndian), called=called)
    if not association.is_established:
        return False
    answer = association.send_c_echo()
    association.release()
    return "Status" in answer and answer.Status == 0


class RawPeer:
    """A peer that speaks in bytes."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)

    def __enter__(self) -> "RawPeer":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def associate(self, sop_class: str = DX, syntax: str = ExplicitVRLittleEndian) -> None:
        """One presentation context, number 1."""
        self.send(associate_rq(sop_class, syntax))
        kind, _ = self.receive()
        assert kind == 2, f"no A-ASSOCIATE-AC but {kind}"

    def receive(self) -> tuple[int | None, bytes]:
        """Type and content of the next PDU; None when the connection was closed."""
        head = self._exactly(6)
        if len(head) < 6:
            return None, b""
        kind, _, length = struct.unpack(">BBL", head)
        return kind, self._exactly(length)

    def closed(self) -> bool:
        """Whether the node ends the connection, with an A-ABORT or without."""
        while True:
            kind, _ = self.receive()
            if kind is None:
                return True
            assert kind in (3, 7), f"an answer of type {kind}"

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            try:
                part = self.socket.recv(count - len(found))
            except ConnectionError:
                return b""
            if not part:
                return found
            found += part
        return found


def pdu(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBL", kind, 0, len(content)) + content


def p_data(value: bytes, header: int, context: int = 1) -> bytes:
    """One PDV in one PDU (PS3.8 9.3.5, E.2); header: 1 command, 2 last."""
    return pdu(4, struct.pack(">LBB", len(value) + 2, context, header) + value)


def associate_rq(sop_class: str = DX, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """PS3.8 9.3.2."""

    def item(kind: int, content: bytes) -> bytes:
        return struct.pack(">BBH", kind, 0, len(content)) + content

    context = bytes((1, 0, 0, 0)) + item(0x30, sop_class.encode()) + item(0x40, syntax.encode())
    user = item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3.4")
    return pdu(
        1,
        struct.pack(">HH16s16s32x", 1, 0, b"PLEURA".ljust(16), b"RAW".ljust(16))
        + item(0x10, b"1.2.840.10008.3.1.1.1")
        + item(0x20, context)
        + item(0x50, user),
    )


def c_store_rq(
    *, sop_class: str = DX, instance: str = "1.2.3", data_set: int = 1, field: int = 1
) -> bytes:
    """The command set of a C-STORE request (PS3.7 9.3.1), in Implicit VR Little Endian."""

    def element(number: int, value: bytes) -> bytes:
        return struct.pack("<HHL", 0, number, len(value)) + value

    def uid(text: str) -> bytes:
        return text.encode() + b"\0" * (len(text) % 2)

    def short(number: int) -> bytes:
        return struct.pack("<H", number)

    body = (
        element(0x0002, uid(sop_class))
        + element(0x0100, short(field))
        + element(0x0110, short(1))
        + element(0x0700, short(2))
        + element(0x0800, short(data_set))
        + element(0x1000, uid(instance))
    )
    return element(0x0000, struct.pack("<L", len(body))) + body


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
