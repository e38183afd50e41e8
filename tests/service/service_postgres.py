"""A PostgreSQL server of the tests' own: made by initdb, on a free port, run by nobody."""

import os
import shutil
import signal
import subprocess
from typing import Any

import psycopg
import pytest
from service_tools import end_with_the_tests, free_port, quick_folder, until

USER = "nobody"


class Cluster:
    """One server with its folder; can be stopped and started again.

    Args:
        durable: commits wait for the disk, as they do by default; the tests do without.
    """

    def __init__(self, durable: bool = False) -> None:
        initdb, self._postgres = shutil.which("initdb"), shutil.which("postgres")
        if initdb is None or self._postgres is None:
            pytest.skip("PostgreSQL (initdb, postgres) is not installed")
        self.port = free_port()
        # Not in pytest's own folder, which other users cannot enter.
        self.folder = quick_folder("pleura-postgres-")
        if os.getuid() == 0:
            shutil.chown(self.folder, USER)
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        command = [initdb, "-D", str(self.folder / "data"), "-A", "trust", "-U", "pleura"]
        subprocess.run(
            [*command, "-E", "UTF8", "--no-sync"], check=True, capture_output=True, **_as_nobody()
        )
        self.start()

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "on" if self._durable else "off",
            "shared_buffers": "32MB",
            "dynamic_shared_memory_type": "mmap",  # in its folder, which is removed
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._postgres), "-D", str(self.folder / "data"), *settings],
                stdout=log,
                stderr=log,
                preexec_fn=end_with_the_tests(signal.SIGQUIT),
                **_as_nobody(),
            )
        until(self._answers, what="PostgreSQL answers")

    def stop(self) -> None:
        """Stop the server at once, cutting every connection."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://pleura@127.0.0.1:{self.port}/{database}"

    def new_database(self, name: str) -> str:
        """Make an empty database; returns its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return self.url(name)

    def emptied_database(self) -> str:
        """The same database each time, without tables; returns its URL.

        It costs less than a new one, and much less than removing hundreds of files of each.
        """
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        return self.url()

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def _as_nobody() -> dict[str, Any]:
    """PostgreSQL refuses to be run by root."""
    if os.getuid() != 0:
        return {}
    return {"user": USER, "group": "nogroup", "extra_groups": [], "cwd": "/"}
