"""Uploads over a real socket: raw, form, archive; with and without waiting; what is too much."""

import io
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_service import Served, png, run_all, served, settings_for, working
from service_images import image
from service_tools import until

from pleura.outputs import PredictionRecord, RefusalRecord
from pleura.service.keys import Role
from pleura.service.settings.api import ApiSettings
from pleura.service.settings.storage import StorageSettings
from pleura.service.store import State

SOON = {"wait": 20}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Served]:
    """An API with a worker."""
    settings = settings_for(tmp_path_factory.mktemp("api"), tiny_model)
    with served(settings) as running, working(running.service):
        yield running


@pytest.fixture
def client(api: Served) -> httpx.Client:
    return api.client(Role.SUBMIT)


def archive(members: dict[str, bytes], **options: Any) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", **options) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return stream.getvalue()


def items_of(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code in (200, 202), response.text
    items: list[dict[str, Any]] = response.json()["items"]
    assert [item["index"] for item in items] == list(range(len(items)))
    return items


def test_one_image_as_a_raw_body_is_answered_with_its_prediction(client: httpx.Client) -> None:
    (item,) = items_of(client.post("/v1/predictions", params=SOON, content=image(1)))
    assert item["state"] == "done"
    record = PredictionRecord.model_validate(item["prediction"])
    assert record.present
    assert record.sop_instance_uid == "2.25.7700.1.1"
    assert record.input == item["job"]["id"]  # not the sender's name for it
    assert item["job"]["sop_instance_uid"] == "2.25.7700.1.1"
    assert item["job"]["study_instance_uid"] == "2.25.7700.2.1"


def test_without_waiting_the_answer_is_202_with_a_link_to_the_job(client: httpx.Client) -> None:
    response = client.post("/v1/predictions", content=image(2))
    (item,) = items_of(response)
    if response.status_code == 202:  # the worker may have been faster
        assert int(response.headers["retry-after"]) > 0
        assert item["prediction"] is None
    link = item["job"]["links"]["self"]
    deadline = time.monotonic() + 20
    while (job := client.get(link).json())["state"] != "done":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert job["present"] is True


def test_the_same_image_again_is_the_earlier_job(client: httpx.Client) -> None:
    (first,) = items_of(client.post("/v1/predictions", params=SOON, content=image(3)))
    again = client.post("/v1/predictions", content=image(3))
    (second,) = items_of(again)
    assert again.status_code == 200
    assert second["job"]["id"] == first["job"]["id"]
    assert second["prediction"] == first["prediction"]


def test_many_files_of_a_form_have_their_items_in_order_and_a_bad_one_stops_none(
    client: httpx.Client,
) -> None:
    files = [
        ("a", ("first.dcm", image(4))),
        ("b", ("notes.txt", b"these are no pixels")),
        ("c", ("empty.dcm", b"")),
        ("d", ("dark.png", png(1))),
        ("e", ("cut.dcm", image(5)[:2000])),
        ("f", ("last.dcm", image(6))),
    ]
    items = items_of(client.post("/v1/predictions", params=SOON, files=files))
    assert [item["name"] for item in items] == [name for _, (name, _) in files]
    assert [item["state"] for item in items] == [
        "done",
        "refused",
        "rejected",
        "done",
        "refused",
        "done",
    ]
    refusal = RefusalRecord.model_validate(items[1]["prediction"])
    assert refusal.error.code == items[1]["job"]["error"]["code"] == "not_an_image"
    assert items[2]["job"] is None
    assert items[2]["error"]["code"] == "not_an_image"
    assert items[3]["prediction"]["present"] is False
    assert items[4]["prediction"]["error"]["code"] == "truncated"


def test_members_of_archives_stand_in_their_place(client: httpx.Client) -> None:
    packed = archive(
        {"a/1.dcm": image(7), "a/Thumbs.db": b"litter", "b/2.png": png(2), "inner.zip": archive({})}
    )
    files = [("f", ("0.dcm", image(8))), ("f", ("all.zip", packed)), ("f", ("9.png", png(3)))]
    items = items_of(client.post("/v1/predictions", params=SOON, files=files))
    assert [(item["name"], item["state"]) for item in items] == [
        ("0.dcm", "done"),
        ("a/1.dcm", "done"),
        ("b/2.png", "done"),
        ("inner.zip", "refused"),  # an archive inside an archive is not opened
        ("9.png", "done"),
    ]


def test_an_archive_as_a_raw_body(client: httpx.Client) -> None:
    packed = archive({"x.png": png(4), "y.png": png(5)}, compression=zipfile.ZIP_DEFLATED)
    headers = {"content-type": "application/zip"}
    response = client.post("/v1/predictions", params=SOON, content=packed, headers=headers)
    assert [item["state"] for item in items_of(response)] == ["done", "done"]


def test_a_damaged_or_empty_archive_is_one_rejected_item(client: httpx.Client) -> None:
    files = [
        ("f", ("cut.zip", archive({"x.png": png(6)})[:-10])),
        ("f", ("none.zip", archive({}))),
        ("f", ("good.png", png(7))),
    ]
    items = items_of(client.post("/v1/predictions", params=SOON, files=files))
    assert [item["state"] for item in items] == ["rejected", "rejected", "done"]
    assert [item["error"] and item["error"]["code"] for item in items] == [
        "truncated",
        "not_an_image",
        None,
    ]


def test_a_dicom_file_whose_preamble_looks_like_an_archive_is_an_image(
    client: httpx.Client,
) -> None:
    both = b"PK\x03\x04" + image(9)[4:]
    (item,) = items_of(client.post("/v1/predictions", params=SOON, content=both))
    assert item["state"] == "done"


def test_a_result_of_pleura_is_not_judged_again(client: httpx.Client) -> None:
    (item,) = items_of(client.post("/v1/predictions", params=SOON, content=image(10)))
    picture = client.get(item["job"]["links"]["sc"]).content
    (again,) = items_of(client.post("/v1/predictions", params=SOON, content=picture))
    assert again["state"] == "rejected"
    assert again["error"]["code"] == "own_result"


def test_a_body_sent_in_pieces_without_a_length(client: httpx.Client) -> None:
    content = image(11)

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(content), 777):
            yield content[start : start + 777]

    (item,) = items_of(client.post("/v1/predictions", params=SOON, content=pieces()))
    assert item["prediction"]["sop_instance_uid"] == "2.25.7700.1.11"


def test_the_deadline_passes_without_a_worker(tmp_path: Path, tiny_model: Path) -> None:
    with served(settings_for(tmp_path, tiny_model)) as api:
        client = api.client()
        began = time.monotonic()
        response = client.post("/v1/predictions", params={"wait": 0.4}, content=image(20))
        assert 0.3 < time.monotonic() - began < 10
        assert response.status_code == 202
        assert items_of(response)[0]["state"] == "received"


def test_a_server_that_is_stopped_answers_those_who_wait(tmp_path: Path, tiny_model: Path) -> None:
    with served(settings_for(tmp_path, tiny_model)) as api, ThreadPoolExecutor() as threads:
        client = api.client()
        waiting = threads.submit(
            client.post, "/v1/predictions", params={"wait": 60}, content=png(1)
        )
        until(lambda: api.service.jobs.counts()[State.RECEIVED] == 1)
        began = time.monotonic()
        api.stop()
        assert waiting.result(20).status_code == 202
        assert time.monotonic() - began < 15


def test_a_full_queue_is_429_and_what_fitted_was_taken(tmp_path: Path, tiny_model: Path) -> None:
    storage = StorageSettings(folder=tmp_path / "data", reserve_gib=0.01, queue_limit=2)
    with served(settings_for(tmp_path, tiny_model, storage=storage)) as api:
        client = api.client()
        files = [("f", (f"{number}.png", png(number))) for number in range(4)]
        response = client.post("/v1/predictions", files=files)
        assert response.status_code == 202
        items = items_of(response)
        assert [item["state"] for item in items] == ["received"] * 2 + ["rejected"] * 2
        assert items[2]["error"]["code"] == "busy"

        refused = client.post("/v1/predictions", content=png(10))
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "busy"
        assert int(refused.headers["retry-after"]) > 0
        assert api.service.jobs.counts()[State.RECEIVED] == 2

        run_all(api.service)
        assert client.post("/v1/predictions", content=png(10)).status_code == 202
        # What was not taken is not left lying.
        assert len(list((tmp_path / "data" / "inputs").glob("??/*"))) == 3
        assert list(api.service.files.spool.iterdir()) == []


def test_a_full_disk_is_429_before_anything_is_received(tmp_path: Path, tiny_model: Path) -> None:
    storage = StorageSettings(folder=tmp_path / "data", reserve_gib=1e6)
    with served(settings_for(tmp_path, tiny_model, storage=storage)) as api:
        response = api.client().post("/v1/predictions", content=image(1))
        assert response.status_code == 429
        assert "disk" in response.json()["error"]["message"]
        assert api.client().get("/ready").json()["disk"] == "full"


def test_limits_of_files_and_bytes(tmp_path: Path, tiny_model: Path) -> None:
    limits = ApiSettings(port=0, file_mib=0.1, request_mib=0.4, files=3)
    small, large = png(1), b"\0" * 110_000
    with served(settings_for(tmp_path, tiny_model, api=limits)) as api, working(api.service):
        client = api.client()

        def codes(files: list[tuple[str, bytes]]) -> list[str | None]:
            parts = [("f", part) for part in files]
            items = items_of(client.post("/v1/predictions", params=SOON, files=parts))
            return [item["error"] and item["error"]["code"] for item in items]

        # A file that is too large stops no other one of a form; alone it is refused.
        assert codes([("a", large), ("b", small)]) == ["too_large", None]
        alone = client.post("/v1/predictions", content=large)
        assert (alone.status_code, alone.json()["error"]["code"]) == (413, "too_large")
        # An archive may be larger than an image, and its members may not.
        packed = archive({"a": large, "b": png(2), "c": bytes(100_000)})
        assert codes([("z.zip", packed)]) == ["too_large", None, None]
        # What archives unpack to counts as well.
        bombs = archive({name: bytes(100_000) for name in "abc"}, compression=zipfile.ZIP_DEFLATED)
        more = archive({"d": bytes(99_999) + b"x"}, compression=zipfile.ZIP_DEFLATED)
        assert codes([("1.zip", more), ("2.png", small)]) == [None, None]
        tight = ApiSettings(port=0, file_mib=0.1, request_mib=0.2, files=3)
        assert len(bombs) < 2000
        # Too many files, too many members: nothing is taken.
        before = sum(api.service.jobs.counts().values())
        many = {str(number): png(100 + number) for number in range(4)}
        for content in (
            {"files": [("f", (name, part)) for name, part in many.items()]},
            {"content": archive(many)},
            {
                "files": [
                    ("f", ("z.zip", archive(dict(list(many.items())[:3])))),
                    ("f", ("x", small)),
                ]
            },
        ):
            refused = client.post("/v1/predictions", **content)  # type: ignore[arg-type]
            assert refused.status_code == 413
            assert refused.json()["error"]["code"] == "request_too_large"
        assert sum(api.service.jobs.counts().values()) == before
    with served(settings_for(tmp_path / "tight", tiny_model, api=tight)) as api:
        response = api.client().post("/v1/predictions", content=bombs)
        items = items_of(response)
        assert [item["error"] and item["error"]["code"] for item in items] == [
            None,
            None,
            "too_large",
        ]
