"""Opening the database, and bringing it to the newest version.

SQLite runs in WAL mode with `synchronous=FULL`: what was committed survives the loss of power. A
transaction that writes begins with `BEGIN IMMEDIATE`, so that two writers wait for each other
instead of failing half-way.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from pleura.service.errors import StoreError
from pleura.service.settings.storage import StorageSettings

SQLITE_NAME = "pleura.sqlite"
BUSY_SECONDS = 30
_WRITE = "pleura_write"
_MIGRATION_LOCK = 0x706C6575


def open_engine(settings: StorageSettings) -> Engine:
    """Open the database, make it if it is new, and run the migrations that it lacks.

    Raises:
        StoreError: it cannot be opened, or a newer Pleura has made it.
    """
    try:
        settings.folder.mkdir(parents=True, exist_ok=True)
        engine = create_engine(_url(settings), pool_pre_ping=True, hide_parameters=True)
        if engine.dialect.name == "sqlite":
            _prepare_sqlite(engine)
        upgrade(engine)
    except (OSError, SQLAlchemyError, ArgumentError, ImportError) as error:
        # The error's own text may hold the password of the URL.
        raise StoreError(f"The job store cannot be opened ({type(error).__name__}).") from error
    return engine


def upgrade(engine: Engine) -> None:
    """Run the migrations that the database lacks; several processes may do so at once.

    Raises:
        StoreError: the database is at a version that this Pleura does not know.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(
                "The job store was made by a newer version of Pleura.",
                hint="Install that version, or restore the backup made before the upgrade.",
            ) from error


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes."""
    with engine.connect() as connection:
        connection = connection.execution_options(**{_WRITE: True})
        with connection.begin():
            yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that reads one state of the database."""
    with engine.connect() as connection, connection.begin():
        yield connection


def _url(settings: StorageSettings) -> str:
    if settings.database_url is None:
        return f"sqlite+pysqlite:///{(settings.folder / SQLITE_NAME).resolve()}"
    url = settings.database_url
    for plain in ("postgresql://", "postgres://"):
        if url.startswith(plain):
            return "postgresql+psycopg://" + url.removeprefix(plain)
    return url


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_SECONDS * 1000}",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        kind = "IMMEDIATE" if connection.get_execution_options().get(_WRITE) else "DEFERRED"
        connection.exec_driver_sql(f"BEGIN {kind}")
