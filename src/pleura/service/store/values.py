"""What the job store speaks of."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """Where a job stands. `FAILED` is the dead letter: given up, listed, and requeued by hand."""

    RECEIVED = "received"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


FINISHED = (State.DONE, State.REFUSED, State.FAILED)


class DeliveryState(StrEnum):
    """Where the delivery of a job's results to one destination stands.

    It is `PENDING` until there are results; `FAILED` is the dead letter.
    """

    PENDING = "pending"
    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is judged with; the same image and recipe is the same job.

    Attributes:
        sha256: of the model's manifest, the operating point, and the gate's settings.
        model_name: of the model.
        model_version: of the model.
    """

    sha256: str
    model_name: str
    model_version: str


@dataclass(frozen=True, slots=True)
class Received:
    """An image that lies on disk, about to become a job.

    Attributes:
        sha256: of the file.
        size: of the file, in bytes.
        name: as the sender named it; may identify a patient, so it never leaves the store but to
            the sender.
        source: who sent it, as `dicom:AE_TITLE`, `api:KEY`, `mercure`, `pull`.
        sop_instance_uid: of a DICOM image, else empty.
        study_instance_uid: of a DICOM image, else empty.
    """

    sha256: str
    size: int
    name: str
    source: str
    sop_instance_uid: str = ""
    study_instance_uid: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no result: stable code, sentence, hint; free of patient identifiers."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job.

    Attributes:
        record: the result as JSON, `pleura.prediction/1`.
        probability: in [0, 1]; None for a refusal.
        present: the finding at the operating point; None for a refusal.
        results: name of the folder of the results; None where there are none.
        results_size: of the folder, in bytes.
        failure: of a refusal.
        timings_ms: by stage.
    """

    record: str
    probability: float | None = None
    present: bool | None = None
    results: str | None = None
    results_size: int = 0
    failure: Failure | None = None
    timings_ms: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """One image and one recipe.

    Attributes:
        id: 32 random hexadecimal digits.
        received: what was received.
        recipe: what it is judged with.
        state: where it stands.
        attempts: tries that were begun.
        rank: place that a human gave it on the work list, 1 the most urgent; None for none.
        next_try_at: when it may be tried (again).
        received_at: when it was received first.
        started_at: when the last try began.
        finished_at: when it was done, refused or given up.
        lease_owner: who tries.
        lease_until: until when.
        outcome: what came of it; None before.
        failure: the last error; None without one.
        input_kept: the image still lies on disk.
    """

    id: str
    received: Received
    recipe: Recipe
    state: State
    attempts: int
    rank: int | None
    next_try_at: datetime
    received_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    lease_owner: str | None
    lease_until: datetime | None
    outcome: Outcome | None
    failure: Failure | None
    input_kept: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """The results of one job on their way to one destination."""

    id: int
    job_id: str
    destination: str
    state: DeliveryState
    attempts: int
    next_try_at: datetime
    finished_at: datetime | None
    failure: Failure | None
