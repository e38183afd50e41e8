"""A process that works on a job store as fast as it can, to be killed by tests.

python service_hammer.py FOLDER URL LEASE submit FIRST | judge | drain

submit: submits images FIRST, FIRST + 1, ... and prints each id once it is acknowledged.
judge:  claims and finishes jobs, and prints each id once it is finished, for ever.
drain:  the same until every job is finished.

It says that it is ready, and begins when there is a file `go` in the folder.
"""

import os
import sys
import time
from pathlib import Path

from service_stores import RECIPE, outcome, received

from pleura.service.errors import LeaseLostError
from pleura.service.settings.storage import StorageSettings
from pleura.service.settings.work import WorkerSettings
from pleura.service.store import FINISHED, JobStore, open_engine

MOST = 300


def store(folder: str, url: str, lease: float) -> JobStore:
    engine = open_engine(StorageSettings(folder=Path(folder), database_url=url or None))
    settings = WorkerSettings(lease_seconds=lease, attempts=1000, retry_seconds=0.01)
    return JobStore(engine, settings, queue_limit=10**9)


def submit(jobs: JobStore, first: int) -> None:
    for number in range(first, first + MOST):
        say(jobs.submit(received(number), RECIPE, ["PACS"]).id)
    time.sleep(600)  # until it is killed


def judge(jobs: JobStore, *, drain: bool) -> None:
    owner = f"hammer {os.getpid()}"
    while True:
        job = jobs.claim(owner, RECIPE)
        if job is None:
            waiting = sum(n for state, n in jobs.counts().items() if state not in FINISHED)
            if drain and waiting == 0:
                return
            time.sleep(0.01)
            continue
        try:
            jobs.finish(job, outcome(results=f"{job.id}.{owner}"[:64]))
        except LeaseLostError:
            continue
        say(job.id)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    folder, url, lease, what, *rest = sys.argv[1:]
    opened = store(folder, url, float(lease))
    say("ready")
    while not (Path(folder) / "go").exists():
        time.sleep(0.002)
    if what == "submit":
        submit(opened, int(rest[0]))
    else:
        judge(opened, drain=what == "drain")
