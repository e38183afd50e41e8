"""Several processes on one store, some of them killed: nothing is lost, nothing is done twice."""

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import service_hammer
from service_stores import RECIPE, received
from service_tools import end_with_the_tests, until

from pleura.service.settings.work import WorkerSettings
from pleura.service.store import DeliveryState, DeliveryStore, State


class Hammer:
    """A process of `service_hammer`, and what it said."""

    def __init__(self, folder: Path, url: str | None, lease: float, *what: str) -> None:
        self._said = folder / f"said-{'-'.join(what)}-{random.getrandbits(32):x}"
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    service_hammer.__file__,
                    str(folder),
                    url or "",
                    str(lease),
                    *what,
                ],
                stdout=said,
                stderr=subprocess.PIPE,
                preexec_fn=end_with_the_tests(),
            )

    def ready(self) -> bool:
        return self._said.read_text().startswith("ready\n")

    def said(self) -> list[str]:
        """Whole lines, after the first one."""
        lines = self._said.read_text().split("\n")
        return lines[1:-1]

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self) -> None:
        _, errors = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, errors.decode()


def test_two_hundred_jobs_are_done_once_each_by_four_processes(
    tmp_path: Path, database_url: str | None
) -> None:
    jobs = service_hammer.store(str(tmp_path), database_url or "", 60)
    ids = {jobs.submit(received(number), RECIPE).id for number in range(200)}
    hammers = [Hammer(tmp_path, database_url, 60, "drain") for _ in range(4)]
    until(lambda: all(hammer.ready() for hammer in hammers))
    (tmp_path / "go").touch()
    for hammer in hammers:
        hammer.end()
    finished = Counter(job_id for hammer in hammers for job_id in hammer.said())
    assert finished == Counter(ids)
    done = jobs.find(limit=1000)
    assert {job.id for job in done} == ids
    assert {(job.state, job.attempts) for job in done} == {(State.DONE, 1)}
    assert sum(1 for hammer in hammers if hammer.said()) > 1, "one process did everything"
    jobs.engine.dispose()


def test_processes_killed_in_the_middle_lose_nothing(
    tmp_path: Path, database_url: str | None
) -> None:
    chance = random.Random(7)
    (tmp_path / "go").touch()
    jobs = service_hammer.store(str(tmp_path), database_url or "", 0.3)
    submitters = [
        Hammer(tmp_path, database_url, 0.3, "submit", str(first)) for first in (0, 10**6, 10**6)
    ]
    judges = [Hammer(tmp_path, database_url, 0.3, "judge") for _ in range(2)]
    for living in (judges[:], submitters[:]):  # those that judge first, while there is much to do
        while living:
            working = until(lambda among=living: [h for h in among if len(h.said()) > 10])
            for hammer in working:
                time.sleep(chance.uniform(0, 0.02))  # so that it dies anywhere
                hammer.kill()
                living.remove(hammer)
    drain = Hammer(tmp_path, database_url, 0.3, "drain")
    drain.end()

    acknowledged = {job_id for hammer in submitters for job_id in hammer.said()}
    reported = Counter(job_id for hammer in [*judges, drain] for job_id in hammer.said())
    stored = {job.id: job for job in jobs.find(limit=10**6)}
    assert acknowledged <= set(stored)
    assert {job.state for job in stored.values()} == {State.DONE}
    assert set(reported.values()) == {1}
    # One that was killed between the commit and the report said nothing.
    assert len(stored) - len(reported) <= len(judges)
    deliveries = DeliveryStore(jobs.engine, WorkerSettings())
    assert deliveries.counts() == {("PACS", DeliveryState.WAITING): len(stored)}
    jobs.engine.dispose()


@pytest.mark.parametrize("rounds", [40])
def test_the_same_image_taken_at_once_is_one_job(
    tmp_path: Path, database_url: str | None, rounds: int
) -> None:
    """Two submitters of the same numbers run side by side, and get the same ids."""
    (tmp_path / "go").touch()
    first, second = (Hammer(tmp_path, database_url, 60, "submit", "0") for _ in range(2))
    until(lambda: min(len(first.said()), len(second.said())) > rounds, what="both submit")
    first.kill()
    second.kill()
    for one, other in zip(first.said(), second.said(), strict=False):
        assert one == other
