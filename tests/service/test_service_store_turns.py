"""Writers of one SQLite file take turns."""

import threading
import time
from pathlib import Path

import pytest
from service_stores import RECIPE, received
from service_tools import until
from test_service_store_concurrency import Hammer

from pleura.service.errors import StoreUnavailableError
from pleura.service.settings.storage import StorageSettings
from pleura.service.settings.work import WorkerSettings
from pleura.service.store import JobStore, engine, open_engine
from pleura.service.store.turns import Turns


def test_one_at_a_time(tmp_path: Path) -> None:
    inside, most = 0, 0
    lock = threading.Lock()

    def write() -> None:
        nonlocal inside, most
        for _ in range(20):
            with Turns(tmp_path / "file", 20).turn():
                with lock:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.0005)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_turn_that_does_not_come_is_an_error(tmp_path: Path) -> None:
    held, other = (Turns(tmp_path / "file", 0.05).turn() for _ in range(2))
    with held, pytest.raises(TimeoutError):
        other.__enter__()
    with Turns(tmp_path / "file", 0.05).turn():
        pass


def test_a_store_says_that_it_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_engine(StorageSettings(folder=tmp_path))
    jobs = JobStore(opened, WorkerSettings())
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    with Turns(tmp_path / engine.SQLITE_NAME, 1).turn():
        with pytest.raises(StoreUnavailableError):
            jobs.submit(received(), RECIPE)
        assert jobs.claim("w", RECIPE) is None  # looking needs no turn
    jobs.submit(received(), RECIPE)
    opened.dispose()


def test_one_that_judges_is_not_starved_by_those_that_submit(tmp_path: Path) -> None:
    """Three processes submit without pause; a fourth one claims and finishes, two turns a job."""
    submitters = [Hammer(tmp_path, None, 60, "submit", str(n * 10**6)) for n in range(3)]
    judge = Hammer(tmp_path, None, 60, "judge")
    everybody = [*submitters, judge]
    try:
        until(lambda: all(each.ready() for each in everybody), what="all of them are up")
        (tmp_path / "go").touch()
        until(lambda: max(len(each.said()) for each in everybody) > 100, what="they work")
        done = [len(each.said()) for each in everybody]
    finally:
        for each in everybody:
            each.kill()
    assert min(done) > 15
