"""One pull: what is wanted and not known yet is fetched, and becomes jobs."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from pleura.errors import PleuraError
from pleura.service.dicomweb import DicomWeb
from pleura.service.errors import (
    BusyError,
    DeliveryError,
    NotAdmittedError,
    PullError,
    StoreError,
)
from pleura.service.node.heading import read_heading
from pleura.service.pull.retrieve import retrieve
from pleura.service.pull.search import Criteria, Instance, search
from pleura.service.settings.destinations import StowDestination
from pleura.service.store import State
from pleura.service.wiring import Service

SOURCE = "pull"
PATIENCE_SECONDS = 600.0
_LOOK_SECONDS = 0.5
_MOST_SILENCES = 5
_MIB = 1 << 20

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class PullTally:
    """What became of the instances that were found.

    Attributes:
        fetched: new jobs, or new tries of such as had been given up.
        known: had a job already.
        own: results of Pleura, which are not judged.
        failed: by code of the error.
        stopped: why it ended before its time.
    """

    fetched: int = 0
    known: int = 0
    own: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    stopped: PleuraError | None = None

    @property
    def exit_status(self) -> int:
        """0 nothing failed, 1 some failed, 3 nothing that was wanted could be fetched."""
        if not self.failed and self.stopped is None:
            return 0
        return 1 if self.fetched or self.known else 3

    def __str__(self) -> str:
        parts = [f"{self.fetched} fetched", f"{self.known} known already"]
        if self.own:
            parts.append(f"{self.own} own results left out")
        codes = ", ".join(f"{code} {count}" for code, count in sorted(self.failed.items()))
        parts.append(f"{self.failed.total()} failed" + (f" ({codes})" if codes else ""))
        return ", ".join(parts)


def pull(
    service: Service,
    server: StowDestination,
    criteria: Criteria,
    advance: Callable[[PullTally], None] = lambda tally: None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> PullTally:
    """Fetch what is wanted and has no job yet; what fails is counted, and the rest goes on.

    Images are recognised by their UIDs, so that a pull that was broken off goes on where it
    stopped. When as many jobs wait as may, it waits as well.

    Args:
        service: what is fetched becomes its jobs, with the source `pull`.
        server: where from.
        criteria: what is wanted.
        advance: called after each instance.
        patience_seconds: how long to wait while no more jobs are taken.

    Returns:
        What became of the instances; `stopped` says why, where not all were tried.

    Raises:
        StoreError: the database cannot be reached.
    """
    tally, web = PullTally(), DicomWeb(server)
    puller = _Puller(service, web, tally, patience_seconds)
    try:
        for instance in islice(puller.unknown(criteria), criteria.limit):
            puller.fetch(instance)
            advance(tally)
    except (BusyError, DeliveryError, PullError) as error:
        tally.stopped = error
    finally:
        web.close()
    return tally


class _Puller:
    def __init__(self, service: Service, web: DicomWeb, tally: PullTally, patience: float) -> None:
        self._service = service
        self._web = web
        self._tally = tally
        self._patience = patience
        self._silences = 0
        self._most = round(service.settings.node.max_object_mib * _MIB)

    def unknown(self, criteria: Criteria) -> Iterator[Instance]:
        """Wanted instances that have no job of the present recipe, or one that was given up."""
        for study, instances in search(self._web, criteria):
            known = self._service.jobs.known_instances(study, self._service.recipe)
            try:
                for instance in instances:
                    if instance.instance in known:
                        self._tally.known += 1
                    else:
                        yield instance
            except PullError as error:  # this study cannot be listed; others may
                self._failed(error)

    def fetch(self, instance: Instance) -> None:
        """Fetch one instance.

        Raises:
            BusyError: no more jobs were taken for too long.
            StoreError: the database cannot be reached.
            DeliveryError: the server has not answered several times in a row, or allows nothing.
        """
        try:
            self._fetch(instance)
            self._silences = 0
        except NotAdmittedError:
            raise
        except DeliveryError as error:
            self._failed(error)
            self._silences += 1
            if self._silences >= _MOST_SILENCES:
                raise
        except (BusyError, StoreError):
            raise
        except PleuraError as error:
            self._failed(error)
            self._silences = 0

    def _fetch(self, instance: Instance) -> None:
        deadline = time.monotonic() + self._patience
        while True:
            self._await_room(deadline)
            try:
                self._take(instance)
                return
            except (BusyError, OSError) as error:  # others were faster, or the disk is full
                if time.monotonic() > deadline:
                    raise BusyError("The disk, or the queue, is full.") from error
                time.sleep(_LOOK_SECONDS)

    def _take(self, instance: Instance) -> None:
        intake = self._service.intake
        with intake.open() as spooled:
            retrieve(self._web, instance.path, spooled, self._most)
            spooled.close()
            heading = read_heading(spooled.path)
            if heading.own:
                self._tally.own += 1
                return
            job = intake.take(
                spooled,
                name="",
                source=SOURCE,
                sop_instance_uid=instance.instance,
                study_instance_uid=instance.study,
            )
        self._tally.fetched += 1
        _log.info("job %s: pulled", job.id)

    def _await_room(self, deadline: float) -> None:
        limit = self._service.settings.storage.queue_limit
        while True:
            counts = self._service.jobs.counts()
            if counts[State.RECEIVED] + counts[State.RUNNING] < limit:
                return
            if time.monotonic() > deadline:
                raise BusyError(f"{limit} jobs wait, and none was done for a long time.")
            time.sleep(_LOOK_SECONDS)

    def _failed(self, error: PleuraError) -> None:
        self._tally.failed[error.code] += 1
        _log.warning("not pulled: %s: %s", error.code, error.message)
