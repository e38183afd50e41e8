"""The runbook's own lines make a backup of a service at work, and restore it."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from service_images import image
from service_postgres import Cluster
from service_tools import until

from pleura.service.settings import Settings
from pleura.service.store import Job, State
from pleura.service.wiring import Service, open_service

RUNBOOK = Path(__file__).parents[2] / "docs" / "service.md"


def lines_of(name: str) -> list[str]:
    """The shell lines under a mark of the runbook."""
    block = re.search(
        rf"<!-- {name} -->\n```sh\n(.+?)```", RUNBOOK.read_text(encoding="utf-8"), re.S
    )
    assert block is not None, name
    return block[1].strip().splitlines()


def run_lines(lines: Sequence[str], data: Path, backup: Path, **environment: str) -> None:
    """Run them with folders of the test's own, as whoever runs the tests."""
    script = "\n".join(lines)
    for given, own in (
        ("/var/lib/pleura", str(data)),
        ("/backup/pleura", str(backup)),
        ("/opt/pleura/bin/python", sys.executable),
        (" -o pleura -g pleura", ""),
        ("pleura:pleura", f"{os.getuid()}:{os.getgid()}"),
    ):
        script = script.replace(given, own)
    done = subprocess.run(
        ["sh", "-euc", script],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def take(service: Service, number: int) -> Job:
    with service.intake.open() as spooled:
        spooled.write(image(number))
        return service.intake.take(spooled, name=f"{number}.dcm", source="test")


@pytest.fixture
def still_arriving(service: Service) -> Iterator[list[str]]:
    """Ids of jobs that are taken while the test goes on."""
    taken: list[str] = []
    stop = threading.Event()

    def send() -> None:
        for number in range(1000, 2000):
            if stop.is_set():
                return
            taken.append(take(service, number).id)

    thread = threading.Thread(target=send)
    thread.start()
    yield taken
    stop.set()
    thread.join()


def test_a_backup_of_a_service_at_work_is_restored_with_all_its_jobs(
    service: Service,
    run_jobs: Callable[[Service], int],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    judged = [take(service, number) for number in range(3)]
    run_jobs(service)
    waiting = [take(service, number) for number in range(3, 5)]
    before = [service.jobs.get(job.id) for job in (*judged, *waiting)]
    taken: list[str] = request.getfixturevalue("still_arriving")
    until(lambda: taken)
    data, backup = service.settings.storage.folder, tmp_path / "backup"
    run_lines(lines_of("backup: sqlite"), data, backup)
    restored_to = tmp_path / "restored"
    run_lines(lines_of("restore: sqlite"), restored_to, backup)

    storage = service.settings.storage.model_copy(update={"folder": restored_to})
    restored = open_service(service.settings.model_copy(update={"storage": storage}))
    assert [restored.jobs.get(job.id) for job in before] == before
    for job in restored.jobs.find(limit=10_000):
        restored.files.checked_input(job.received.sha256)
    for job in before[:3]:
        assert job.outcome is not None
        assert job.outcome.results is not None
        kept = restored.files.results_path(job.outcome.results)
        original = service.files.results_path(job.outcome.results)
        assert {path.name: path.read_bytes() for path in kept.iterdir()} == {
            path.name: path.read_bytes() for path in original.iterdir()
        }
    run_jobs(restored)
    assert restored.jobs.get(waiting[0].id).state is State.DONE
    restored.close()


def test_a_second_backup_does_not_overwrite_the_first(service: Service, tmp_path: Path) -> None:
    take(service, 0)
    data, backup = service.settings.storage.folder, tmp_path / "backup"
    lines = lines_of("backup: sqlite")
    run_lines(lines, data, backup)
    with pytest.raises(AssertionError, match="already exists"):
        run_lines(lines, data, backup)


def test_a_dump_of_postgresql_is_restored_with_all_its_jobs(
    settings: Settings, postgres: Cluster, run_jobs: Callable[[Service], int], tmp_path: Path
) -> None:
    if shutil.which("pg_dump") is None or shutil.which("pg_restore") is None:
        pytest.skip("pg_dump and pg_restore are not on the path")
    dump, restore = (
        line
        for line in lines_of("backup: postgresql")
        if line.startswith(("pg_dump", "pg_restore"))
    )
    url = postgres.new_database("backed_up")
    storage = settings.storage.model_copy(update={"database_url": url})
    service = open_service(settings.model_copy(update={"storage": storage}))
    jobs = [take(service, number) for number in range(2)]
    run_jobs(service)
    before = [service.jobs.get(job.id) for job in jobs]
    backup = tmp_path / "backup"
    backup.mkdir()
    data = settings.storage.folder
    run_lines([dump], data, backup, DATABASE_URL=url)
    service.close()

    url = postgres.new_database("restored")
    run_lines([restore], data, backup, DATABASE_URL=url)
    storage = settings.storage.model_copy(update={"database_url": url})
    restored = open_service(settings.model_copy(update={"storage": storage}))
    assert [restored.jobs.get(job.id) for job in before] == before
    restored.close()
