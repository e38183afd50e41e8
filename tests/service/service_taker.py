"""A process that takes images until it is killed, and prints the hash of each it acknowledged.

python service_taker.py FOLDER
"""

import os
import random
import sys
from pathlib import Path

from service_stores import RECIPE

from pleura.service.files import FileStore
from pleura.service.intake import Intake
from pleura.service.settings.storage import StorageSettings
from pleura.service.settings.work import WorkerSettings
from pleura.service.store import JobStore, open_engine

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    jobs = JobStore(open_engine(StorageSettings(folder=folder)), WorkerSettings(), 10**9)
    intake = Intake(FileStore(folder), jobs, RECIPE)
    while True:
        with intake.open() as spooled:
            for _ in range(random.randrange(1, 40)):
                spooled.write(os.urandom(10_000))
            job = intake.take(spooled, name="x", source="test")
        sys.stdout.write(job.received.sha256 + "\n")
        sys.stdout.flush()
