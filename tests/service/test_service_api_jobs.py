"""Jobs over a real socket: pages, every result, what there is before and after, a second try."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pydicom
import pytest
from api_service import Served, png, run_all, served, settings_for
from service_images import image
from sqlalchemy import update

from pleura.outputs import PredictionRecord, RefusalRecord
from pleura.service.keys import Role
from pleura.service.store import Failure
from pleura.service.store.tables import jobs

UNKNOWN = "0" * 32


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Served]:
    """An API without a worker: tests judge when they want to."""
    settings = settings_for(tmp_path_factory.mktemp("api"), tiny_model)
    with served(settings) as running:
        yield running


@pytest.fixture(scope="module")
def client(api: Served) -> httpx.Client:
    return api.client(Role.ADMIN)


def sent(client: httpx.Client, content: bytes) -> dict[str, Any]:
    """The job of an upload."""
    job: dict[str, Any] = client.post("/v1/predictions", content=content).json()["items"][0]["job"]
    return job


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_every_result_of_a_dicom_image(api: Served, client: httpx.Client) -> None:
    job = sent(client, image(1))
    assert set(job["links"]) == {"self", "deliveries"}
    assert code_of(client.get(f"/v1/jobs/{job['id']}/prediction")) == (409, "not_finished")
    assert code_of(client.get(f"/v1/jobs/{job['id']}/overlay.png")) == (409, "not_finished")
    run_all(api.service)
    links = client.get(job["links"]["self"]).json()["links"]
    assert set(links) == {"self", "deliveries", "prediction", "overlay", "seg", "sr", "sc"}

    record = PredictionRecord.model_validate(client.get(links["prediction"]).json())
    assert record.sop_instance_uid == "2.25.7700.1.1"
    picture = client.get(links["overlay"])
    assert picture.headers["content-type"] == "image/png"
    decoded = cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    for kind, modality in (("seg", "SEG"), ("sr", "SR"), ("sc", "DX")):
        response = client.get(links[kind])
        assert response.headers["content-type"] == "application/dicom"
        assert f'{job["id"]}.{kind}.dcm"' in response.headers["content-disposition"]
        dataset = pydicom.dcmread(io.BytesIO(response.content))
        assert dataset.StudyInstanceUID == "2.25.7700.2.1"
        assert dataset.Modality == modality or kind == "sc"
    assert client.get(f"/v1/jobs/{job['id']}/input").content == image(1)


def test_a_png_has_no_dicom_results(api: Served, client: httpx.Client) -> None:
    job = sent(client, png(1))
    run_all(api.service)
    links = client.get(job["links"]["self"]).json()["links"]
    assert set(links) == {"self", "deliveries", "prediction", "overlay"}
    assert code_of(client.get(f"/v1/jobs/{job['id']}/seg.dcm")) == (404, "no_such_result")


def test_a_refused_image_has_a_refusal_and_no_files(api: Served, client: httpx.Client) -> None:
    job = sent(client, b"no image at all")
    run_all(api.service)
    shown = client.get(job["links"]["self"]).json()
    assert (shown["state"], shown["error"]["code"]) == ("refused", "not_an_image")
    assert (shown["probability"], shown["present"]) == (None, None)
    refusal = RefusalRecord.model_validate(client.get(shown["links"]["prediction"]).json())
    assert refusal.status == "refused"
    assert code_of(client.get(f"/v1/jobs/{job['id']}/overlay.png")) == (404, "no_such_result")


def test_a_job_that_was_given_up_says_why_and_can_be_tried_anew(
    api: Served, client: httpx.Client
) -> None:
    job = sent(client, image(2))
    here = f"/v1/jobs/{job['id']}"
    assert code_of(client.post(f"{here}/requeue")) == (409, "not_given_up")
    claimed = api.service.jobs.claim("worker", api.service.recipe)
    assert claimed is not None
    api.service.jobs.fail(claimed, Failure("broken", "It broke.", "Mend it."), final=True)
    record = RefusalRecord.model_validate(client.get(f"{here}/prediction").json())
    assert (record.status, record.error.code, record.input) == ("failed", "broken", job["id"])
    assert client.post(f"{here}/requeue").json()["state"] == "received"
    run_all(api.service)
    assert client.get(here).json()["state"] == "done"


def test_results_and_images_that_were_removed_are_gone(api: Served, client: httpx.Client) -> None:
    job = sent(client, image(3))
    run_all(api.service)
    found = api.service.jobs.get(job["id"])
    assert found.outcome is not None
    assert found.outcome.results is not None
    # Removed at this moment, as retention does: first the files, then the row.
    api.service.files.remove_results(found.outcome.results)
    assert code_of(client.get(f"/v1/jobs/{job['id']}/seg.dcm")) == (410, "result_removed")
    with api.service.engine.begin() as connection:
        connection.execute(
            update(jobs).where(jobs.c.id == job["id"]).values(results=None, input_kept=False)
        )
    assert code_of(client.get(f"/v1/jobs/{job['id']}/seg.dcm")) == (410, "result_removed")
    assert code_of(client.get(f"/v1/jobs/{job['id']}/input")) == (410, "result_removed")
    assert client.get(f"/v1/jobs/{job['id']}/prediction").status_code == 200


def test_a_damaged_image_is_not_handed_out(api: Served, client: httpx.Client) -> None:
    job = sent(client, image(4))
    path = api.service.files.input_path(api.service.jobs.get(job["id"]).received.sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert code_of(client.get(f"/v1/jobs/{job['id']}/input")) == (500, "input_corrupt")
    run_all(api.service)


def test_pages_hold_every_job_once_and_the_newest_first(api: Served, client: httpx.Client) -> None:
    made = [sent(client, png(100 + number))["id"] for number in range(7)]
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = client.get("/v1/jobs", params={"limit": 3, **after}).json()
        assert len(page["jobs"]) <= 3
        seen += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen[:7] == made[::-1]
    assert len(seen) == len(set(seen)) == sum(api.service.jobs.counts().values())
    exactly = client.get("/v1/jobs", params={"limit": len(seen)}).json()
    assert exactly["next"] is None
    run_all(api.service)


def test_filters_by_state_and_sender(api: Served, client: httpx.Client) -> None:
    other = api.client(Role.SUBMIT)
    waiting = sent(other, png(200))["id"]
    of_sender = client.get("/v1/jobs", params={"source": "api:submit"}).json()["jobs"]
    assert [job["id"] for job in of_sender] == [waiting]
    states = client.get("/v1/jobs", params=[("state", "received"), ("state", "running")]).json()
    assert [job["id"] for job in states["jobs"]] == [waiting]
    run_all(api.service)
    assert client.get("/v1/jobs", params={"state": "received"}).json()["jobs"] == []


def test_an_unknown_job_is_404_on_every_route(client: httpx.Client) -> None:
    rank = {"json": {"rank": 1}}
    asked = [
        client.get(f"/v1/jobs/{UNKNOWN}{rest}")
        for rest in ("", "/prediction", "/overlay.png", "/seg.dcm", "/input", "/deliveries")
    ]
    asked += [
        client.post(f"/v1/jobs/{UNKNOWN}/requeue"),
        client.put(f"/v1/worklist/{UNKNOWN}/rank", **rank),  # type: ignore[arg-type]
        client.delete(f"/v1/worklist/{UNKNOWN}/rank"),
        client.get("/v1/jobs", params={"after": UNKNOWN}),
    ]
    assert {code_of(response) for response in asked} == {(404, "unknown_job")}


def test_deliveries_of_a_job(tmp_path: Path, tiny_model: Path) -> None:
    destination = {"name": "pacs", "kind": "stow", "url": "http://127.0.0.1:9/dicom-web"}
    settings = settings_for(tmp_path, tiny_model, destinations=(destination,))
    with served(settings) as api:
        client = api.client()
        job = sent(client, image(1))
        (delivery,) = client.get(f"/v1/jobs/{job['id']}/deliveries").json()["deliveries"]
        assert (delivery["destination"], delivery["state"]) == ("pacs", "pending")
        run_all(api.service)
        claimed = api.service.deliveries.claim("sender", ["pacs"])
        assert claimed is not None
        failure = Failure("unreachable", "It does not answer.", "Look at it.")
        api.service.deliveries.failed(claimed, "sender", failure, final=True)
        (delivery,) = client.get(f"/v1/jobs/{job['id']}/deliveries").json()["deliveries"]
        assert (delivery["state"], delivery["error"]["code"]) == ("failed", "unreachable")


def test_the_record_goes_out_as_it_was_stored(api: Served, client: httpx.Client) -> None:
    job = sent(client, image(5))
    run_all(api.service)
    outcome = api.service.jobs.get(job["id"]).outcome
    assert outcome is not None
    assert client.get(f"/v1/jobs/{job['id']}/prediction").text == outcome.record
    again = client.post("/v1/predictions", content=image(5)).json()["items"][0]
    assert again["prediction"] == json.loads(outcome.record)
