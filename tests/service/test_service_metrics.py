"""What Prometheus is shown, read back by Prometheus' own parser; /health and /ready."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from api_service import Served, png, run_all, served, settings_for
from prometheus_client.parser import text_string_to_metric_families
from service_images import dataset, image

from pleura.service import exposition
from pleura.service.exposition import Exposition
from pleura.service.presence import Presence
from pleura.service.store import Failure, State
from pleura.service.store.tables import workers
from pleura.service.wiring import Service

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, metric: str, /, **labels: str) -> float:
    return samples[metric, frozenset(labels.items())]


def shown(service: Service, now: datetime | None = None) -> Samples:
    clock = (lambda: now) if now is not None else lambda: datetime.now(UTC)
    return samples_of(Exposition(service, clock).render().decode())


def submit(service: Service, content: bytes) -> None:
    with service.intake.open() as spooled:
        spooled.write(content)
        service.intake.take(spooled, name="x", source="test")


def test_jobs_are_counted_by_state_and_code(either_service: Service) -> None:
    service = either_service
    for content in (image(1), image(2), b"no image", image(3)[:2000]):
        submit(service, content)
    run_all(service)
    for number in (4, 5):
        submit(service, image(number))
    claimed = service.jobs.claim("worker", service.recipe)
    assert claimed is not None
    service.jobs.fail(claimed, Failure("broken", "It broke.", "Mend it."), final=True)
    for number in (6, 7):
        submit(service, image(number))
    assert service.jobs.claim("worker", service.recipe) is not None

    samples = shown(service)
    assert value(samples, "pleura_store_up") == 1
    assert value(samples, "pleura_jobs", state="done", code="") == 2
    assert value(samples, "pleura_jobs", state="refused", code="not_an_image") == 1
    assert value(samples, "pleura_jobs", state="refused", code="truncated") == 1
    assert value(samples, "pleura_jobs", state="failed", code="broken") == 1
    assert value(samples, "pleura_jobs", state="running", code="") == 1
    assert value(samples, "pleura_jobs", state="received", code="") == 2
    assert value(samples, "pleura_queue_length") == 3
    total = sum(number for (name, _), number in samples.items() if name == "pleura_jobs")
    assert total == sum(service.jobs.counts().values())
    recipe = service.recipe
    info = {"name": recipe.model_name, "version": recipe.model_version}
    assert value(samples, "pleura_model_info", **info) == 1


def test_the_age_of_the_queue_is_that_of_its_oldest_job(service: Service) -> None:
    assert value(shown(service), "pleura_queue_age_seconds") == 0
    submit(service, image(1))
    age = value(shown(service), "pleura_queue_age_seconds")
    assert 0 <= age < 60


def test_latencies_are_histograms_of_the_last_jobs(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        submit(service, image(number))
    submit(service, b"no image")
    run_all(service)
    monkeypatch.setattr(exposition, "WINDOW_JOBS", 3)  # the refusal and two others
    samples = shown(service)
    for name, labels, count in (
        ("pleura_job_seconds", {}, 3),
        ("pleura_stage_seconds", {"stage": "total"}, 2),
        ("pleura_stage_seconds", {"stage": "decode"}, 2),
    ):
        assert value(samples, f"{name}_gcount", **labels) == count
        assert value(samples, f"{name}_gsum", **labels) > 0
        wanted = {*labels, "le"}
        buckets = sorted(
            (float(dict(found)["le"]), number)
            for (metric, found), number in samples.items()
            if metric == f"{name}_bucket"
            and set(dict(found)) == wanted
            and labels.items() <= dict(found).items()
        )
        assert [number for _, number in buckets] == sorted(number for _, number in buckets)
        assert buckets[-1] == (float("inf"), count)
    jobs = service.jobs.find(states=[State.DONE], limit=2)
    totals = [dict(job.outcome.timings_ms)["total"] / 1000 for job in jobs if job.outcome]
    gsum = value(samples, "pleura_stage_seconds_gsum", stage="total")
    assert gsum == pytest.approx(sum(totals))


def test_a_value_on_a_bound_is_in_its_bucket() -> None:
    counts = exposition._cumulative([0.1, 0.1000001, 5.0], (0.1, 1.0))
    assert counts == [("0.1", 1.0), ("1.0", 2.0), ("+Inf", 3.0)]


def test_workers_that_were_seen_lately_are_counted(service: Service) -> None:
    presence = Presence(service.engine)
    presence.beat("one", service.recipe)
    presence.beat("two", replace(service.recipe, model_version="2"))
    now = datetime.now(UTC)
    samples = shown(service)
    name = service.recipe.model_name
    version = service.recipe.model_version
    assert value(samples, "pleura_workers", name=name, version=version) == 1
    assert value(samples, "pleura_workers", name=name, version="2") == 1
    # One that judges gives no sign for as long as a job may take.
    busy = now + timedelta(seconds=service.settings.worker.job_seconds + 20)
    assert ("pleura_workers", frozenset({"name": name, "version": version}.items())) in shown(
        service, busy
    )
    gone = now + timedelta(seconds=service.settings.worker.job_seconds + 40)
    assert not any(metric == "pleura_workers" for metric, _ in shown(service, gone))


def test_deliveries_are_counted_by_destination_and_state(tmp_path: Path, tiny_model: Path) -> None:
    destination = {"name": "pacs", "kind": "stow", "url": "http://127.0.0.1:9/dicom-web"}
    with served(settings_for(tmp_path, tiny_model, destinations=(destination,))) as api:
        for number in range(3):
            submit(api.service, image(number))
        run_all(api.service)
        submit(api.service, image(9))
        claimed = api.service.deliveries.claim("sender", ["pacs"])
        assert claimed is not None
        api.service.deliveries.sent(claimed, "sender")
        samples = samples_of(api.client().get("/metrics").text)
        for state, count in (("sent", 1), ("waiting", 2), ("pending", 1)):
            assert value(samples, "pleura_deliveries", destination="pacs", state=state) == count


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Served]:
    with served(settings_for(tmp_path_factory.mktemp("api"), tiny_model)) as running:
        yield running


def test_requests_are_counted_by_template_and_status(api: Served) -> None:
    client = api.client()
    for number in range(3):
        client.get(f"/v1/jobs/{number:032x}")
    client.get("/v1/jobs/DOE^JANE")
    client.get("/DOE/JANE")
    client.request("DOEJANE", "/v1/jobs")
    text = client.get("/metrics").text
    samples = samples_of(text)
    route = "/v1/jobs/{job_id}"
    name = "pleura_http_requests_total"
    assert value(samples, name, method="GET", route=route, status="404") == 3
    assert value(samples, name, method="GET", route=route, status="422") == 1
    assert value(samples, name, method="GET", route="unmatched", status="404") == 1
    assert value(samples, name, method="OTHER", route="/v1/jobs", status="405") == 1
    assert "DOE" not in text


def test_no_metric_names_a_patient(api: Served) -> None:
    """A canary in every place that a sender fills: header, UIDs, file name."""
    made = dataset(77)
    made.PatientName = made.PatientID = made.StudyDescription = "CANARY77"
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    files = [("f", ("CANARY77.dcm", stream.getvalue())), ("f", ("CANARY77.png", png(1)))]
    client = api.client()
    client.post("/v1/predictions", files=files)
    client.post("/v1/predictions", files=[("f", ("CANARY77.txt", b"CANARY77"))])
    run_all(api.service)
    text = client.get("/metrics").text
    assert value(samples_of(text), "pleura_jobs", state="done", code="") >= 2
    for secret in ("CANARY77", "2.25.7700", *api.secrets.values()):
        assert secret not in text
    jobs = api.service.jobs.find()
    assert not any(job.id in text or job.received.sha256 in text for job in jobs)


def test_health_and_ready_follow_what_is_there(tmp_path: Path, tiny_model: Path) -> None:
    with served(settings_for(tmp_path, tiny_model)) as api:
        client = api.client(None)
        assert client.get("/ready").status_code == 503
        assert client.get("/ready").json()["workers"] == 0
        Presence(api.service.engine).beat("one", api.service.recipe)
        ready = client.get("/ready")
        assert ready.status_code == 200
        assert ready.json() == {
            "status": "ready",
            "database": "ok",
            "disk": "ok",
            "workers": 1,
        }
        with api.service.engine.begin() as connection:
            workers.drop(connection)
        broken = client.get("/ready")
        assert (broken.status_code, broken.json()["database"]) == (503, "no_answer")
        assert client.get("/health").json() == {"status": "ok"}
        samples = samples_of(api.client().get("/metrics").text)
        assert value(samples, "pleura_store_up") == 0
        assert value(
            samples, "pleura_http_requests_total", method="GET", route="/health", status="200"
        )
