"""The page over the REST API: the same films, lists and files, judged by a service."""

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
from app_films import COLUMNS, ROWS, dicom, png

pytest.importorskip("fastapi", reason="the service needs pleura[serve]")
pytest.importorskip("sqlalchemy", reason="the service needs pleura[serve]")

from app_service import Service, serving_api

from pleura.app.cases import Case, Entry, Refused, Source, Upload
from pleura.app.client import POINT, RemoteEngine, ServiceError
from pleura.app.engine import LocalEngine
from pleura.app.rendering import mask_of
from pleura.app.settings import KEY_VARIABLE, VARIABLE, AppSettings
from pleura.app.takeaway import Kind


@pytest.fixture(scope="module")
def service(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving_api(tmp_path_factory.mktemp("service"), tiny_model, wait_seconds=1.0) as running:
        yield running


def engine_of(service: Service, role: str = "submit") -> RemoteEngine:
    settings = AppSettings(api_url=service.url)
    return RemoteEngine(settings, service.keys.get(role, role), pause_seconds=0.05)


def judge(engine: RemoteEngine, content: bytes, name: str = "film") -> Entry:
    return engine.judge("id", 1, Source(Upload(name, content)))


def test_a_service_says_what_this_process_would(service: Service, tiny_engine: LocalEngine) -> None:
    for number, positive in ((1, True), (2, False)):
        content = dicom(number, positive)
        case = judge(engine_of(service), content, "here.dcm")
        own = tiny_engine.judge("id", 1, Source(Upload("here.dcm", content)))
        assert isinstance(case, Case)
        assert isinstance(own, Case)
        said, expected = case.results[POINT], own.results["balanced"]
        assert said.present == positive
        assert said.probability == expected.probability
        assert said.operating_point == expected.operating_point
        assert (mask_of(said) == mask_of(expected)).all()
        assert said.input == "here.dcm"
        assert case.shape == (ROWS, COLUMNS)
        assert case.thumbnail == own.thumbnail


def test_what_a_service_refuses_keeps_its_code_and_hint(service: Service) -> None:
    refused = judge(engine_of(service), b"Dear colleague", "letter.txt")
    assert isinstance(refused, Refused)
    assert refused.refusal.code == "not_an_image"
    assert refused.refusal.hint
    assert refused.refusal.input == "letter.txt"


def test_files_come_from_the_service(service: Service) -> None:
    engine = engine_of(service)
    case = judge(engine, dicom(3))
    assert isinstance(case, Case)
    assert engine.kinds(case) == (Kind.OVERLAY, Kind.SEG, Kind.SR)  # as its settings say
    made = pydicom.dcmread(io.BytesIO(engine.take(case, POINT, Kind.SEG)))
    assert (made.pixel_array.astype(bool) == mask_of(case.results[POINT])).all()
    assert engine.take(case, POINT, Kind.OVERLAY).startswith(b"\x89PNG")
    with pytest.raises(ServiceError):
        engine.take(case, POINT, Kind.SC)


def test_a_slow_service_is_waited_for(service: Service) -> None:
    service.working.clear()
    threading.Timer(2.0, service.working.set).start()  # beyond what an upload waits for
    case = judge(engine_of(service), png(77))
    assert isinstance(case, Case)
    assert case.results[POINT].present


@pytest.mark.parametrize(
    ("key", "code"), [("wrong", "no_key"), ("", "no_key"), ("read", "forbidden")]
)
def test_a_key_that_may_not_is_told(service: Service, key: str, code: str) -> None:
    refused = judge(engine_of(service, key), png(0))
    assert isinstance(refused, Refused)
    assert refused.refusal.code == code
    assert refused.refusal.status.value == "failed"


def test_a_service_that_is_not_there_is_told() -> None:
    engine = RemoteEngine(AppSettings(api_url="http://127.0.0.1:9"), "", pause_seconds=0.01)
    refused = judge(engine, png(0))
    assert isinstance(refused, Refused)
    assert refused.refusal.code == "service"
    assert "cannot be reached" in refused.refusal.message
    with pytest.raises(ServiceError):
        engine.work_list()


def test_the_work_list_opens_films_that_came_from_elsewhere(service: Service) -> None:
    sender = engine_of(service)
    first = judge(sender, dicom(60, positive=True))
    second = judge(sender, dicom(61, positive=False))
    assert isinstance(first, Case)
    assert isinstance(second, Case)
    admin = engine_of(service, "admin")
    sources = admin.work_list()
    jobs = [source.job for source in sources]
    assert jobs.index(first.job) < jobs.index(second.job)
    case = admin.judge("id", 1, sources[jobs.index(first.job)])
    assert isinstance(case, Case)
    assert case.results[POINT].present
    assert (admin.radiograph(case).pixels == sender.radiograph(first).pixels).all()
    assert first.job in case.source.readable.name


def test_a_key_without_the_right_to_the_film_gets_the_picture(service: Service) -> None:
    sent = judge(engine_of(service), dicom(62))
    assert isinstance(sent, Case)
    reader = engine_of(service, "read")
    source = next(one for one in reader.work_list() if one.job == sent.job)
    case = reader.judge("id", 1, source)
    assert isinstance(case, Case)
    assert case.shape == (ROWS, COLUMNS)
    assert [notice.code for notice in case.results[POINT].quality.warnings][
        -1
    ] == "picture_of_service"
    assert np.ptp(reader.radiograph(case).pixels) > 0.5


def answering(*answers: httpx.Response) -> RemoteEngine:
    """An engine whose service gives these answers, the last one again and again."""
    left = list(answers)

    def answer(_: httpx.Request) -> httpx.Response:
        return left.pop(0) if len(left) > 1 else left[0]

    settings = AppSettings(api_url="http://service")
    return RemoteEngine(settings, "", httpx.MockTransport(answer), pause_seconds=0.001)


def test_a_busy_service_is_asked_again(service: Service) -> None:
    error = {"error": {"code": "busy", "message": "Full.", "hint": "Later."}}
    small = {"code": "too_small", "message": "Small.", "hint": "Grow."}
    item = {"state": "rejected", "job": None, "prediction": None, "error": small}
    rejected = {"items": [item]}
    engine = answering(
        httpx.Response(429, json=error),
        httpx.Response(503, json=error),
        httpx.Response(200, json=rejected),
    )
    refused = judge(engine, png(0))
    assert isinstance(refused, Refused)
    assert refused.refusal.code == "too_small"


NO_RECORD = {"state": "done", "job": {"id": "1"}, "prediction": {"schema": "pleura.prediction/9"}}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, json={"items": []}),
        httpx.Response(200, json={"items": [NO_RECORD]}),
        httpx.Response(500, text="<html>proxy</html>"),
    ],
)  # fmt: skip
def test_nonsense_is_told_as_such(answer: httpx.Response) -> None:
    refused = judge(answering(answer), png(0))
    assert isinstance(refused, Refused)
    assert refused.refusal.status.value == "failed"
    assert refused.refusal.code == "service"


@pytest.fixture
def remote_app(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The page over the service."""
    testing = pytest.importorskip("streamlit.testing.v1", reason="the page needs pleura[app]")
    entry = Path(__file__).parents[2] / "src" / "pleura" / "app" / "entry" / "main.py"
    monkeypatch.setenv(VARIABLE, AppSettings(api_url=service.url).model_dump_json())
    monkeypatch.setenv(KEY_VARIABLE, service.keys["admin"])
    yield testing.AppTest.from_file(str(entry), default_timeout=60).run()
    import streamlit

    streamlit.cache_resource.clear()


def test_the_page_reads_through_the_service(remote_app: Any) -> None:
    files = [("a.dcm", dicom(70), ""), ("b.dcm", dicom(71, False), ""), ("c.txt", b"text", "")]
    remote_app.file_uploader[0].set_value(files).run()
    assert not remote_app.exception
    said = "\n".join(str(element.value) for element in (*remote_app.markdown, *remote_app.caption))
    assert "3 films: 1 with a pneumothorax, 1 without, 1 not judged" in said
    assert "**balanced**: Of 100 films with a pneumothorax, 80 are found" in said
    labels = {button.label for button in remote_app.download_button}
    assert "Segmentation (DICOM SEG)" in labels
    assert "Picture (DICOM SC)" not in labels


def test_the_page_opens_the_work_list(remote_app: Any, service: Service) -> None:
    judge(engine_of(service), dicom(72))
    button = next(b for b in remote_app.button if "work list" in b.label)
    button.click().run()
    assert not remote_app.exception
    assert len(remote_app.session_state["pleura"].tray.cases) >= 1
