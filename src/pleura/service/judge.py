"""Doing one job: image in, results on the disk, outcome in the store."""

import logging
import secrets
import time
from collections.abc import Callable
from datetime import datetime

from pleura.errors import NoDicomSourceError, NotFoundError, PleuraError
from pleura.inference import Prediction, Predictor, Refusal, Status
from pleura.inference.source import refusal_for
from pleura.io import Input
from pleura.outputs import (
    DicomOptions,
    Kind,
    dicom_objects,
    draw_overlay,
    encode_png,
    json_line,
)
from pleura.service.errors import LeaseLostError, MissingInputError, StoreUnavailableError
from pleura.service.files import FileStore
from pleura.service.settings.work import WorkerSettings
from pleura.service.store import Failure, Job, JobStore, Outcome, Recipe
from pleura.service.store.clock import utc_now

RESULT_NAME = "prediction.json"
OVERLAY_NAME = "overlay.png"
_RETRY_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Judge:
    """A predictor with the jobs that it works on.

    Args:
        predictor: loaded.
        recipe: what the predictor is.
        files: images and results.
        jobs: the store.
        settings: which results are written.
        owner: unique name, for leases.
    """

    def __init__(
        self,
        predictor: Predictor,
        recipe: Recipe,
        files: FileStore,
        jobs: JobStore,
        settings: WorkerSettings,
        owner: str,
    ) -> None:
        self.owner = owner
        self._predictor = predictor
        self._recipe = recipe
        self._files = files
        self._jobs = jobs
        self._settings = settings

    def work(self, begun: Callable[[Job], None] = lambda job: None) -> Job | None:
        """Claim one job and bring it to an end; None when there was none.

        Args:
            begun: called when a job was claimed.
        """
        job = self._jobs.claim(self.owner, self._recipe)
        if job is None:
            return None
        begun(job)
        try:
            self._do(job)
        except LeaseLostError:
            # Results that do not count are swept later. They may count, though: when the database
            # went away in the middle of `finish`, the second call finds the job finished.
            _log.warning("job %s: no longer this worker's", job.id)
        return job

    def _do(self, job: Job) -> None:
        started = time.perf_counter()
        try:
            outcome = self._outcome(job)
        except Exception as error:  # whatever it is, the job must not be lost
            refusal = refusal_for(job.id, error)
            _log.error("job %s: failed, %s", job.id, refusal.code)
            failure = Failure(refusal.code, refusal.message, refusal.hint)
            self._jobs.fail(job, failure, final=_is_final(error))
            return
        self._finish(job, outcome)
        code = "ok" if outcome.failure is None else outcome.failure.code
        elapsed_ms = (time.perf_counter() - started) * 1000
        _log.info("job %s: %s in %.0f ms", job.id, code, elapsed_ms)

    def _finish(self, job: Job, outcome: Outcome) -> None:
        """Write what came of it; a database that is away is waited for while the lease lasts."""
        while True:
            try:
                return self._jobs.finish(job, outcome)
            except StoreUnavailableError:
                if job.lease_until is None or utc_now() >= job.lease_until:
                    raise
                time.sleep(_RETRY_SECONDS)

    def _outcome(self, job: Job) -> Outcome:
        path = self._files.checked_input(job.received.sha256)
        result: Prediction | Refusal
        try:
            # The sender's name for the image stays out of results, which go to others.
            result = self._predictor.predict(Input(job.id, path))
        except NotFoundError as error:  # it was there a moment ago
            raise MissingInputError("The stored image cannot be read.") from error
        except PleuraError as error:
            result = refusal_for(job.id, error)
            if result.status is Status.FAILED:
                raise
        if isinstance(result, Refusal):
            failure = Failure(result.code, result.message, result.hint)
            return Outcome(record=json_line(result), failure=failure)
        return self._kept(job, result)

    def _kept(self, job: Job, prediction: Prediction) -> Outcome:
        """Write the results of a prediction."""
        record = json_line(prediction)
        files = {RESULT_NAME: record.encode()}
        if "png" in self._settings.formats:
            files[OVERLAY_NAME] = encode_png(draw_overlay(prediction))
        files |= self._dicom(job, prediction)
        # Random, because one that is believed dead may be writing still.
        name = f"{job.id}.{secrets.token_hex(4)}"
        size = self._files.write_results(name, files)
        return Outcome(
            record=record,
            probability=prediction.probability,
            present=prediction.present,
            results=name,
            results_size=size,
            timings_ms=tuple(prediction.timings_ms.items()),
        )

    def _dicom(self, job: Job, prediction: Prediction) -> dict[str, bytes]:
        """The DICOM objects by file name; none of a raster file or an incomplete header."""
        kinds = [Kind(name) for name in self._settings.formats if name in tuple(Kind)]
        options = DicomOptions(negatives=self._settings.seg_negatives)
        try:
            made = dicom_objects(prediction, kinds, datetime.now(), options)
        except NoDicomSourceError as error:
            _log.info("job %s: no DICOM objects, %s", job.id, error.code)
            return {}
        return {f"{kind}.dcm": content for kind, content in made.items()}


def _is_final(error: Exception) -> bool:
    """Whether trying again cannot help: a typed error says the same the next time.

    A full disk may not, and an image that is missing may be put back: see `removal`.
    """
    return isinstance(error, PleuraError) and not isinstance(error, MissingInputError)
