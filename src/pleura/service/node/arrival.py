"""Objects on their way in: written to the disk as their parts arrive, never held in memory.

pynetdicom can do so too (`STORE_RECV_CHUNKED_DATASET`), into the folder for temporary files. There
a full disk ends the association instead of getting status A700, the file of an association that
breaks off is left behind, nothing bounds an object, and the file must be copied once more. So the
parts are led into a file of the intake instead, at the place where pynetdicom looks for its own.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from pleura.errors import PleuraError
from pleura.outputs.dicom.elements import Encoded
from pleura.outputs.dicom.marks import IMPLEMENTATION_UID
from pleura.service.files import SpooledFile

_log = logging.getLogger(__name__)

_C_STORE_RQ = 0x0001
"""Command Field (0000,0100) of the request to store (PS3.7 9.3.1.1)."""
SILENT_SECONDS = 1.0
"""After which an association counts as idle."""
PAUSE_SECONDS = 0.02
"""Between two looks at an idle association."""
_LOOK_SECONDS = 0.002
_MOST_COMMAND_BYTES = 1 << 16
"""Of a command set, or of a data set that comes with another service's request."""
_MOST_WAITING = 4
"""Requests that a peer may send ahead of their answers; no more than one was negotiated."""


class TooLargeError(Exception):
    """The object has more bytes than it may have."""


class Arrival:
    """One object that is arriving, as a file that pynetdicom writes to.

    What goes wrong is kept for the answer; the rest of the object is then let pass.

    Args:
        opened: opens the file; may raise what `Intake.open` raises.
        most: bytes that it may have.
        start: what stands in the file before the data set.
    """

    def __init__(self, opened: Callable[[], SpooledFile], most: int, start: bytes) -> None:
        self.failure: Exception | None = None
        self.spooled: SpooledFile | None = None
        self.started = time.monotonic()
        self.answered_at: float | None = None
        self._most = most + len(start)
        self._lock = threading.Lock()
        try:
            self.spooled = opened()
        except (PleuraError, OSError) as error:
            self.failure = error
        self.write(start)

    def write(self, part: bytes) -> None:
        """Add a part of the object; never raises."""
        with self._lock:
            if self.spooled is None:
                return
            if self.spooled.size + len(part) > self._most:
                self._give_up(TooLargeError())
                return
            try:
                self.spooled.write(part)
            except OSError as error:
                self._give_up(error)

    def discard(self) -> None:
        """Remove the file, unless it was taken."""
        with self._lock:
            if self.spooled is not None:
                _remove(self.spooled)
                self.spooled = None

    def answered(self) -> None:
        """The answer is settled; what was not taken is removed."""
        self.discard()
        self.answered_at = time.monotonic()

    def _give_up(self, why: Exception) -> None:
        assert self.spooled is not None
        self.failure = why
        _remove(self.spooled)
        self.spooled = None

    # From here on, what pynetdicom asks of the file that it believes to be its own.
    name = ""

    @property
    def file(self) -> "Arrival":
        """Itself."""
        return self

    def flush(self) -> None:
        """Nothing: the intake flushes before it takes the file."""

    def close(self) -> None:
        """Nothing: whoever answers sees to the file."""


class Inbox(DIMSEServiceProvider):
    """Message exchange of one association, with bounds (PS3.7 6.3, PS3.8 E).

    Args:
        association: its own.
        opened: opens a file for an object.
        most: bytes that an object may have.
        object_seconds: that an object may take.
    """

    def __init__(
        self,
        association: Association,
        opened: Callable[[], SpooledFile],
        most: int,
        object_seconds: float,
    ) -> None:
        super().__init__(association)
        self._touched = time.monotonic()
        self._opened = opened
        self._most = most
        self._object_seconds = object_seconds
        self._arrivals: list[Arrival] = []  # without an answer, and the last one with

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take in what a PDU holds; what breaks the protocol aborts the association."""
        self._touched = time.monotonic()
        try:
            for context_id, value in primitive.presentation_data_value_list:
                self._receive(context_id, value)
        except Exception as error:  # whatever a peer sends, it ends no more than its association
            self._abort(type(error).__name__)

    def get_msg(self, block: bool = False) -> Any:
        """The next request with its context; (None, None) where there is none.

        pynetdicom's own does not wait at all unless `block` is set, and is asked a thousand times
        a second. This waits a little, but a request that comes ends the wait.
        """
        if block:
            return super().get_msg(block=True)
        idle = self.silent_seconds > SILENT_SECONDS
        try:
            return self.msg_queue.get(timeout=PAUSE_SECONDS if idle else _LOOK_SECONDS)
        except queue.Empty:
            return None, None

    @property
    def silent_seconds(self) -> float:
        """Time since the last request was answered; 0 while one arrives or waits."""
        answers = [arrival.answered_at for arrival in self._arrivals]
        if self.message is not None or None in answers or not self.msg_queue.empty():
            return 0.0
        return time.monotonic() - max([self._touched, *(at for at in answers if at is not None)])

    def discard(self) -> None:
        """The association has ended: remove what has not arrived to its end."""
        for arrival in self._arrivals:
            arrival.discard()
        self._arrivals.clear()

    def _receive(self, context_id: int, value: bytes) -> None:
        single = P_DATA()
        single.presentation_data_value_list = [[context_id, value]]  # type: ignore[list-item]
        if self.message is None and self.msg_queue.qsize() >= _MOST_WAITING:
            raise ValueError("more requests at a time than were negotiated")
        super().receive_primitive(single)
        message: Any = self.message
        if message is None:
            return
        if message.command_set.get("CommandField") != _C_STORE_RQ:
            size = message.encoded_command_set.tell() + message.data_set.tell()
            if size > _MOST_COMMAND_BYTES:
                raise ValueError("an endless command")
        elif message._data_set_file is None:
            message._data_set_file = self._arriving(message, context_id)
        elif time.monotonic() - message._data_set_file.started > self._object_seconds:
            raise TimeoutError("an object that takes too long")

    def _arriving(self, message: Any, context_id: int) -> Arrival:
        contexts = {context.context_id: context for context in self.assoc.accepted_contexts}
        command = message.command_set
        start = file_start(
            str(command.AffectedSOPClassUID),
            str(command.AffectedSOPInstanceUID),
            str(contexts[context_id].transfer_syntax[0]),
        )
        arrival = Arrival(self._opened, self._most, start)
        unanswered = [earlier for earlier in self._arrivals if earlier.answered_at is None]
        self._arrivals = [*unanswered, arrival]
        return arrival

    def _abort(self, why: str) -> None:
        _log.warning("association aborted: protocol error (%s)", why)
        self.message = None
        self.dul.event_queue.put("Evt19")  # "unrecognized or invalid PDU": A-ABORT (PS3.8 9.2)


def file_start(sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """Preamble and file meta information (PS3.10 7.1).

    They hold nothing of time, sender or version: the same data set in the same syntax is the same
    file, and so the same job.
    """
    elements = [
        Encoded(0x00020001, "OB", b"\0\1"),
        Encoded(0x00020002, "UI", _padded(sop_class)),
        Encoded(0x00020003, "UI", _padded(sop_instance)),
        Encoded(0x00020010, "UI", _padded(transfer_syntax)),
        Encoded(0x00020012, "UI", _padded(IMPLEMENTATION_UID)),
    ]
    body = b"".join(element.to_bytes() for element in elements)
    length = Encoded(0x00020000, "UL", len(body).to_bytes(4, "little")).to_bytes()
    return b"\0" * 128 + b"DICM" + length + body


def _padded(uid: str) -> bytes:
    data = uid.encode("ascii")
    return data + b"\0" * (len(data) % 2)


def _remove(spooled: SpooledFile) -> None:
    with spooled:
        pass
