"""Taking deliveries out of the store, one destination apart from the other."""

import logging
import threading
from contextlib import closing
from pathlib import Path

from pleura.service.child import Stop
from pleura.service.delivery.dicom import DicomSender
from pleura.service.delivery.outcome import Sender
from pleura.service.delivery.stow import StowSender
from pleura.service.errors import (
    DeliveryError,
    LeaseLostError,
    NothingToDeliverError,
    ResultsMissingError,
    SettingsError,
    StoreUnavailableError,
    UnreachableError,
)
from pleura.service.logs import log_exception
from pleura.service.settings.destinations import Destination, DicomDestination
from pleura.service.store import Delivery
from pleura.service.store.backoff import delay
from pleura.service.store.rows import failure_of
from pleura.service.wiring import Service
from pleura.service.worker import unique_name

_POLL_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 60.0
_STORE_PAUSE_SECONDS = 1.0

_log = logging.getLogger(__name__)


def deliver_once(service: Service, owner: str) -> bool:
    """Bring one delivery on its way, to whichever destination it is for.

    Args:
        service: the service.
        owner: unique name, for leases.

    Returns:
        Whether there was one; `service.deliveries` has how it ended.

    Raises:
        StoreUnavailableError: the database cannot be reached.
    """
    destinations = {destination.name: destination for destination in service.settings.destinations}
    delivery = service.deliveries.claim(owner, destinations)
    if delivery is None:
        return False
    destination = destinations[delivery.destination]
    with closing(sender_for(destination)) as sender:
        _deliver(service, owner, delivery, destination, sender)
    return True


def deliver_forever(service: Service, stop: Stop) -> None:
    """Deliver to each destination in a thread of its own, until it is told to stop.

    So one that is slow or dead keeps no other waiting.

    Args:
        service: the service.
        stop: what is on its way when the time to stop runs out is given back.
    """
    lines = [_Line(service, destination, stop) for destination in service.settings.destinations]

    def give_back() -> None:
        for line in lines:
            line.give_back()

    stop.last_words = give_back
    threads = [threading.Thread(target=line.run, name=line.name, daemon=True) for line in lines]
    for thread in threads:
        thread.start()
    stop.wait()
    for thread in threads:
        thread.join()


def sender_for(destination: Destination) -> Sender:
    """What sends to a destination."""
    if isinstance(destination, DicomDestination):
        return DicomSender(destination)
    return StowSender(destination)


class _Line:
    """The deliveries to one destination, one after the other."""

    def __init__(self, service: Service, destination: Destination, stop: threading.Event) -> None:
        self.name = f"delivery-{destination.name}"
        self._service = service
        self._destination = destination
        self._stop = stop
        self._owner = unique_name()
        self._sender = sender_for(destination)
        self._in_hand: Delivery | None = None
        self._silences = 0

    def run(self) -> None:
        """Deliver until stopped."""
        while not self._stop.is_set():
            try:
                pause = self._step()
            except StoreUnavailableError:
                _log.warning("the database cannot be reached; waiting for it")
                pause = _STORE_PAUSE_SECONDS
            except Exception as error:  # the others and the next ones go on
                log_exception(error)
                pause = _LONGEST_PAUSE_SECONDS
            if pause > 0:
                self._stop.wait(pause)
        self._sender.close()

    def give_back(self) -> None:
        """Give back what is on its way, untried."""
        delivery = self._in_hand
        if delivery is not None:
            self._service.deliveries.release(delivery, self._owner)

    def _step(self) -> float:
        """Do one delivery; returns seconds to wait before the next.

        While the destination does not answer, one delivery after the other would use up its tries.
        """
        self._in_hand = self._service.deliveries.claim(self._owner, [self._destination.name])
        if self._in_hand is None:
            self._sender.close()  # until there is something again
            return _POLL_SECONDS
        try:
            answered = _deliver(
                self._service, self._owner, self._in_hand, self._destination, self._sender
            )
        finally:
            self._in_hand = None
        self._silences = 0 if answered else self._silences + 1
        if answered:
            return 0.0
        first = self._service.settings.worker.retry_seconds
        return min(delay(self._silences, first).total_seconds(), _LONGEST_PAUSE_SECONDS)


def _deliver(
    service: Service, owner: str, delivery: Delivery, destination: Destination, sender: Sender
) -> bool:
    """Do one claimed delivery; returns whether the destination answered."""
    name = f"job {delivery.job_id} to {destination.name}"
    error: DeliveryError | SettingsError | None = None
    try:
        _send(service, delivery, destination, sender)
    except (DeliveryError, SettingsError) as met:
        error = met
    except OSError as met:  # of the disk; what comes of the network is a DeliveryError
        error = DeliveryError(f"The results cannot be read ({type(met).__name__}).")
    try:
        if error is None:
            service.deliveries.sent(delivery, owner)
            _log.info("%s: delivered", name)
        else:
            final = isinstance(error, DeliveryError) and error.final
            service.deliveries.failed(delivery, owner, failure_of(error), final=final)
            _log.warning("%s: not delivered, %s: %s", name, error.code, error.message)
    except LeaseLostError:
        _log.warning("%s: taken over by another process", name)
    return not isinstance(error, UnreachableError | SettingsError)


def _send(service: Service, delivery: Delivery, destination: Destination, sender: Sender) -> None:
    outcome = service.jobs.get(delivery.job_id).outcome
    if outcome is None or outcome.results is None:
        raise ResultsMissingError("The results are no longer kept.")
    folder = service.files.results_path(outcome.results)
    made = _objects(folder)
    if not made:
        raise NothingToDeliverError("The result has no DICOM object.")
    # In this order: the report refers to the segmentation.
    wanted = [made[kind] for kind in ("seg", "sr", "sc") if kind in made]
    chosen = [path for path in wanted if path.stem in destination.objects]
    if chosen:  # a negative has no segmentation, which may be all that the destination gets
        sender.send(chosen)


def _objects(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise ResultsMissingError("The results are no longer on the disk.")
    return {path.stem: path for path in folder.glob("*.dcm")}
