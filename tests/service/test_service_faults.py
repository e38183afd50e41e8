"""Nothing acknowledged is lost while processes are killed and files, disk and peers fail.

`benchmarks/faults.py` does so with thousands of images; docs/service-proof.md has the results.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import anyio
import httpx
import pytest
from service_postgres import Cluster
from service_stores import RECIPE
from service_tools import end_with_the_tests

from pleura.service.api.app import create_app
from pleura.service.settings import Settings
from pleura.service.store import (
    Delivery,
    DeliveryState,
    Failure,
    Job,
    Outcome,
    Received,
    State,
)
from pleura.service.supervisor import JUDGE, _Child
from pleura.service.wiring import Service, open_service

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from service_verdict import Arrival, Expected, Truth, judge  # noqa: E402

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.skipif(sys.platform != "linux", reason="kills processes that it finds in /proc")
@pytest.mark.parametrize(
    ("database", "images", "kills"), [("sqlite", 24, 3), ("postgresql", 16, 1)]
)
def test_every_acknowledged_image_comes_to_its_end(database: str, images: int, kills: int) -> None:
    for needed in ("storescu", *(("initdb",) if database == "postgresql" else ())):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not installed")
    command = [sys.executable, str(BENCHMARKS / "faults.py"), "--seed", "3", "--judges", "1"]
    options = ["--images", str(images), "--kills", str(kills), "--database", database]
    done = subprocess.run(
        [*command, *options],
        capture_output=True,
        text=True,
        timeout=280,
        preexec_fn=end_with_the_tests(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = dict(re.findall(r"^\| (.+) \| ([\d,]+) \|$", done.stdout, re.M))
    assert int(counts["killed, all together"]) >= kills
    faults = ["disk filled", "stored image damaged", "arriving image damaged"]
    faults += ["arriving image removed", "destination killed, and started again"]
    if database == "postgresql":
        faults += ["database connections cut", "database stopped, and started again"]
    assert all(int(counts[fault]) >= 1 for fault in faults)
    assert int(counts["images acknowledged"]) == images + 3  # with those that faults send


def job(number: int) -> Job:
    """Done, positive, of the image `number`."""
    uids = {"sop_instance_uid": f"1.{number}", "study_instance_uid": f"2.{number}"}
    return Job(
        id=f"job {number}",
        received=Received(f"hash {number}", 1, "", "test", **uids),
        recipe=RECIPE,
        state=State.DONE,
        attempts=1,
        rank=None,
        next_try_at=NOW,
        received_at=NOW,
        started_at=NOW,
        finished_at=NOW,
        lease_owner=None,
        lease_until=None,
        outcome=Outcome(f'{{"sop_instance_uid":"1.{number}"}}', 0.9, True, results="made"),
        failure=None,
        input_kept=True,
    )


def sound() -> Truth:
    """Two images, all as it must be."""
    uids = {number: {f"3.{number}.{kind}" for kind in range(3)} for number in (1, 2)}
    sent = DeliveryState.SENT
    return Truth(
        acknowledged={1: 1, 2: 2},
        jobs=[job(1), job(2)],
        deliveries=[Delivery(n, f"job {n}", "PACS", sent, 1, NOW, NOW, None) for n in uids],
        results={f"job {number}": made for number, made in uids.items()},
        damaged=set(),
        arrivals=[Arrival(uid, f"2.{n}") for n, made in uids.items() for uid in sorted(made)],
    )


EXPECTED = {number: Expected(f"1.{number}", f"2.{number}", present=True) for number in (1, 2)}


def failed(code: str, attempts: int = 1) -> Callable[[Truth], None]:
    """The first job was given up with this code."""

    def change(truth: Truth) -> None:
        failure = Failure(code, "", "")
        truth.jobs[0] = replace(job(1), state=State.FAILED, failure=failure, attempts=attempts)
        truth.arrivals = [one for one in truth.arrivals if one.study != "2.1"]

    return change


def with_first(**changes: object) -> Callable[[Truth], None]:
    """The first job with other fields."""

    def change(truth: Truth) -> None:
        truth.jobs[0] = replace(job(1), **changes)  # type: ignore[arg-type]

    return change


def delivered(state: DeliveryState) -> Callable[[Truth], None]:
    def change(truth: Truth) -> None:
        truth.deliveries[0] = replace(truth.deliveries[0], state=state)

    return change


def of_another_image(truth: Truth) -> None:
    truth.jobs[0] = replace(job(1), outcome=job(2).outcome)


def negative(truth: Truth) -> None:
    outcome = job(1).outcome
    assert outcome is not None
    truth.jobs[0] = replace(job(1), outcome=replace(outcome, present=False))


WRONG: dict[str, tuple[Callable[[Truth], object], str]] = {
    "job lost": (lambda t: t.jobs.pop(0), "image 1: 0 jobs"),
    "job doubled": (lambda t: t.jobs.append(replace(job(1), id="job 1b")), "image 1: 2 jobs"),
    "left running": (with_first(state=State.RUNNING), "image 1: left as running"),
    "failed": (failed("internal_error"), "image 1: failed, internal_error"),
    "corrupt of itself": (failed("input_corrupt"), "image 1: failed, input_corrupt"),
    "died too soon": (failed("worker_died", 4), "image 1: failed, worker_died"),
    "refused": (
        with_first(state=State.REFUSED, failure=Failure("truncated", "", "")),
        "image 1: refused, truncated",
    ),
    "mixed up": (of_another_image, "image 1: the record of another image"),
    "wrong finding": (negative, "image 1: the finding of another image"),
    "results gone": (lambda t: t.results.update({"job 1": None}), "not on the disk"),
    "object gone": (lambda t: t.results["job 1"].pop(), "job 1: 2 objects"),
    "not delivered": (delivered(DeliveryState.WAITING), "job 1: deliveries waiting"),
    "given up": (delivered(DeliveryState.FAILED), "job 1: deliveries failed"),
    "no delivery": (lambda t: t.deliveries.pop(0), "job 1: deliveries none"),
    "never arrived": (lambda t: t.arrivals.pop(0), "job 1: 1 objects never arrived"),
    "wrong study": (
        lambda t: t.arrivals.append(Arrival("3.1.0", "2.2")),
        "job 1: arrived in another study",
    ),
    "strange object": (lambda t: t.arrivals.append(Arrival("9", "2.1")), "that are no results"),
    "strange job": (lambda t: t.jobs.append(job(3)), "1 jobs of images that nobody sent"),
    "image rots": (lambda t: t.damaged.add("hash 1"), "image 1: damaged on the disk"),
    "not acknowledged": (lambda t: t.acknowledged.pop(1), "image 1: never acknowledged"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_verdict_finds_what_is_wrong(name: str) -> None:
    change, found = WRONG[name]
    truth = sound()
    change(truth)
    violations = judge(truth, EXPECTED).violations
    assert any(found in violation for violation in violations), violations


@pytest.mark.parametrize(
    ("change", "damaged"),
    [
        (lambda truth: None, ()),
        (failed("input_corrupt"), (1,)),
        (failed("worker_died", attempts=5), ()),
    ],
    ids=["all well", "damaged on purpose", "killed at every try"],
)
def test_the_verdict_lets_pass_what_was_done_on_purpose(
    change: Callable[[Truth], None], damaged: tuple[int, ...]
) -> None:
    truth = sound()
    change(truth)
    assert judge(truth, EXPECTED, damaged, died=5).violations == []


def test_an_image_that_was_damaged_may_not_be_judged_unless_it_was_mended() -> None:
    truth = sound()
    truth.damaged.add("hash 1")
    assert judge(truth, EXPECTED, [1]).violations == ["image 1: judged from damaged bytes"]
    truth.damaged.clear()
    assert judge(truth, EXPECTED, [1]).violations == []


def test_an_image_that_must_be_refused_may_not_be_judged() -> None:
    refused = {1: replace(EXPECTED[1], present=None, code="truncated"), 2: EXPECTED[2]}
    assert judge(sound(), refused).violations == ["image 1: done, where truncated was due"]
    truth = sound()
    failure = Failure("truncated", "", "")
    truth.jobs[0] = replace(job(1), state=State.REFUSED, failure=failure)
    truth.arrivals = [one for one in truth.arrivals if one.study != "2.1"]
    assert judge(truth, refused).violations == []


def test_the_api_starts_while_the_database_is_away(settings: Settings) -> None:
    cluster = Cluster()
    try:
        storage = settings.storage.model_copy(update={"database_url": cluster.url()})
        service = open_service(settings.model_copy(update={"storage": storage}))
        cluster.stop()
        # In a thread of its own: a browser of other tests may keep a loop in this one.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(anyio.run, _start_without_database, service, cluster).result()
        service.close()
    finally:
        cluster.remove()


async def _start_without_database(service: Service, cluster: Cluster) -> None:
    app = create_app(service)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://here") as client,
    ):
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/ready")).json()["database"] == "no_answer"
        cluster.start()
        assert (await client.get("/ready")).json()["database"] == "ok"


LOADED_AT_FIRST_JOB = """
import sys
from pathlib import Path
from pleura.service import worker
from pleura.service.child import Stop
from pleura.service.settings import Settings
from pleura.service.wiring import open_service

stop = Stop()

def work(*_):
    print("highdicom" in sys.modules)
    stop.set()

worker.Judge.work = work
worker.judge_forever(open_service(Settings.model_validate_json(sys.argv[1])), stop)
"""


def test_what_writes_the_objects_is_loaded_before_the_first_job(settings: Settings) -> None:
    """A judge that loads it in the time of a job is killed as hung on a busy machine, and so is
    its successor, until the job is given up."""
    command = [sys.executable, "-c", LOADED_AT_FIRST_JOB, settings.model_dump_json()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["True"]


class Undying:
    """A process that hangs, and takes a while to end when it is killed."""

    pid, kills = 7, 0

    def is_alive(self) -> bool:
        return True

    def kill(self) -> None:
        self.kills += 1


def test_a_process_that_hangs_is_killed_and_said_to_hang_once(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    child, process = _Child(JUDGE, settings), Undying()
    child._process, child._deadline = process, SimpleNamespace(value=1e-9)
    for _ in range(3):
        child.look_after()
    assert process.kills == 1
    assert [record.message for record in caplog.records] == ["judge 7 hangs: killed"]
