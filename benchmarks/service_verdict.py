"""What became of every image that was acknowledged, and whether that is what was promised.

The truth is read from four places that know nothing of each other: the senders' own record, the
store, the folders of results, and the destination's record.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.filereader import read_file_meta_info

from pleura.service.files import FileStore
from pleura.service.judge import RESULT_NAME
from pleura.service.settings import Settings
from pleura.service.store import Delivery, DeliveryState, DeliveryStore, Job, JobStore, State
from pleura.service.store.engine import open_as_it_is

ALL = 10**9


@dataclass(frozen=True, slots=True)
class Expected:
    """What an image is, and what must come of it.

    Attributes:
        sop_instance_uid: of the image.
        study_instance_uid: of the image; no other image has it.
        present: the finding; None where the image must be refused.
        code: of the refusal.
    """

    sop_instance_uid: str
    study_instance_uid: str
    present: bool | None = None
    code: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One object at the destination."""

    uid: str
    study: str


@dataclass
class Truth:
    """Everything that is known at the end.

    Attributes:
        acknowledged: by number of the image, how often senders were told that it was taken.
        jobs: all of the store.
        deliveries: all of the store.
        results: by job, the SOP Instance UIDs of the objects in its folder; None: no such folder.
        damaged: hashes of images on the disk that are not what was received.
        arrivals: in the order of the destination's record.
    """

    acknowledged: Mapping[int, int]
    jobs: list[Job]
    deliveries: list[Delivery]
    results: dict[str, set[str] | None]
    damaged: set[str]
    arrivals: list[Arrival]


@dataclass
class Verdict:
    """Counts by name, and what is not as promised."""

    counts: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)


def judge(
    truth: Truth,
    expected: Mapping[int, Expected],
    damaged: Iterable[int] = (),
    died: int = 0,
) -> Verdict:
    """Hold the truth against what must be.

    Args:
        truth: at the end.
        expected: every image that was to be sent, by number.
        damaged: images whose file was damaged on purpose: they end as `input_corrupt`, unless they
            were sent again, which mends them.
        died: how many tries of one job may have been killed with their processes; an image may end
            as `worker_died` after so many, and not after fewer.
    """
    verdict = Verdict()
    by_uid: dict[str, list[Job]] = defaultdict(list)
    for job in truth.jobs:
        by_uid[job.received.sop_instance_uid].append(job)
    _check_nothing_else(verdict, truth, {one.sop_instance_uid for one in expected.values()})
    allowed = set(damaged)
    for number, image in expected.items():
        if not truth.acknowledged.get(number):
            verdict.violations.append(f"image {number}: never acknowledged")
            continue
        jobs = by_uid[image.sop_instance_uid]
        if len(jobs) != 1:
            verdict.violations.append(f"image {number}: {len(jobs)} jobs")
            continue
        problem = _problem(jobs[0], image, number in allowed, died)
        if problem:
            verdict.violations.append(f"image {number}: {problem}")
        if jobs[0].received.sha256 not in truth.damaged:
            continue
        if number not in allowed:
            verdict.violations.append(f"image {number}: damaged on the disk, and nobody did it")
        elif jobs[0].state is State.DONE:
            verdict.violations.append(f"image {number}: judged from damaged bytes")
    _check_results(verdict, truth)
    verdict.counts = _counts(truth)
    return verdict


def read_truth(settings: Settings, acknowledged: Mapping[int, int], arrivals: Path) -> Truth:
    """Read the truth; the service may be stopped, and should be still."""
    engine = open_as_it_is(settings.storage)
    files = FileStore(settings.storage.folder)
    jobs = JobStore(engine, settings.worker).find(limit=ALL)
    found = DeliveryStore(engine, settings.worker).find(limit=ALL)
    engine.dispose()
    return Truth(
        acknowledged=acknowledged,
        jobs=jobs,
        deliveries=found,
        results={job.id: _objects(files, job) for job in jobs if job.state is State.DONE},
        damaged={job.received.sha256 for job in jobs if _is_damaged(files, job)},
        arrivals=read_arrivals(arrivals),
    )


def read_arrivals(record: Path) -> list[Arrival]:
    """What the destination has taken."""
    if not record.exists():
        return []
    lines = record.read_text(encoding="utf-8").splitlines()
    return [Arrival(**json.loads(line)) for line in lines]


def left_over(settings: Settings, jobs: Iterable[Job]) -> Counter[str]:
    """Files that belong to no job: what the keeper's sweep removes after an hour."""
    files = FileStore(settings.storage.folder)
    kept = {job.outcome.results for job in jobs if job.outcome is not None}
    inputs = {job.received.sha256 for job in jobs}
    prefixes = [f"{number:02x}" for number in range(256)]
    return Counter(
        {
            "folders of results": sum(
                path.name not in kept for one in prefixes for path in files.stored_results(one)
            ),
            "images": sum(
                path.name not in inputs for one in prefixes for path in files.stored_inputs(one)
            ),
            "files in the spool": sum(1 for _ in files.spool.iterdir()),
        }
    )


def _problem(job: Job, image: Expected, damaged: bool, died: int) -> str:
    """What is wrong with the end of a job; empty where nothing is."""
    code = job.failure.code if job.failure is not None else ""
    if job.state is State.FAILED:
        if code == "input_corrupt" and damaged:
            return ""
        if code == "worker_died" and died and job.attempts >= died:
            return ""
        return f"failed, {code}"
    if job.state is State.REFUSED:
        return "" if image.present is None and code == image.code else f"refused, {code}"
    if job.state is not State.DONE or job.outcome is None:
        return f"left as {job.state.value}"
    if image.present is None:
        return f"done, where {image.code} was due"
    if job.outcome.present is not image.present:
        return "the finding of another image"
    record = json.loads(job.outcome.record)
    if record["sop_instance_uid"] != image.sop_instance_uid:
        return "the record of another image"
    return ""


def _check_nothing_else(verdict: Verdict, truth: Truth, sent: set[str]) -> None:
    strange = sum(job.received.sop_instance_uid not in sent for job in truth.jobs)
    if strange:
        verdict.violations.append(f"{strange} jobs of images that nobody sent")
    made = set().union(*(objects or set() for objects in truth.results.values()))
    strange = len({arrival.uid for arrival in truth.arrivals} - made)
    if strange:
        verdict.violations.append(f"{strange} objects at the destination that are no results")


def _check_results(verdict: Verdict, truth: Truth) -> None:
    """Every result is whole, and has arrived."""
    deliveries: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in truth.deliveries:
        deliveries[delivery.job_id].append(delivery)
    studies: dict[str, set[str]] = defaultdict(set)
    for arrival in truth.arrivals:
        studies[arrival.uid].add(arrival.study)
    for job in truth.jobs:
        if job.state is not State.DONE or job.outcome is None:
            continue
        name = f"job {job.id}"
        objects = truth.results.get(job.id)
        if objects is None:
            verdict.violations.append(f"{name}: its results are not on the disk")
            continue
        if len(objects) != (3 if job.outcome.present else 2):  # a negative has no segmentation
            verdict.violations.append(f"{name}: {len(objects)} objects")
        states = [delivery.state for delivery in deliveries[job.id]]
        if states != [DeliveryState.SENT]:
            told = ", ".join(states) or "none"
            verdict.violations.append(f"{name}: deliveries {told}")
        missing = sum(uid not in studies for uid in objects)
        if missing:
            verdict.violations.append(f"{name}: {missing} objects never arrived")
        right = {job.received.study_instance_uid}
        if any(studies[uid] not in (set(), right) for uid in objects):
            verdict.violations.append(f"{name}: arrived in another study")


def _counts(truth: Truth) -> dict[str, int]:
    ends = Counter(
        job.state.value if job.failure is None else f"{job.state.value}, {job.failure.code}"
        for job in truth.jobs
    )
    again = sum(count - 1 for count in Counter(one.uid for one in truth.arrivals).values())
    return {
        "images acknowledged": len(truth.acknowledged),
        "acknowledged more than once": sum(n > 1 for n in truth.acknowledged.values()),
        "jobs": len(truth.jobs),
        **{f"jobs {end}": count for end, count in sorted(ends.items())},
        "jobs tried more than once": sum(job.attempts > 1 for job in truth.jobs),
        "deliveries sent": sum(one.state is DeliveryState.SENT for one in truth.deliveries),
        "objects at the destination": len({one.uid for one in truth.arrivals}),
        "objects that came again": again,
    }


def _objects(files: FileStore, job: Job) -> set[str] | None:
    if job.outcome is None or job.outcome.results is None:
        return None
    folder = files.results_path(job.outcome.results)
    if not (folder / RESULT_NAME).is_file():
        return None
    paths = folder.glob("*.dcm")
    return {str(read_file_meta_info(path).MediaStorageSOPInstanceUID) for path in paths}


def _is_damaged(files: FileStore, job: Job) -> bool:
    """Whether the image of a job is not, or not any more, what was received."""
    path = files.input_path(job.received.sha256)
    if not path.is_file():
        return job.input_kept
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() != job.received.sha256
