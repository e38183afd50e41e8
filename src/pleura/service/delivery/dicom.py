"""Delivery by C-STORE (PS3.4 B)."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association

from pleura.outputs.dicom.marks import IMPLEMENTATION_UID
from pleura.service.delivery.outcome import Said, check_all_taken, said_by
from pleura.service.errors import NotAdmittedError, UnreachableError
from pleura.service.node.tls import client_context
from pleura.service.settings.destinations import DicomDestination

SOP_CLASSES = {
    "seg": "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation Storage
    "sr": "1.2.840.10008.5.1.4.1.1.88.33",  # Comprehensive SR Storage
    "sc": "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture Image Storage
}
# A file is then sent as it lies on the disk, byte for byte, instead of being decoded.
_config.STORE_SEND_CHUNKED_DATASET = True


class DicomSender:
    """Sends by C-STORE; the association is kept for what comes next.

    Args:
        destination: where to.
    """

    def __init__(self, destination: DicomDestination) -> None:
        self._destination = destination
        self._association: Association | None = None
        self._numbers = itertools.cycle(range(1, 65536))
        self._entity = ApplicationEntity(destination.calling_ae_title)
        self._entity.implementation_class_uid = IMPLEMENTATION_UID
        self._entity.implementation_version_name = "PLEURA"
        self._entity.connection_timeout = destination.connect_seconds
        self._entity.acse_timeout = destination.connect_seconds
        self._entity.dimse_timeout = destination.response_seconds
        self._entity.network_timeout = destination.response_seconds
        for kind in destination.objects:
            # Two contexts each, so that what is stored can be sent as it is where that is known.
            for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
                self._entity.add_requested_context(SOP_CLASSES[kind], syntax)

    def send(self, objects: Sequence[Path]) -> None:
        """See `Sender`."""
        association = self._associated()
        statuses = [self._send_one(association, path) for path in objects]
        said = [Said.NEVER if status is None else said_by(status) for status in statuses]
        check_all_taken(said, lambda: _reasons(statuses))

    def close(self) -> None:
        """Release the association."""
        if self._association is not None and self._association.is_established:
            self._association.release()
        self._association = None

    def _associated(self) -> Association:
        if self._association is not None and self._association.is_established:
            return self._association
        destination = self._destination
        tls = None if destination.tls is None else client_context(destination.tls)
        try:
            association = self._entity.associate(
                destination.host,
                destination.port,
                ae_title=destination.ae_title,
                tls_args=None if tls is None else (tls, destination.host),
                evt_handlers=[(evt.EVT_CONN_OPEN, self._bound)],
            )
        except OSError as error:  # the name is not known
            raise UnreachableError(f"There is no connection ({type(error).__name__}).") from error
        if association.is_rejected:
            answer = association.acceptor.primitive
            reason = "no reason given" if answer is None else answer.reason_str
            raise NotAdmittedError(f"The destination rejected the association: {reason}.")
        if not association.is_established:
            raise UnreachableError("No association could be made.")
        self._association = association
        return association

    def _bound(self, event: evt.Event) -> None:
        """Let no half PDU hold this thread up: pynetdicom waits for the other half for ever."""
        connection = event.assoc.dul.socket
        if connection is not None and connection.socket is not None:
            connection.socket.settimeout(self._destination.response_seconds)

    def _send_one(self, association: Association, path: Path) -> int | None:
        """Status of the answer; None where the destination takes no objects of the class.

        Raises:
            UnreachableError: there was no answer.
        """
        meta = read_file_meta_info(path)
        sop_class = meta.MediaStorageSOPClassUID
        agreed = {
            context.transfer_syntax[0]
            for context in association.accepted_contexts
            if context.abstract_syntax == sop_class
        }
        if not agreed:
            return None
        # Without the stored syntax there is the implicit one, which needs the data set decoded.
        sent = path if meta.TransferSyntaxUID in agreed else dcmread(path)
        try:
            answer = association.send_c_store(sent, msg_id=next(self._numbers))
        except RuntimeError as error:  # it has ended meanwhile
            raise UnreachableError("The association was ended.") from error
        if "Status" not in answer:
            association.abort()
            raise UnreachableError("The destination gave no answer to an object.")
        return int(answer.Status)


def _reasons(statuses: Sequence[int | None]) -> str:
    """What was given as a reason, each once."""
    words = [
        "class not accepted" if status is None else f"status {status:04X}"
        for status in statuses
        if status is None or said_by(status) is not Said.TAKEN
    ]
    return ", ".join(dict.fromkeys(words))
