"""When the service itself is in trouble: an error that nobody foresaw, a database that is away."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_service import Served, png, served, settings_for
from service_images import image
from service_postgres import Cluster
from service_tools import until

from pleura.service.keys import Role
from pleura.service.store import JobStore
from pleura.service.store.tables import jobs

CANARY = "DOE^JANE"


@pytest.fixture
def api(tmp_path: Path, tiny_model: Path) -> Iterator[Served]:
    with served(settings_for(tmp_path, tiny_model)) as running:
        yield running


def test_an_error_that_nobody_foresaw_is_answered_without_its_text(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: JobStore, **filters: Any) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(JobStore, "find", fail)
    client = api.client()
    answer = client.get("/v1/jobs")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert CANARY not in answer.text
    assert client.get("/v1/worklist").status_code == 200
    first = client.get("/v1/audit").json()["lines"][-1]
    assert (first["action"], first["outcome"]) == ("GET /v1/jobs", 500)


def test_an_error_in_the_midst_of_an_answer_breaks_it_off(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client sees that the answer is not whole, and the next request is answered."""
    client = api.client()
    content = image(1)
    item = client.post("/v1/predictions", content=content).json()["items"][0]
    monkeypatch.setattr(Path, "stat", _larger(Path.stat))
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(f"/v1/jobs/{item['job']['id']}/input")
    monkeypatch.undo()
    assert client.get(f"/v1/jobs/{item['job']['id']}/input").content == content


def _larger(stat: Any) -> Any:
    """Files that are shorter than they say, as one that is cut while it is sent."""

    class Larger:
        def __init__(self, found: Any) -> None:
            self._found = found
            self.st_size = found.st_size + 10

        def __getattr__(self, name: str) -> Any:
            return getattr(self._found, name)

    return lambda self, **options: Larger(stat(self, **options))


def test_a_store_that_does_not_answer_is_503(api: Served) -> None:
    with api.service.engine.begin() as connection:
        jobs.drop(connection)
    client = api.client()
    for answer in (
        client.get("/v1/jobs"),
        client.get("/v1/worklist"),
        client.get(f"/v1/jobs/{'0' * 32}"),
        client.post("/v1/predictions", content=png(1)),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    assert list(api.service.files.spool.iterdir()) == []


def test_a_postgresql_that_goes_and_comes_back(
    tmp_path: Path, tiny_model: Path, postgres: Cluster
) -> None:
    settings = settings_for(tmp_path, tiny_model)
    storage = settings.storage.model_copy(update={"database_url": postgres.new_database("api")})
    with served(settings.model_copy(update={"storage": storage})) as api:
        client = api.client(Role.SUBMIT)
        assert client.post("/v1/predictions", content=png(1)).status_code == 202
        # What a database of its kind cannot hold, or compare, is not asked of it.
        for parameter in ("a\0b", "é", "\ud7ff"):
            assert client.get("/v1/jobs", params={"source": parameter}).status_code == 422
        files = [("f", ("a\0b\x01.png", png(2)))]
        assert client.post("/v1/predictions", files=files).status_code == 202
        postgres.stop()
        try:
            answer = client.post("/v1/predictions", content=png(3))
            assert answer.status_code == 503
            assert client.get("/v1/jobs").status_code == 503
            ready = client.get("/ready")
            assert (ready.status_code, ready.json()["database"]) == (503, "no_answer")
            assert client.get("/health").status_code == 200
        finally:
            postgres.start()
        until(lambda: client.post("/v1/predictions", content=png(3)).status_code == 202)
