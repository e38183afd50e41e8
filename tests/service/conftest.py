"""Settings, services and databases for the tests of the service."""

import logging
import shutil
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from logging import Logger
from pathlib import Path

import pytest
from service_postgres import Cluster
from service_stores import SetClock
from service_tools import quick_folder
from sqlalchemy import Engine

from pleura import Predictor
from pleura.service.judge import Judge
from pleura.service.recipe import load_predictor
from pleura.service.settings import Settings
from pleura.service.settings.storage import StorageSettings
from pleura.service.settings.work import ModelSettings, WorkerSettings
from pleura.service.store import DeliveryStore, JobStore, open_engine
from pleura.service.store.tables import metadata
from pleura.service.wiring import Service, open_service
from tiny_model import write_model

STORE_SETTINGS = WorkerSettings(lease_seconds=90, attempts=3, delivery_attempts=3, retry_seconds=10)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny model."""
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """pytest's own, but in memory where there is room, and gone after the test."""
    folder = quick_folder("pleura-test-")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings(tmp_path: Path, tiny_model: Path) -> Settings:
    """A SQLite file and a data folder of the test's own; to be changed by `model_copy`."""
    return Settings(
        storage=StorageSettings(folder=tmp_path / "data", reserve_gib=0.01),
        model=ModelSettings(model=str(tiny_model), threads=1),
        worker=WorkerSettings(retry_seconds=0.05, poll_seconds=0.02),
    )


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    """A service of these settings."""
    opened = open_service(settings)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server; tests that use it are skipped where it is not installed."""
    cluster = Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str | None:
    """For `storage.database_url`: the test runs on SQLite, and on an empty PostgreSQL database."""
    if request.param == "sqlite":
        return None
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.emptied_database()


@pytest.fixture
def either_settings(settings: Settings, database_url: str | None) -> Settings:
    """`settings` on SQLite and on PostgreSQL."""
    storage = settings.storage.model_copy(update={"database_url": database_url})
    return settings.model_copy(update={"storage": storage})


@pytest.fixture
def either_service(either_settings: Settings) -> Iterator[Service]:
    """`service` on SQLite and on PostgreSQL."""
    opened = open_service(either_settings)
    yield opened
    opened.close()


@cache
def _predictor(settings: ModelSettings) -> Predictor:
    return load_predictor(settings)


@pytest.fixture
def run_jobs() -> Callable[[Service], int]:
    """Judges, in this process, every job that is due; returns how many."""

    def run(service: Service) -> int:
        settings = service.settings
        predictor = _predictor(settings.model)
        judge = Judge(
            predictor, service.recipe, service.files, service.jobs, settings.worker, "test"
        )
        done = 0
        while judge.work() is not None:
            done += 1
        return done

    return run


@pytest.fixture
def logging_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `configure_logging` changes in this process is undone after the test."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    known = [log for log in logging.root.manager.loggerDict.values() if isinstance(log, Logger)]
    levels = [(log, log.level) for log in (logging.root, *known)]
    handlers = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = handlers
    for log, level in levels:
        log.setLevel(level)


@pytest.fixture(scope="session")
def _postgres_engine(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("engine")
    return open_engine(StorageSettings(folder=folder, database_url=postgres.new_database("stores")))


@pytest.fixture(scope="session")
def _sqlite_engine() -> Iterator[Engine]:
    folder = quick_folder("pleura-test-")
    yield open_engine(StorageSettings(folder=folder))
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """An empty database, on SQLite and on PostgreSQL; made once and emptied for each test."""
    shared: Engine = request.getfixturevalue(f"_{request.param}_engine")
    with shared.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    return shared


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def jobs(engine: Engine, clock: SetClock) -> JobStore:
    """A job store with a set clock: leases of 90 s, 3 tries, 10 s before the second."""
    return JobStore(engine, STORE_SETTINGS, queue_limit=12, clock=clock)


@pytest.fixture
def deliveries(engine: Engine, clock: SetClock) -> DeliveryStore:
    return DeliveryStore(engine, STORE_SETTINGS, clock=clock)
