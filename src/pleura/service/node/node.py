"""The node as a whole: listening, deciding who may associate, stopping."""

import logging
import threading
import time
from typing import Any

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.events import Event

from pleura.outputs.dicom.marks import IMPLEMENTATION_UID
from pleura.service.errors import SettingsError
from pleura.service.intake import Intake
from pleura.service.node.arrival import SILENT_SECONDS, Inbox
from pleura.service.node.contexts import supported_contexts
from pleura.service.node.peers import STOPPING, rejection_of
from pleura.service.node.storing import Storing
from pleura.service.node.tls import server_context
from pleura.service.node.transport import NodeServer
from pleura.service.settings.node import NodeSettings
from pleura.service.wiring import Service

_log = logging.getLogger(__name__)


class Node:
    """The DICOM listener. Use as a context manager, or `start` and `stop`.

    Args:
        settings: of the node.
        intake: takes what arrives.

    Raises:
        SettingsError: address, port, certificate or key cannot be used.
    """

    def __init__(self, settings: NodeSettings, intake: Intake) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        entity = ApplicationEntity(settings.ae_titles[0])
        entity.implementation_class_uid = IMPLEMENTATION_UID
        entity.implementation_version_name = "PLEURA"
        entity.maximum_pdu_size = settings.max_pdu_kib * 1024
        entity.maximum_associations = settings.max_associations
        entity.acse_timeout = settings.association_seconds
        entity.dimse_timeout = settings.idle_seconds
        entity.network_timeout = settings.idle_seconds
        tls = None if settings.tls is None else server_context(settings.tls)
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_ABORTED, _aborted),
            (evt.EVT_C_STORE, Storing(intake)),
            (evt.EVT_C_ECHO, lambda event: 0x0000),
        ]
        try:
            self._server = NodeServer(
                entity, settings, intake.open, supported_contexts(), tls, handlers
            )
        except OSError as error:
            raise SettingsError(
                f"The node cannot listen on {settings.host}, port {settings.port}:"
                f" {error.strerror or type(error).__name__}."
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="node", daemon=True
        )

    @property
    def port(self) -> int:
        """That it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to take connections; returns at once."""
        if not self._settings.peers and not self._settings.any_peer:
            _log.warning("no peers are set (node.peers): every association will be rejected")
        self._thread.start()
        _log.info(
            "node %s listens on %s, port %d%s",
            ", ".join(self._settings.ae_titles),
            self._settings.host,
            self.port,
            "" if self._settings.tls is None else ", TLS",
        )

    def close(self) -> None:
        """Give up the port of a node that was not started."""
        self._server.server_close()

    def stop(self) -> None:
        """Take no more associations; those in hand have their grace time, then they are aborted.

        One that is silent between two objects is aborted before that: its sender has an answer
        for everything that it has sent.
        """
        self._stopping.set()
        self._server.end()
        self._thread.join()
        deadline = time.monotonic() + self._settings.grace_seconds
        while (left := list(self._server.associations)) and time.monotonic() < deadline:
            for association in left:
                inbox = association.dimse
                assert isinstance(inbox, Inbox)
                if inbox.silent_seconds > SILENT_SECONDS:
                    _abort(association)
            time.sleep(0.02)
        for association in left:
            _log.warning("association aborted: the node stops")
            _abort(association)
        _log.info("node stopped")

    def __enter__(self) -> "Node":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _requested(self, event: Event) -> None:
        """Reject associations of peers that are not known."""
        association = event.assoc
        request: Any = association.requestor.primitive
        called, calling = str(request.called_ae_title), str(request.calling_ae_title)
        address = association.requestor.address
        rejection = (
            STOPPING
            if self._stopping.is_set()
            else rejection_of(called, calling, address, self._settings)
        )
        if rejection is None:
            return
        _log.warning(
            "association rejected: %s (called %s, calling %s, from %s)",
            rejection.code,
            called.strip(),
            calling.strip(),
            address,
        )
        association.acse.send_reject(rejection.result, rejection.source, rejection.reason)
        association.kill()


def listen_forever(service: Service, stop: threading.Event) -> None:
    """Take images until it is told to stop.

    Args:
        service: with the settings of the node, and the intake.
        stop: set when the node shall stop.

    Raises:
        SettingsError: address, port, certificate or key cannot be used.
    """
    with Node(service.settings.node, service.intake):
        stop.wait()


def _abort(association: Association) -> None:
    """A-ABORT, without waiting for a connection that no longer answers."""
    threading.Thread(target=association.abort, daemon=True).start()


def _aborted(event: Event) -> None:
    _log.info("association ended without release")
