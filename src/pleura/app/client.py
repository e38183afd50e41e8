"""A service judges: the same page over the REST API (`docs/rest-api.md`)."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import httpx
import numpy as np
from pydantic import TypeAdapter, ValidationError

from pleura.app.cases import Case, Entry, Refused, Source
from pleura.app.engine import Model
from pleura.app.rendering import thumbnail
from pleura.app.settings import AppSettings
from pleura.app.takeaway import Kind
from pleura.errors import PleuraError
from pleura.inference import Refusal, Status
from pleura.inference.source import refusal_for
from pleura.io import read_radiograph
from pleura.outputs import PredictionRecord, RefusalRecord
from pleura.outputs.record import NoticeRecord
from pleura.radiograph import Radiograph

POINT = "service"
"""Key of the one result that a service gives: at its own operating point."""
WAIT_SECONDS = 50
"""That one request waits for its result."""
PATIENCE_SECONDS = 300.0
"""After which a film counts as failed; the service goes on with it all the same."""
MOST_OF_WORK_LIST = 50
PICTURE = "picture of the service"
"""Source of a radiograph that is none, but the picture with the outline."""
BURNT_IN = NoticeRecord(
    code="picture_of_service",
    message="The key may not fetch the film itself: this is the service's picture of it, in grey,"
    " with outline and text burnt in.",
)
_AGAIN = (429, 503)
_PAUSE_SECONDS = 2.0
_FILES = {Kind.OVERLAY: "overlay.png", Kind.SEG: "seg.dcm", Kind.SR: "sr.dcm", Kind.SC: "sc.dcm"}

_record: TypeAdapter[PredictionRecord | RefusalRecord] = TypeAdapter(
    PredictionRecord | RefusalRecord
)


class ServiceError(PleuraError):
    """The service cannot be reached, or does not do what it is asked for."""

    code = "service"
    default_hint = "Ask whoever runs the service; its address and key are given at the start."


class RefusedByServiceError(Exception):
    """An answer that is an error, with the service's own code, sentence and hint."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class FilmOfService:
    """A film that the service received from elsewhere.

    Attributes:
        name: the number of its job.
        fetch: gets its bytes.
    """

    name: str
    fetch: Callable[[], bytes] = field(repr=False)

    def read(self) -> bytes:
        """The film, or where the key may not have it, the picture with the outline."""
        return self.fetch()


class RemoteEngine:
    """Sends films to the REST API, and fetches its results.

    Args:
        settings: the address.
        key: of the API; empty where it asks for none.
        transport: for tests.
        pause_seconds: between two questions.
    """

    switchable = False

    def __init__(
        self,
        settings: AppSettings,
        key: str,
        transport: httpx.BaseTransport | None = None,
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(
            base_url=settings.api_url or "",
            headers=headers,
            timeout=httpx.Timeout(30.0, read=WAIT_SECONDS + 30.0),
            transport=transport,
        )
        self._limits = settings.limits
        self._pause = pause_seconds
        self.model = Model("the service's model", "", (), POINT, None, "in a service")

    def judge(self, case_id: str, number: int, source: Source) -> Entry:
        """Send one film and wait for its result, or fetch that of the service's work list."""
        name = source.readable.name
        try:
            job, said = self._result_of(source)
            if isinstance(said, RefusalRecord):
                error = said.error
                refusal = Refusal(name, Status(said.status), error.code, error.message, error.hint)
                return Refused(case_id, number, source, refusal)
            radiograph, links = self._read(source), self._links(job)
        except RefusedByServiceError as error:
            refusal = Refusal(name, Status.FAILED, error.code, error.message, error.hint)
            return Refused(case_id, number, source, refusal)
        except Exception as error:  # whatever one film does, the next must be judged
            return Refused(case_id, number, source, refusal_for(name, error))
        said = said.model_copy(update={"input": name})
        if radiograph.source == PICTURE:
            said = _with_warning(said, BURNT_IN)
        small = thumbnail(radiograph.pixels)
        shape = radiograph.shape
        return Case(
            case_id, number, source, {POINT: said}, small, shape, job=job, made=frozenset(links)
        )

    def radiograph(self, case: Case) -> Radiograph:
        """Read the film again.

        Raises:
            ServiceError: the service does not have it any more.
        """
        try:
            return self._read(case.source)
        except RefusedByServiceError as error:
            raise ServiceError(error.message, error.hint) from error

    def tried(self, case: Case, radiograph: Radiograph, threshold: float) -> PredictionRecord:
        """A service keeps nothing that another threshold could be held against."""
        return case.results[POINT]

    def kinds(self, case: Case) -> tuple[Kind, ...]:
        """What the service made of this film."""
        return tuple(kind for kind in _FILES if kind.value in case.made)

    def take(self, case: Case, point: str, kind: Kind) -> bytes:
        """Fetch one file.

        Raises:
            ServiceError: it is not to be had.
        """
        try:
            return self._answer(f"/v1/jobs/{case.job}/{_FILES[kind]}").content
        except RefusedByServiceError as error:
            raise ServiceError(error.message, error.hint) from error

    def work_list(self) -> list[Source]:
        """The films of the service that were judged, the most urgent first.

        Raises:
            ServiceError: it cannot be had.
        """
        try:
            answer = self._answer("/v1/worklist", params={"limit": MOST_OF_WORK_LIST})
        except RefusedByServiceError as error:
            raise ServiceError(error.message, error.hint) from error
        jobs = [job for job in answer.json()["jobs"] if "prediction" in job["links"]]
        return [self._source_of(str(job["id"])) for job in jobs]

    def _links(self, job: str) -> dict[str, str]:
        found: dict[str, str] = self._answer(f"/v1/jobs/{job}").json()["links"]
        return found

    def _source_of(self, job: str) -> Source:
        def fetch() -> bytes:
            try:
                return self._answer(f"/v1/jobs/{job}/input").content
            except RefusedByServiceError:
                return self._answer(f"/v1/jobs/{job}/{_FILES[Kind.OVERLAY]}").content

        return Source(FilmOfService(f"job {job}", fetch), job=job)

    def _result_of(self, source: Source) -> tuple[str, PredictionRecord | RefusalRecord]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        if source.job:
            return source.job, self._await(source.job, deadline)
        item = self._sent(source.readable.read(), deadline)
        if item["state"] == "rejected":
            error = item["error"]
            raise RefusedByServiceError(error["code"], error["message"], error["hint"])
        job = str(item["job"]["id"])
        if item["prediction"] is None:
            return job, self._await(job, deadline)
        return job, _parsed(item["prediction"])

    def _sent(self, content: bytes, deadline: float) -> dict[str, Any]:
        answer = self._ask(
            "POST",
            "/v1/predictions",
            deadline,
            content=content,
            params={"wait": WAIT_SECONDS},
            headers={"Content-Type": "application/octet-stream"},
        )
        items: list[dict[str, Any]] = answer.json()["items"]
        if not items:
            raise ServiceError("The service took nothing.")
        return items[0]

    def _await(self, job: str, deadline: float) -> PredictionRecord | RefusalRecord:
        while True:
            try:
                return _parsed(self._ask("GET", f"/v1/jobs/{job}/prediction", deadline).json())
            except RefusedByServiceError as error:
                if error.code != "not_finished":
                    raise
            if time.monotonic() + self._pause > deadline:
                raise ServiceError("The service has not judged the film in time.")
            time.sleep(self._pause)

    def _answer(self, path: str, **more: Any) -> httpx.Response:
        return self._ask("GET", path, time.monotonic(), **more)

    def _ask(self, method: str, path: str, deadline: float, **more: Any) -> httpx.Response:
        """One request, again while the service is busy and there is time.

        Raises:
            RefusedByServiceError: its answer is an error.
            ServiceError: there is no answer.
        """
        while True:
            try:
                answer = self._http.request(method, path, **more)
            except httpx.HTTPError as error:
                raise ServiceError(
                    f"The service cannot be reached ({type(error).__name__})."
                ) from error
            busy = answer.status_code in _AGAIN and time.monotonic() + self._pause < deadline
            if not busy:
                break
            time.sleep(self._pause)
        if answer.is_success:
            return answer
        raise _refused(answer)

    def _read(self, source: Source) -> Radiograph:
        content = source.readable.read()
        try:
            return read_radiograph(content, name=source.readable.name, limits=self._limits)
        except PleuraError:
            if not source.job:
                raise
            return _from_picture(content)


def _parsed(said: Any) -> PredictionRecord | RefusalRecord:
    try:
        return _record.validate_python(said)
    except ValidationError as error:
        raise ServiceError("The service's answer is of another version of Pleura.") from error


def _refused(answer: httpx.Response) -> RefusedByServiceError:
    try:
        error = answer.json()["error"]
        return RefusedByServiceError(error["code"], error["message"], error["hint"])
    except (ValueError, KeyError, TypeError):
        return RefusedByServiceError(
            ServiceError.code,
            f"The service answers with the status {answer.status_code}.",
            ServiceError.default_hint,
        )


def _with_warning(said: PredictionRecord, warning: NoticeRecord) -> PredictionRecord:
    warnings = [*said.quality.warnings, warning]
    return said.model_copy(
        update={"quality": said.quality.model_copy(update={"warnings": warnings})}
    )


def _from_picture(content: bytes) -> Radiograph:
    """The picture with the outline, in grey: all there is for a key that may not have the film."""
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise ServiceError("The service's picture cannot be read.")
    return Radiograph(picture.astype(np.float32) / np.float32(255), source=PICTURE, encoding="PNG")
