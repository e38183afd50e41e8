"""C-STORE: what has arrived becomes a job, and only then is it acknowledged (PS3.4 B.2.3)."""

import logging
from enum import IntEnum
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.events import Event
from sqlalchemy.exc import SQLAlchemyError

from pleura.errors import PleuraError
from pleura.service.errors import BusyError, StoreUnavailableError
from pleura.service.intake import Intake
from pleura.service.node.arrival import Arrival, TooLargeError
from pleura.service.node.contexts import IMAGES
from pleura.service.node.heading import read_heading, well_formed

_log = logging.getLogger(__name__)


class Status(IntEnum):
    """Status (0000,0900) of a C-STORE response."""

    SUCCESS = 0x0000
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    OUT_OF_RESOURCES = 0xA700
    TOO_LARGE = 0xA701
    NOT_OF_THIS_CLASS = 0xA900
    NOT_UNDERSTOOD = 0xC000


class Storing:
    """Answers C-STORE requests.

    Args:
        intake: takes the objects.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def __call__(self, event: Event) -> Dataset:
        """Answer one request; when success goes out, the job is on the disk."""
        request: Any = event.request
        arrival = request._dataset_file if isinstance(request._dataset_file, Arrival) else None
        sender = str(event.assoc.requestor.ae_title).strip()
        try:
            status, code = self._store(request, event.context.abstract_syntax, arrival, sender)
        finally:
            if arrival is not None:
                arrival.answered()
        if status is not Status.SUCCESS:
            _log.warning("object of %s not taken: %s, status %04X", sender, code, status)
        answer = Dataset()
        answer.Status = int(status)
        if status is not Status.SUCCESS:
            answer.ErrorComment = code
        return answer

    def _store(
        self, request: Any, agreed_class: str, arrival: Arrival | None, sender: str
    ) -> tuple[Status, str]:
        sop_class = str(request.AffectedSOPClassUID)
        if sop_class not in IMAGES or sop_class != agreed_class:
            return Status.SOP_CLASS_NOT_SUPPORTED, "sop_class_not_supported"
        if arrival is None:
            return Status.NOT_UNDERSTOOD, "no_data_set"
        if isinstance(arrival.failure, TooLargeError):
            return Status.TOO_LARGE, "too_large"
        spooled = arrival.spooled
        if spooled is None:
            return Status.OUT_OF_RESOURCES, _code_of(arrival.failure)
        try:
            spooled.close()
            heading = read_heading(spooled.path)
            if not heading.sop_class_uid and not heading.sop_instance_uid:
                return Status.NOT_UNDERSTOOD, "no_identity"
            if heading.sop_class_uid not in ("", sop_class):
                return Status.NOT_OF_THIS_CLASS, "another_sop_class"
            if heading.own:
                _log.info("object of %s left out: Pleura has made it", sender)
                return Status.SUCCESS, "own_result"
            given_uid = well_formed(str(request.AffectedSOPInstanceUID))
            job = self._intake.take(
                spooled,
                name="",
                source=f"dicom:{sender}",
                sop_instance_uid=heading.sop_instance_uid or given_uid,
                study_instance_uid=heading.study_instance_uid,
            )
        except (BusyError, StoreUnavailableError, OSError, SQLAlchemyError) as error:
            return Status.OUT_OF_RESOURCES, _code_of(error)
        except PleuraError as error:
            return Status.NOT_UNDERSTOOD, error.code
        _log.info("job %s: received from %s", job.id, sender)
        return Status.SUCCESS, "ok"


def _code_of(error: Exception | None) -> str:
    if isinstance(error, PleuraError):
        return error.code
    return "disk" if isinstance(error, OSError) else "database"
