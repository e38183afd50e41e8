"""Opening the database, and bringing it to the newest version.

SQLite runs in WAL mode with `synchronous=FULL`: what was committed survives the loss of power. A
transaction that writes begins with `BEGIN IMMEDIATE`, so that two writers wait for each other
instead of failing half-way.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from pleura.service.errors import StoreError, StoreUnavailableError
from pleura.service.settings.storage import StorageSettings
from pleura.service.store.turns import Turns

SQLITE_NAME = "pleura.sqlite"
BUSY_SECONDS = 30
_WRITE = "pleura_write"
_MIGRATIONS = str(Path(__file__).parent / "migrations")
_MIGRATION_LOCK = 0x706C6575
# A server that is gone without a word is noticed in half a minute, not in two hours.
_POSTGRES = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def open_engine(settings: StorageSettings) -> Engine:
    """Open the database, make it if it is new, and run the migrations that it lacks.

    Raises:
        StoreError: it cannot be opened, or a newer Pleura has made it.
    """
    try:
        settings.folder.mkdir(parents=True, exist_ok=True)
        engine = _engine(settings)
        upgrade(engine)
    except (OSError, SQLAlchemyError, ImportError) as error:
        # The error's own text may hold the password of the URL.
        raise StoreError(f"The job store cannot be opened ({type(error).__name__}).") from error
    return engine


def open_as_it_is(settings: StorageSettings) -> Engine:
    """Open an existing database to look into it: nothing is made, and no migration is run.

    Raises:
        StoreError: there is none, it cannot be opened, or it is not of this version of Pleura.
    """
    if settings.database_url is None and not (settings.folder / SQLITE_NAME).is_file():
        raise StoreError("There is no job store in the data folder.")
    try:
        engine = _engine(settings)
        with reading(engine) as connection:
            found = MigrationContext.configure(connection).get_current_revision()
    except (OSError, SQLAlchemyError, ImportError) as error:
        raise StoreError(f"The job store cannot be opened ({type(error).__name__}).") from error
    if found != ScriptDirectory(_MIGRATIONS).get_current_head():
        raise StoreError(
            "The job store is of another version of Pleura.",
            hint="Use the version that runs the service.",
        )
    return engine


def upgrade(engine: Engine) -> None:
    """Run the migrations that the database lacks; several processes may do so at once.

    Raises:
        StoreError: the database is at a version that this Pleura does not know.
    """
    config = Config()
    config.set_main_option("script_location", _MIGRATIONS)
    with engine.connect() as connection, _without_foreign_keys(connection), _begun(connection):
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
    """A transaction that writes.

    Raises:
        StoreUnavailableError: the database cannot be reached; nothing was written, or what was
            written is not known to be (the connection broke during the commit).
    """
    with _reaching(), engine.connect() as connection, _begun(connection):
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that reads one state of the database.

    Raises:
        StoreUnavailableError: the database cannot be reached.
    """
    with _reaching(), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def _begun(connection: Connection) -> Iterator[None]:
    connection.execution_options(**{_WRITE: True})
    with _turn(connection.engine), connection.begin():
        yield


def _turn(engine: Engine) -> AbstractContextManager[None]:
    if engine.dialect.name != "sqlite" or engine.url.database is None:
        return nullcontext()
    return Turns(Path(engine.url.database), BUSY_SECONDS).turn()


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError, TimeoutError) as error:
        raise StoreUnavailableError("The job store cannot be reached.") from error


@contextmanager
def _without_foreign_keys(connection: Connection) -> Iterator[None]:
    """SQLite alters a table by copying it: dropping the old one must not delete what refers to it.

    This is set outside of transactions, or not at all.
    """
    driver = connection.connection.driver_connection
    if connection.dialect.name != "sqlite" or driver is None:
        yield
        return
    driver.execute("PRAGMA foreign_keys=OFF").close()
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys=ON").close()


def _engine(settings: StorageSettings) -> Engine:
    url = _url(settings)
    options: dict[str, Any] = {"pool_pre_ping": True, "hide_parameters": True}
    if url.startswith("postgresql+psycopg:"):
        options["connect_args"] = dict(_POSTGRES)
    engine = create_engine(url, **options)
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    return engine


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
            f"busy_timeout={BUSY_SECONDS * 1000}",  # first: the next one may have to wait
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        kind = "IMMEDIATE" if connection.get_execution_options().get(_WRITE) else "DEFERRED"
        connection.exec_driver_sql(f"BEGIN {kind}")
