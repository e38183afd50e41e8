"""Processes that judge: replaced when they die or hang, stopped in good order, one result each."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import service_slow
from service_images import dataset, image
from service_postgres import Cluster
from service_stores import RECIPE
from service_tools import end_with_the_tests, until

from pleura.service.presence import Presence
from pleura.service.settings import Settings
from pleura.service.store import FINISHED, Job, State
from pleura.service.wiring import Service, open_service

if not Path("/proc/self/task").exists():
    pytest.skip("no /proc to find the processes of a parent", allow_module_level=True)

MINUTE = timedelta(minutes=1)
CANARIES = ("Canary", "CANARY-ID", "2.25.99887766")


class Parent:
    """A process with its children."""

    def __init__(self, folder: Path, *command: str, **environment: str) -> None:
        self._log = folder / "log.txt"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                stdout=log,
                stderr=log,
                env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
                preexec_fn=end_with_the_tests(),
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def children(self) -> set[int]:
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid) for pid in listed.read_text().split()} if listed.exists() else set()

    def judge(self) -> int:
        """The process that judges, by the log: the last one that was started."""
        started = [line for line in self.log.splitlines() if "judge" in line and "started" in line]
        return int(started[-1].split()[-2])

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Parent]]:
    """Starts parents; what is left of them is killed."""
    parents: list[Parent] = []

    def begin(settings: Settings, target: str = "judge_slowly") -> Parent:
        file = tmp_path / "settings.json"
        file.write_text(settings.model_dump_json())
        parents.append(Parent(tmp_path, service_slow.__file__, str(file), target))
        return parents[-1]

    yield begin
    for parent in parents:
        children = parent.children()
        parent.process.kill()
        parent.process.wait()
        until(lambda c=children: not any(map(alive, c)), what="the children end")


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def changed(settings: Settings, **worker: Any) -> Settings:
    """Settings with quick leases, and these."""
    values = {"job_seconds": 20, "lease_seconds": 21, "formats": (), "stop_seconds": 10} | worker
    watch = settings.watch.model_copy(update={"enabled": False, "selftest": False})
    return settings.model_copy(
        update={"worker": settings.worker.model_copy(update=values), "watch": watch}
    )


def take(service: Service, content: bytes, name: str = "x") -> Job:
    with service.intake.open() as spooled:
        spooled.write(content)
        return service.intake.take(spooled, name=name, source="test")


def finished(service: Service, *jobs: Job) -> bool:
    return all(service.jobs.get(job.id).state in FINISHED for job in jobs)


def begun(service: Service) -> None:
    """Wait until a judge is in the middle of a job; there must be a file `slow`."""
    mark = service.settings.storage.folder / "begun"
    until(mark.exists, what="a job is begun")
    mark.unlink()


def slow(service: Service) -> Path:
    path = service.settings.storage.folder / "slow"
    path.touch()
    return path


def test_a_judge_killed_in_the_middle_is_replaced_and_the_job_done_once(
    settings: Settings, start: Callable[..., Parent]
) -> None:
    settings = changed(settings, job_seconds=600, lease_seconds=601)
    service = open_service(settings)
    wait = slow(service)
    job = take(service, image(1))
    parent = start(settings)
    begun(service)
    os.kill(parent.judge(), signal.SIGKILL)
    wait.unlink()
    until(lambda: finished(service, job))
    job = service.jobs.get(job.id)  # done though the lease of the dead one lasts
    assert (job.state, job.attempts) == (State.DONE, 2)
    assert len(list(service.files.stored_results(job.id[:2]))) == 1
    assert "ended (SIGKILL)" in parent.log
    assert parent.stop() == 0
    service.close()


def test_a_judge_that_hangs_is_killed_and_the_job_done_once(
    settings: Settings, start: Callable[..., Parent]
) -> None:
    # A machine that is busy with other things may take longer than that for an honest job.
    settings = changed(settings, job_seconds=3, lease_seconds=600, attempts=50)
    service = open_service(settings)
    wait = slow(service)
    job, other = take(service, image(1)), take(service, image(2))
    parent = start(settings)
    begun(service)
    os.kill(parent.judge(), signal.SIGSTOP)  # as deaf as a process can be
    until(lambda: "hangs: killed" in parent.log)
    wait.unlink()
    until(lambda: finished(service, job, other))
    for each in (job, other):
        outcome = service.jobs.get(each.id).outcome
        assert outcome is not None
        assert outcome.results is not None
        assert service.files.results_path(outcome.results).is_dir()
    assert service.jobs.get(job.id).attempts >= 2
    service.close()


def test_a_stop_lets_the_job_in_hand_be_finished(
    settings: Settings, start: Callable[..., Parent]
) -> None:
    settings = changed(settings)
    service = open_service(settings)
    wait = slow(service)
    job, next_one = take(service, image(1)), take(service, image(2))
    parent = start(settings)
    begun(service)
    assert [worker.recipe for worker in Presence(service.engine).alive(MINUTE)] == [service.recipe]
    parent.process.send_signal(signal.SIGTERM)
    until(lambda: "stopping" in parent.log)
    wait.unlink()
    assert parent.process.wait(20) == 0
    assert service.jobs.get(job.id).state is State.DONE
    assert service.jobs.get(next_one.id).state is State.RECEIVED
    assert Presence(service.engine).alive(MINUTE) == []
    service.close()


def test_a_stop_gives_back_what_takes_too_long(
    settings: Settings, start: Callable[..., Parent]
) -> None:
    settings = changed(settings, stop_seconds=0.5)
    service = open_service(settings)
    slow(service)
    job = take(service, image(1))
    parent = start(settings)
    begun(service)
    children = parent.children()
    assert parent.stop(signal.SIGINT) == 0  # though the job goes on for ever
    assert "does not stop" not in parent.log
    job = service.jobs.get(job.id)
    assert (job.state, job.attempts, job.lease_owner) == (State.RECEIVED, 0, None)
    until(lambda: not any(map(alive, children)))
    assert Presence(service.engine).alive(MINUTE) == []
    service.close()


def test_children_end_with_a_parent_that_is_killed(
    settings: Settings, start: Callable[..., Parent]
) -> None:
    settings = changed(settings, stop_seconds=0.5, count=2)
    service = open_service(settings)
    slow(service)
    job = take(service, image(1))
    parent = start(settings)
    begun(service)
    children = parent.children()
    assert len(children) >= 3  # two that judge, one that keeps house
    parent.process.kill()
    until(lambda: not any(map(alive, children)))
    assert service.jobs.get(job.id).state is State.RECEIVED
    service.close()


def test_a_judge_that_has_grown_is_replaced_after_its_job(
    settings: Settings, start: Callable[..., Parent]
) -> None:
    settings = changed(settings, memory_mib=1)
    service = open_service(settings)
    jobs = [take(service, image(number)) for number in range(2)]
    parent = start(settings)
    until(lambda: finished(service, *jobs))
    assert parent.log.count("more than worker.memory_mib") >= 1
    assert {service.jobs.get(job.id).attempts for job in jobs} == {1}
    service.close()


def test_a_process_that_dies_at_once_is_started_again_more_and_more_slowly(
    settings: Settings, start: Callable[..., Parent]
) -> None:
    service = open_service(changed(settings))
    starts = settings.storage.folder / "starts"
    parent = start(service.settings, "die_at_once")
    until(lambda: starts.exists() and starts.read_text().count("\n") >= 3)
    first, second, third = map(float, starts.read_text().split()[:3])
    assert second - first >= 1
    assert third - second >= 2
    assert "builtins.RuntimeError" in parent.log
    assert "dies at once" not in parent.log
    service.close()


def test_a_database_that_is_away_is_waited_for(
    settings: Settings, start: Callable[..., Parent]
) -> None:
    cluster = Cluster()
    try:
        url = cluster.new_database("worker")
        storage = settings.storage.model_copy(update={"database_url": url})
        settings = changed(settings.model_copy(update={"storage": storage}))
        service = open_service(settings)
        first = take(service, image(1))
        parent = start(settings)
        until(lambda: finished(service, first))
        cluster.stop()
        until(lambda: "the database cannot be reached" in parent.log)
        judge = parent.judge()
        cluster.start()
        second = take(service, image(2))
        until(lambda: finished(service, second))
        assert parent.judge() == judge  # it waited, and was not replaced
        assert parent.stop() == 0
        service.close()
    finally:
        cluster.remove()


@pytest.mark.filterwarnings("ignore::UserWarning")  # the header is odd on purpose
def test_pleura_worker_judges_stops_and_logs_no_patient(settings: Settings, tmp_path: Path) -> None:
    """The command as it is installed; with images that are refused, damaged, and odd."""
    service = open_service(settings)
    odd = dataset(3)
    odd.PatientName, odd.PatientID = "Canary^Jane", "CANARY-ID" * 20  # longer than LO may be
    odd.StudyInstanceUID = "2.25.99887766.1.x"  # no UID
    odd.file_meta.MediaStorageSOPInstanceUID = odd.SOPInstanceUID = "2.25.99887766.2"
    odd.save_as(tmp_path / "odd.dcm", enforce_file_format=True)
    contents = {
        State.DONE: [image(1), image(2, positive=False), (tmp_path / "odd.dcm").read_bytes()],
        State.REFUSED: [b"Canary^Jane is no image", image(4)[:-500]],
        State.FAILED: [image(5)],
    }
    jobs = {
        state: [take(service, content, "Canary-File.dcm") for content in those]
        for state, those in contents.items()
    }
    service.files.input_path(jobs[State.FAILED][0].received.sha256).write_bytes(b"Canary^Jane")

    worker = {"count": 2, "poll_seconds": 0.02, "retry_seconds": 0.05}
    file = tmp_path / "pleura.toml"
    file.write_text(
        f'[storage]\nfolder = "{settings.storage.folder}"\nreserve_gib = 0.01\n'
        f'[model]\nmodel = "{settings.model.model}"\nthreads = 1\n'
        f"[worker]\n" + "".join(f"{name} = {value}\n" for name, value in worker.items()) + "\n"
        "[watch]\nselftest = false\n[logs]\nlevel = 'debug'\n"
    )
    parent = Parent(
        tmp_path,
        "-c",
        "from pleura.cli.main import main; main()",
        "worker",
        "--settings",
        str(file),
    )
    try:
        everything = [job for those in jobs.values() for job in those]
        until(lambda: finished(service, *everything))
        assert parent.stop() == 0
    finally:
        parent.process.kill()
        parent.process.wait()
    for state, those in jobs.items():
        assert {service.jobs.get(job.id).state for job in those} == {state}
    for job in everything:
        assert job.id in parent.log
    assert [word for word in CANARIES if word in parent.log] == []
    service.close()


def test_pleura_worker_says_what_is_wrong_with_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "pleura.toml"
    file.write_text("[worker]\ncount = 0\n")
    done = subprocess.run(
        [sys.executable, "-c", "from pleura.cli.main import main; main()", "worker"],
        env=os.environ | {"PLEURA_SETTINGS": str(file)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "worker.count" in done.stderr
    assert "Traceback" not in done.stderr


def test_presence_of_workers(service: Service) -> None:
    presence = Presence(service.engine)
    presence.beat("a", RECIPE)
    first = presence.alive(MINUTE)
    presence.beat("a", RECIPE)
    presence.beat("b", service.recipe)
    (again, other) = presence.alive(MINUTE)
    assert again.started_at == first[0].started_at
    assert again.seen_at > first[0].seen_at
    assert (other.name, other.recipe) == ("b", service.recipe)
    assert presence.alive(-MINUTE) == []
    presence.forget(-MINUTE)
    assert presence.alive(MINUTE) == []
