"""The work list: the newest positive first, and no word of the model lowers a human's rank."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from api_service import png, run_all, served, settings_for
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_images import image
from sqlalchemy import Engine, delete

from pleura.service.keys import Role
from pleura.service.settings.storage import StorageSettings
from pleura.service.settings.work import WorkerSettings
from pleura.service.store import (
    Failure,
    Job,
    JobStore,
    Outcome,
    Received,
    Recipe,
    State,
    open_engine,
)
from pleura.service.store.tables import jobs as table

RECIPES = tuple(Recipe(letter * 64, "model", letter) for letter in "ab")
REFUSED = Failure("not_projection_radiograph", "It is none.", "Send one.")


@dataclass
class Desk:
    """A store, the model that works on it, and the human who ranks, and keeps a book of it."""

    engine: Engine
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    recipe: Recipe = RECIPES[0]
    book: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(delete(table))
        self.store = JobStore(self.engine, WorkerSettings(attempts=2), clock=lambda: self.now)

    def receive(self, number: int) -> None:
        received = Received(f"{number:064x}", 1, "x", "test")
        self.store.submit(received, self.recipe)

    def judge(self, number: int) -> None:
        """The model says something of the next job: yes, no, refused, or it breaks."""
        self.now += timedelta(minutes=20)  # whatever waits for its next try is due
        job = self.store.claim("worker", self.recipe)
        if job is None:
            return
        says = number % 4
        if says == 3:
            self.store.fail(job, Failure("broken", "It broke.", "Mend it."), final=number % 8 == 7)
        elif says == 2:
            self.store.finish(job, Outcome(record="{}", failure=REFUSED))
        else:
            results = secrets.token_hex(4)
            probability = 0.9 - 0.8 * says
            self.store.finish(job, Outcome("{}", probability, says == 0, results))

    def change_model(self, number: int) -> None:
        self.recipe = RECIPES[number % 2]

    def rank(self, number: int) -> None:
        job = self._any(number)
        if job is not None:
            self.book[job.id] = number % 5 + 1
            self.store.rank(job.id, number % 5 + 1)

    def unrank(self, number: int) -> None:
        job = self._any(number)
        if job is not None:
            self.book.pop(job.id, None)
            self.store.rank(job.id, None)

    def requeue(self, number: int) -> None:
        failed = [job for job in self.store.find(states=[State.FAILED]) if job.input_kept]
        if failed:
            self.store.requeue(failed[number % len(failed)].id)

    def _any(self, number: int) -> Job | None:
        found = self.store.find()
        return found[number % len(found)] if found else None


STEPS: tuple[Callable[[Desk, int], None], ...] = (
    Desk.receive,
    Desk.receive,
    Desk.judge,
    Desk.judge,
    Desk.judge,
    Desk.rank,
    Desk.rank,
    Desk.unrank,
    Desk.requeue,
    Desk.change_model,
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    opened = open_engine(StorageSettings(folder=tmp_path_factory.mktemp("worklist")))
    yield opened
    opened.dispose()


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(range(len(STEPS))), st.integers(0, 15)), min_size=15, max_size=40
    )
)
def test_no_word_of_the_model_lowers_what_a_human_ranked(
    engine: Engine, steps: list[tuple[int, int]]
) -> None:
    """Random sequences of what model and human do; the list holds after each step."""
    desk = Desk(engine)
    for step, number in steps:
        desk.now += timedelta(seconds=1)
        STEPS[step](desk, number)
        check(desk)


def check(desk: Desk) -> None:
    shown = desk.store.worklist(limit=500)
    ranked = shown[: len(desk.book)]
    # Every job that the human ranked is there, before all others, with the rank that was given.
    assert {job.id: job.rank for job in ranked} == desk.book
    ranks = [desk.book[job.id] for job in ranked]
    assert ranks == sorted(ranks)
    # Of the others the positive come first, and among equals the newest.
    others = shown[len(ranked) :]
    assert all(job.state is State.DONE and job.rank is None for job in others)
    keys = [(not positive(job), -job.received_at.timestamp()) for job in others]
    assert keys == sorted(keys)
    done = {job.id for job in desk.store.find(states=[State.DONE], limit=500)}
    assert {job.id for job in others} == done - set(desk.book)


def positive(job: Job) -> bool:
    assert job.outcome is not None
    assert job.outcome.present is not None
    return job.outcome.present


def test_ranks_over_http(tmp_path: Path, tiny_model: Path) -> None:
    with served(settings_for(tmp_path, tiny_model)) as api:
        client = api.client(Role.SUBMIT)
        contents = (png(1), image(1), png(2), image(2))
        ids = [
            client.post("/v1/predictions", content=content).json()["items"][0]["job"]["id"]
            for content in contents
        ]
        dark, bright, dark_later, bright_later = ids

        def listed(**parameters: str | int) -> list[str]:
            shown = client.get("/v1/worklist", params=parameters).json()["jobs"]
            return [job["id"] for job in shown]

        assert listed() == []  # nothing is done
        ranked = client.put(f"/v1/worklist/{dark_later}/rank", json={"rank": 2}).json()
        assert (ranked["rank"], ranked["state"]) == (2, "received")
        assert listed() == [dark_later]  # as soon as a human says so
        claimed = api.service.jobs.claim("worker", api.service.recipe)
        assert claimed is not None
        assert claimed.id == dark_later  # in the queue, too
        api.service.jobs.release(claimed)
        run_all(api.service)
        assert listed() == [dark_later, bright_later, bright, dark]
        client.put(f"/v1/worklist/{dark}/rank", json={"rank": 1})
        assert listed() == [dark, dark_later, bright_later, bright]
        assert listed(limit=2) == [dark, dark_later]
        assert client.delete(f"/v1/worklist/{dark}/rank").json()["rank"] is None
        client.delete(f"/v1/worklist/{dark_later}/rank")
        assert listed() == [bright_later, bright, dark_later, dark]

        received = client.get(f"/v1/jobs/{dark_later}").json()["received_at"]
        assert listed(since=received) == [bright_later, dark_later]
        for rank in (0, -1, 1_000_001, "1", 1.5, None, True):
            answer = client.put(f"/v1/worklist/{dark}/rank", json={"rank": rank})
            assert answer.status_code == 422, rank
