"""What is asked often is served by indices, however many finished jobs there are."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from service_stores import RECIPE, outcome, received
from sqlalchemy import Engine, event

from pleura.service.settings.storage import StorageSettings
from pleura.service.settings.work import WorkerSettings
from pleura.service.store import DeliveryStore, JobStore, State, open_engine

Ask = Callable[[JobStore, DeliveryStore], object]


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(StorageSettings(folder=tmp_path))
    yield engine
    engine.dispose()


def plans(engine: Engine, ask: Callable[[], object]) -> list[str]:
    """SQLite's plans of all that is read (PostgreSQL's depend on how full the tables are)."""
    steps: list[str] = []

    def explain(connection: Any, _: Any, statement: str, parameters: Any, *__: Any) -> None:
        if statement.startswith("SELECT"):
            cursor = connection.connection.driver_connection.cursor()
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps.extend(f"{row[3]}: {statement}" for row in cursor.fetchall())

    event.listen(engine, "before_cursor_execute", explain)
    try:
        ask()
    finally:
        event.remove(engine, "before_cursor_execute", explain)
    return steps


@pytest.mark.parametrize(
    "ask",
    [
        lambda jobs, _: jobs.claim("w", RECIPE),
        lambda jobs, _: jobs.submit(received(1), RECIPE, ["PACS"]),
        lambda jobs, _: jobs.submit(received(2), RECIPE, ["PACS"]),
        lambda jobs, _: jobs.queue_age(),
        lambda jobs, _: jobs.find(limit=10),
        lambda jobs, _: jobs.find(limit=10, after=jobs.find(limit=1)[0].id),
        lambda jobs, _: jobs.find(study_instance_uid="1.2"),
        lambda jobs, _: jobs.keeps_input("a" * 64),
        lambda _, deliveries: deliveries.claim("d", ["PACS", "ARCHIVE"]),
        lambda jobs, deliveries: deliveries.of_job(jobs.find(limit=1)[0].id),
    ],
)
def test_nothing_is_scanned_or_sorted(sqlite: Engine, ask: Ask) -> None:
    jobs, deliveries = _filled(sqlite)
    steps = plans(sqlite, lambda: ask(jobs, deliveries))
    assert steps
    by_index = [step for step in steps if step.startswith("SCAN jobs USING INDEX jobs_by_arrival")]
    assert [step for step in steps if step.startswith("SCAN") and step not in by_index] == []
    # A sender asks for one study at a time: these few may be sorted.
    sorted_ = [
        step for step in steps if "TEMP B-TREE" in step and "study_instance_uid =" not in step
    ]
    assert sorted_ == []


def test_the_worklist_reads_only_what_it_shows(sqlite: Engine) -> None:
    jobs, _ = _filled(sqlite)
    steps = plans(sqlite, lambda: jobs.worklist(limit=10))
    assert [step for step in steps if step.startswith("SCAN")] == []
    # Only those that a human ranked are sorted.
    assert all("rank IS NOT NULL" in step for step in steps if "TEMP B-TREE" in step)


def _filled(engine: Engine) -> tuple[JobStore, DeliveryStore]:
    jobs = JobStore(engine, WorkerSettings())
    for number in range(2, 5):
        jobs.submit(received(number), RECIPE, ["PACS"])
        job = jobs.claim("w", RECIPE)
        assert job is not None
        jobs.finish(job, outcome())
    jobs.submit(received(9), RECIPE, ["PACS"])
    assert jobs.counts()[State.DONE] == 3
    return jobs, DeliveryStore(engine, WorkerSettings())
