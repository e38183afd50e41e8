"""The audit log: who read what, written before a byte of it goes out; no log, no answer."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from api_service import Served, png, run_all, served, settings_for
from service_images import image

from pleura.service.audit import Access, AuditLog
from pleura.service.keys import Role
from pleura.service.settings.api import ApiSettings
from pleura.service.store.tables import audit
from pleura.service.wiring import Service


@pytest.fixture
def api(tmp_path: Path, tiny_model: Path) -> Iterator[Served]:
    with served(settings_for(tmp_path, tiny_model)) as running:
        yield running


def sent(client: httpx.Client, content: bytes) -> str:
    job_id: str = client.post("/v1/predictions", content=content).json()["items"][0]["job"]["id"]
    return job_id


def lines_of(api: Served, **filters: str) -> list[tuple[str, str, str | None, int]]:
    """Actor, action, job and status, the oldest first."""
    answer = api.client(Role.ADMIN).get("/v1/audit", params={"limit": 500, **filters}).json()
    lines = [
        (one["actor"], one["action"], one["job_id"], one["outcome"]) for one in answer["lines"]
    ]
    return lines[::-1]


def test_every_request_with_who_what_whose_and_what_was_answered(api: Served) -> None:
    submitter, reader = api.client(Role.SUBMIT), api.client(Role.READ)
    job = sent(submitter, image(1))
    run_all(api.service)
    reader.get(f"/v1/jobs/{job}/prediction")
    reader.get(f"/v1/jobs/{job}/seg.dcm")
    reader.get(f"/v1/jobs/{job}/input")
    reader.get("/v1/jobs")
    submitter.put(f"/v1/worklist/{job}/rank", json={"rank": 1})
    reader.get(f"/v1/jobs/{'0' * 32}")
    api.client(None).get(f"/v1/jobs/{job}/sr.dcm")
    reader.get("/v1/jobs/..%2f..%2fsecret")
    reader.get("/health")
    here = "/v1/jobs/{job_id}"
    assert lines_of(api) == [
        ("submit", "POST /v1/predictions", job, 202),
        ("read", f"GET {here}/prediction", job, 200),
        ("read", f"GET {here}/seg.dcm", job, 200),
        ("read", f"GET {here}/input", job, 403),
        ("read", "GET /v1/jobs", None, 200),
        ("submit", "PUT /v1/worklist/{job_id}/rank", job, 200),
        ("read", f"GET {here}", "0" * 32, 404),
        ("-", f"GET {here}/sr.dcm", job, 401),
    ]
    addresses = {one["address"] for one in api.client().get("/v1/audit").json()["lines"]}
    assert addresses == {"127.0.0.1"}


def test_an_upload_of_many_has_a_line_for_each_job(api: Served) -> None:
    files = [("f", (f"{number}.png", png(number))) for number in (1, 2, 1)]
    items = api.client().post("/v1/predictions", files=files).json()["items"]
    ids = [item["job"]["id"] for item in items]
    assert ids[0] == ids[2]
    assert [line[2] for line in lines_of(api)] == ids[:2]
    api.client(Role.SUBMIT).post("/v1/predictions", content=b"")
    assert lines_of(api, actor="submit") == [("submit", "POST /v1/predictions", None, 422)]


def test_not_a_byte_goes_out_before_the_line_is_written(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = api.client()
    job = sent(client, image(1))
    run_all(api.service)
    asked, may_write = threading.Event(), threading.Event()
    write = AuditLog.write

    def held(self: AuditLog, accesses: list[Access]) -> None:
        asked.set()
        assert may_write.wait(20)
        write(self, accesses)

    monkeypatch.setattr(AuditLog, "write", held)
    received: list[int] = []

    def fetch() -> None:
        received.append(client.get(f"/v1/jobs/{job}/sc.dcm").status_code)

    thread = threading.Thread(target=fetch)
    thread.start()
    assert asked.wait(20)
    thread.join(0.3)
    assert received == []
    may_write.set()
    thread.join(20)
    assert received == [200]


def test_without_the_log_nothing_is_shown(api: Served) -> None:
    client = api.client()
    job = sent(client, image(1))
    run_all(api.service)
    assert len(client.get(f"/v1/jobs/{job}/seg.dcm").content) > 1000
    with api.service.engine.begin() as connection:
        audit.drop(connection)
    for path in (f"/v1/jobs/{job}/seg.dcm", f"/v1/jobs/{job}/prediction", "/v1/worklist"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "not_audited"
        assert len(answer.content) < 300
        assert "content-disposition" not in answer.headers
    assert client.get("/health").status_code == 200


def test_pages_and_filters(api: Served) -> None:
    client = api.client()
    jobs = [sent(client, png(number)) for number in range(5)]
    for job in jobs:
        api.client(Role.READ).get(f"/v1/jobs/{job}")
    assert len(lines_of(api, actor="read")) == 5
    assert [line[0] for line in lines_of(api, job=jobs[2])] == ["admin", "read"]
    before: dict[str, str] = {}
    ids: list[int] = []
    while True:
        parameters = {"limit": "3", "actor": "read", **before}
        page = client.get("/v1/audit", params=parameters).json()
        ids += [line["id"] for line in page["lines"]]
        if page["next"] is None:
            break
        before = {"before": str(page["next"])}
    assert len(ids) == 5
    assert ids == sorted(ids, reverse=True)


def test_old_lines_are_removed(either_service: Service) -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    access = Access("ward", "::1", "GET /v1/jobs", 200)
    AuditLog(either_service.engine, lambda: now - timedelta(days=400)).write([access])
    AuditLog(either_service.engine, lambda: now - timedelta(days=10)).write([access, access])
    log = AuditLog(either_service.engine, lambda: now)
    assert log.remove_old(365) == 1
    assert len(log.find()) == 2
    assert log.remove_old(365) == 0


def test_a_long_address_or_action_does_not_lose_the_line(either_service: Service) -> None:
    log = AuditLog(either_service.engine)
    log.write([Access("a", "x" * 500, "GET /" + "y" * 500, 200)])
    (line,) = log.find()
    assert line.access.address == "x" * 64


def test_the_address_is_the_one_that_a_known_proxy_names(
    api: Served, tmp_path: Path, tiny_model: Path
) -> None:
    named = {"x-forwarded-for": "198.51.100.7"}
    api.client(Role.READ).get("/v1/jobs", headers=named)
    (line,) = api.client().get("/v1/audit").json()["lines"]
    assert line["address"] == "127.0.0.1"  # nobody is known to be a proxy
    behind = ApiSettings(port=0, forwarded_from=("127.0.0.1",))
    with served(settings_for(tmp_path / "behind", tiny_model, api=behind)) as other:
        other.client(Role.READ).get("/v1/jobs", headers=named)
        (line,) = other.client().get("/v1/audit").json()["lines"]
        assert line["address"] == "198.51.100.7"
