"""The database: made from nothing, equal to the models, refused when it is newer."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from service_postgres import Cluster
from service_stores import RECIPE, outcome, received
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import SADeprecationWarning

from pleura.service.errors import StoreError, StoreUnavailableError
from pleura.service.settings.storage import StorageSettings
from pleura.service.settings.work import WorkerSettings
from pleura.service.store import DeliveryStore, JobStore, open_engine
from pleura.service.store.tables import metadata

OPENS = """
import sys
from pathlib import Path
from pleura.service.settings.storage import StorageSettings
from pleura.service.store import open_engine
open_engine(StorageSettings(folder=Path(sys.argv[1]), database_url=sys.argv[2] or None)).dispose()
"""


@pytest.fixture
def storage(tmp_path: Path, database_url: str | None) -> StorageSettings:
    return StorageSettings(folder=tmp_path / "data", database_url=database_url)


def test_migrations_from_nothing_make_what_the_models_say(storage: StorageSettings) -> None:
    engine = open_engine(storage)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        named = {name for table in metadata.tables for name in _indices(engine, table)}
    # compare_metadata overlooks indices and constraints on some databases
    assert named == {
        str(index.name) for table in metadata.tables.values() for index in table.indexes
    }
    engine.dispose()


def _indices(engine: Engine, table: str) -> list[str]:
    found = inspect(engine).get_indexes(table)
    return [str(index["name"]) for index in found if not index.get("duplicates_constraint")]


def test_opening_again_changes_nothing(storage: StorageSettings) -> None:
    first = open_engine(storage)
    job = JobStore(first, WorkerSettings()).submit(received(), RECIPE)
    first.dispose()
    second = open_engine(storage)
    assert JobStore(second, WorkerSettings()).get(job.id) == job
    second.dispose()


def test_a_database_of_a_newer_version_is_refused(storage: StorageSettings) -> None:
    engine = open_engine(storage)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreError, match="newer version"):
        open_engine(storage)


def test_processes_may_open_a_new_database_at_once(storage: StorageSettings) -> None:
    arguments = [str(storage.folder), storage.database_url or ""]
    opening = [
        subprocess.Popen([sys.executable, "-c", OPENS, *arguments], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    ends = [process.communicate(timeout=60)[1].decode() for process in opening]
    assert [process.returncode for process in opening] == [0] * 4, ends


def test_a_table_that_is_copied_keeps_what_refers_to_it(tmp_path: Path) -> None:
    """SQLite alters tables by copying: a migration of `jobs` must not delete the deliveries."""
    from alembic.operations import Operations

    from pleura.service.store.engine import _begun, _without_foreign_keys

    engine = open_engine(StorageSettings(folder=tmp_path))
    jobs = JobStore(engine, WorkerSettings())
    job = jobs.submit(received(), RECIPE, ["PACS"])
    with engine.connect() as connection, _without_foreign_keys(connection), _begun(connection):
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("jobs", recreate="always"):
            pass
    assert len(DeliveryStore(engine, WorkerSettings()).of_job(job.id)) == 1
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    engine.dispose()


def test_sqlite_survives_the_loss_of_power_by_its_settings(tmp_path: Path) -> None:
    engine = open_engine(StorageSettings(folder=tmp_path))
    with engine.connect() as connection:
        asked = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert asked == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    engine.dispose()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:secret-word@127.0.0.1:1/none",
        "nonsense://user:secret-word@host/none",
        "secret-word",
    ],
)
def test_a_database_that_cannot_be_opened_is_named_without_its_password(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(StoreError) as raised:
        open_engine(StorageSettings(folder=tmp_path, database_url=url))
    assert "secret-word" not in str(raised.value)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError):
        open_engine(StorageSettings(folder=tmp_path / "file" / "data"))


def test_a_server_that_is_away_is_said_so_and_found_again(tmp_path: Path) -> None:
    cluster = Cluster()
    try:
        url = cluster.new_database("away")
        engine = open_engine(StorageSettings(folder=tmp_path, database_url=url))
        jobs = JobStore(engine, WorkerSettings())
        job = jobs.submit(received(), RECIPE)
        cluster.stop()
        for attempt in (lambda: jobs.get(job.id), lambda: jobs.submit(received(1), RECIPE)):
            with pytest.raises(StoreUnavailableError):
                attempt()
        cluster.start()
        assert jobs.get(job.id) == job
        engine.dispose()
    finally:
        cluster.remove()


def test_nothing_that_sqlalchemy_will_drop_is_used(storage: StorageSettings) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", SADeprecationWarning)
        warnings.simplefilter("error", DeprecationWarning)
        engine = open_engine(storage)
        jobs = JobStore(engine, WorkerSettings())
        jobs.submit(received(), RECIPE, ["PACS"])
        job = jobs.claim("w", RECIPE)
        assert job is not None
        jobs.finish(job, outcome())
        assert jobs.worklist() == jobs.find()
        assert DeliveryStore(engine, WorkerSettings()).claim("d", ["PACS"]) is not None
        engine.dispose()
