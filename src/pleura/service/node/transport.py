"""Connections with bounds: pynetdicom waits for ever, for as many bytes as a peer announces."""

import logging
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from socketserver import BaseServer
from typing import Any

from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from pleura.service.files import SpooledFile
from pleura.service.node.arrival import PAUSE_SECONDS, SILENT_SECONDS, Inbox
from pleura.service.settings.node import NodeSettings

# Its own lines about each PDU name UIDs, at a level that nobody reads.
_config.LOG_HANDLER_LEVEL = "none"
_log = logging.getLogger(__name__)

_LONGEST_REQUEST = 1 << 20
"""Bytes of an A-ASSOCIATE-RQ; 128 presentation contexts with 40 syntaxes each take 200 kB."""
_PDV_OVERHEAD = 1 << 10
_CHUNK = 1 << 18
_MIB = 1 << 20


class BoundedSocket(AssociationSocket):
    """Receives PDUs that are no longer than they may be, and arrive in time (PS3.8 9.3).

    Args:
        association: its own.
        connection: with the peer.
        settings: lengths and times.
    """

    def __init__(
        self, association: Association, connection: socket.socket, settings: NodeSettings
    ) -> None:
        super().__init__(association, connection)
        self._settings = settings
        self._heard = time.monotonic()

    @property
    def ready(self) -> bool:
        """Whether there is something to read.

        pynetdicom asks a thousand times a second. After a second of silence this waits for the
        peer a little, so that associations that are kept open cost next to nothing.
        """
        if self.socket is not None and time.monotonic() - self._heard > SILENT_SECONDS:
            with suppress(OSError, ValueError):  # closed meanwhile, which is seen below
                select.select([self.socket], [], [], PAUSE_SECONDS)
        return super().ready

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly so many bytes, or fewer when the peer has closed the connection.

        Raises:
            TimeoutError: they did not arrive in time.
        """
        self._heard = time.monotonic()
        established = self.assoc.is_established
        longest = self._settings.max_pdu_kib * 1024 + _PDV_OVERHEAD
        if nr_bytes > (longest if established else _LONGEST_REQUEST):
            _log.warning("association aborted: a PDU of %d bytes is announced", nr_bytes)
            self.event_queue.put("Evt19")  # "invalid PDU": A-ABORT (PS3.8 9.2)
            self._give_up_waiting()
            return bytearray()
        seconds = self._settings.idle_seconds if established else self._seconds_to_associate
        try:
            received = self._read(nr_bytes, time.monotonic() + seconds)
        except OSError:
            self._give_up_waiting()
            raise
        if len(received) < nr_bytes:
            self._give_up_waiting()
        return received

    def close(self) -> None:
        """Close the connection."""
        super().close()
        self._give_up_waiting()

    def _give_up_waiting(self) -> None:
        """No association request will come any more, for which a place would be kept."""
        dul = self.assoc.dul
        if self.assoc.requestor.primitive is None and dul.to_user_queue.empty():
            dul.to_user_queue.put(None)

    @property
    def _seconds_to_associate(self) -> float:
        return min(self._settings.association_seconds, self._settings.idle_seconds)

    def _read(self, count: int, deadline: float) -> bytearray:
        buffer = bytearray(count)
        view, filled = memoryview(buffer), 0
        connection = self.socket
        if connection is None:  # closed meanwhile
            return bytearray()
        while filled < count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
            received = connection.recv_into(view[filled : filled + _CHUNK])
            if received == 0:
                break
            filled += received
        connection.settimeout(self._settings.idle_seconds)  # for answers
        view.release()
        del buffer[filled:]
        return buffer


class Connection(RequestHandler):
    """One connection, in a thread of its own, from its first byte to its last file."""

    server: "NodeServer"

    def handle(self) -> None:
        """Run the association, and clear away what it leaves."""
        association = self._create_association()
        association.dul.daemon = True
        association.dul.run = _to_its_end(association.dul.run)  # type: ignore[method-assign]
        association.dul.event_queue.get_nowait()  # "connected", which the next line says again
        association.dul.socket = BoundedSocket(association, self.request, self.server.settings)
        inbox = Inbox(
            association,
            self.server.opened,
            round(self.server.settings.max_object_mib * _MIB),
            self.server.settings.object_seconds,
        )
        association.dimse = inbox
        self.server.associations.add(association)
        try:
            evt.trigger(association, evt.EVT_CONN_OPEN, {"address": self.client_address})
            association.start()
            association.join()
        finally:
            self.server.associations.discard(association)
            inbox.discard()
            self.server.shutdown_request(self.request)


def _to_its_end(run: Callable[[], None]) -> Callable[[], None]:
    """A state machine that meets what it does not know ends, and the association with it."""

    def run_to_its_end() -> None:
        try:
            run()
        except Exception as error:  # an answer after an abort, items that contradict each other
            _log.warning("association ended: protocol error (%s)", type(error).__name__)

    return run_to_its_end


class NodeServer(ThreadedAssociationServer):
    """Listens; connections beyond twice the number of associations are closed unheard.

    Args:
        entity: the node as application entity.
        settings: of the node.
        opened: opens a file for an object.
        contexts: presentation contexts that are supported.
        tls: None for none.
        handlers: of pynetdicom's events.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(
        self,
        entity: ApplicationEntity,
        settings: NodeSettings,
        opened: Callable[[], SpooledFile],
        contexts: list[PresentationContext],
        tls: ssl.SSLContext | None,
        handlers: list[evt.EventHandlerType],
    ) -> None:
        self.settings = settings
        self.opened = opened
        self.associations: set[Association] = set()
        self._tls = tls
        self._places = threading.BoundedSemaphore(2 * settings.max_associations)
        super().__init__(
            entity,
            (settings.host, settings.port),
            settings.ae_titles[0],
            contexts,
            evt_handlers=handlers,
            request_handler=Connection,
        )

    def end(self) -> None:
        """Take no more connections; those in hand go on."""
        BaseServer.shutdown(self)
        self.server_close()

    def service_actions(self) -> None:
        """Nothing: pynetdicom collects garbage here every few seconds, and all peers wait."""

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more connection."""
        if self._places.acquire(blocking=False):
            return True
        _log.warning("connection closed: there are %d", 2 * self.settings.max_associations)
        return False

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Run one connection; the TLS handshake must not keep others waiting."""
        try:
            request.settimeout(self.settings.association_seconds)
            if self._tls is not None:
                request = self._tls.wrap_socket(request, server_side=True)
            self.finish_request(request, client_address)
        except OSError as error:
            why = getattr(error, "reason", None) or type(error).__name__
            _log.warning("connection closed: %s", why)
        finally:
            self.shutdown_request(request)
            self._places.release()
