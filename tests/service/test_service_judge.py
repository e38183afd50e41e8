"""One job: image in, results on disk, outcome in the store, whatever goes wrong in between."""

import json
import logging
from collections.abc import Callable
from io import BytesIO

import cv2
import numpy as np
import pydicom
import pytest
from service_images import dataset, image

from pleura import Predictor
from pleura.errors import NotFoundError
from pleura.service.errors import StoreUnavailableError
from pleura.service.judge import OVERLAY_NAME, RESULT_NAME, Judge
from pleura.service.recipe import load_predictor, recipe_of
from pleura.service.settings import Settings
from pleura.service.settings.work import ModelSettings
from pleura.service.store import Job, State
from pleura.service.wiring import Service

NAMES = {RESULT_NAME, OVERLAY_NAME, "seg.dcm", "sr.dcm", "sc.dcm"}


@pytest.fixture(scope="session")
def predictor(tiny_model: str) -> Predictor:
    return load_predictor(ModelSettings(model=str(tiny_model), threads=1))


@pytest.fixture
def judge(service: Service, predictor: Predictor) -> Judge:
    settings = service.settings.worker
    return Judge(predictor, service.recipe, service.files, service.jobs, settings, "judge")


def take(service: Service, content: bytes) -> Job:
    with service.intake.open() as spooled:
        spooled.write(content)
        return service.intake.take(spooled, name="sender's name.dcm", source="test")


def done(service: Service, judge: Judge, content: bytes) -> Job:
    job = take(service, content)
    worked = judge.work()
    assert worked is not None
    assert worked.id == job.id
    return service.jobs.get(job.id)


def test_there_may_be_nothing_to_do(judge: Judge) -> None:
    assert judge.work() is None


@pytest.mark.parametrize("positive", [True, False])
def test_a_dicom_image_is_judged_and_its_results_written(
    service: Service, judge: Judge, positive: bool
) -> None:
    job = done(service, judge, image(1, positive=positive))
    assert job.state is State.DONE
    assert job.outcome is not None
    assert job.outcome.results is not None
    assert job.outcome.present is positive
    assert dict(job.outcome.timings_ms).keys() >= {"decode", "total"}

    folder = service.files.results_path(job.outcome.results)
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    # Nothing is segmented in a negative, unless worker.seg_negatives asks for an empty one.
    assert written.keys() == (NAMES if positive else NAMES - {"seg.dcm"})
    assert job.outcome.results_size == sum(map(len, written.values()))
    assert written[RESULT_NAME].decode() == job.outcome.record
    record = json.loads(job.outcome.record)
    assert record["input"] == job.id  # and not the sender's name
    assert record["probability"] == pytest.approx(job.outcome.probability, abs=1e-6)
    report = pydicom.dcmread(BytesIO(written["sr.dcm"]))
    assert report.StudyInstanceUID == dataset(1).StudyInstanceUID


def test_only_the_formats_that_are_wanted_are_written(
    service: Service, predictor: Predictor
) -> None:
    settings = service.settings.worker.model_copy(update={"formats": ("sr",)})
    judge = Judge(predictor, service.recipe, service.files, service.jobs, settings, "judge")
    job = done(service, judge, image())
    assert job.outcome is not None
    assert job.outcome.results is not None
    folder = service.files.results_path(job.outcome.results)
    assert {path.name for path in folder.iterdir()} == {RESULT_NAME, "sr.dcm"}


def test_a_raster_image_has_no_dicom_objects(service: Service, judge: Judge) -> None:
    picture = np.random.default_rng(1).integers(0, 255, (256, 256), dtype=np.uint8)
    job = done(service, judge, cv2.imencode(".png", picture)[1].tobytes())
    assert job.state is State.DONE
    assert job.outcome is not None
    assert job.outcome.results is not None
    folder = service.files.results_path(job.outcome.results)
    assert {path.name for path in folder.iterdir()} == {RESULT_NAME, OVERLAY_NAME}


def test_what_does_not_fit_is_refused_with_its_reason(service: Service, judge: Judge) -> None:
    job = done(service, judge, b"no image at all")
    assert job.state is State.REFUSED
    assert job.failure is not None
    assert job.failure.code == "not_an_image"
    assert job.outcome is not None
    assert job.outcome.results is None
    assert json.loads(job.outcome.record)["status"] == "refused"


def test_a_damaged_image_is_given_up_at_once(service: Service, judge: Judge) -> None:
    job = take(service, image())
    path = service.files.input_path(job.received.sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    judge.work()
    job = service.jobs.get(job.id)
    assert (job.state, job.attempts) == (State.FAILED, 1)
    assert job.failure is not None
    assert job.failure.code == "input_corrupt"


def test_a_missing_image_may_come_back(service: Service, judge: Judge) -> None:
    job = take(service, image())
    service.files.input_path(job.received.sha256).unlink()
    judge.work()
    job = service.jobs.get(job.id)
    assert job.state is State.RECEIVED  # tried again later
    assert job.failure is not None
    assert job.failure.code == "input_missing"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(28, "No space left on device: /patient/name"), "internal_error"),
        (MemoryError(), "internal_error"),
        (RuntimeError("Doe^Jane"), "internal_error"),
        (NotFoundError("the file was there a moment ago"), "input_missing"),
    ],
)
def test_what_nobody_foresaw_is_tried_again_and_quotes_nothing(
    service: Service,
    predictor: Predictor,
    judge: Judge,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    code: str,
) -> None:
    def broken(_: object) -> None:
        raise error

    monkeypatch.setattr(judge, "_predictor", type("Broken", (), {"predict": staticmethod(broken)}))
    job = done(service, judge, image())
    assert job.state is State.RECEIVED
    assert job.failure is not None
    assert job.failure.code == code
    assert "Doe" not in str(job.failure)
    assert "patient" not in job.failure.message


def test_results_that_cannot_be_written_are_tried_again_and_leave_nothing(
    service: Service, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pleura.service import files

    sync = files.sync_folder
    job = take(service, image())
    monkeypatch.setattr(files, "sync_folder", _full_disk)
    judge.work()
    monkeypatch.setattr(files, "sync_folder", sync)
    assert service.jobs.get(job.id).state is State.RECEIVED
    assert list(service.files.stored_results("??")) == []


def _full_disk(_: object) -> None:
    raise OSError(28, "No space left on device")


def test_one_that_lost_its_lease_changes_nothing(
    service: Service, judge: Judge, caplog: pytest.LogCaptureFixture
) -> None:
    job = take(service, image())

    def lose(claimed: Job) -> None:
        service.jobs.release(claimed)
        service.jobs.claim("other", service.recipe)

    with caplog.at_level(logging.WARNING):
        judge.work(lose)
    assert "no longer this worker's" in caplog.text
    now = service.jobs.get(job.id)
    assert (now.state, now.lease_owner, now.outcome) == (State.RUNNING, "other", None)


def test_every_try_writes_into_a_folder_of_its_own(service: Service, judge: Judge) -> None:
    """One that is believed dead may still write while another one does the job."""
    job = take(service, image())
    judge.work(service.jobs.release)
    judge.work()
    outcome = service.jobs.get(job.id).outcome
    assert outcome is not None
    first, second = service.files.stored_results(job.id[:2])
    assert outcome.results in (first.name, second.name)


def test_a_database_that_is_away_for_a_while_is_waited_for(
    service: Service, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, calls = service.jobs.finish, []

    def away_at_first(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) < 3:
            raise StoreUnavailableError("away")
        finish(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("pleura.service.judge._RETRY_SECONDS", 0.01)
    monkeypatch.setattr(service.jobs, "finish", away_at_first)
    assert done(service, judge, image()).state is State.DONE
    assert len(calls) == 3


def test_an_answer_lost_after_the_commit_loses_no_result(
    service: Service, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database commits, and the connection breaks before it says so."""
    finish, calls = service.jobs.finish, []

    def silent_at_first(*arguments: object) -> None:
        finish(*arguments)  # type: ignore[arg-type]
        calls.append(arguments)
        if len(calls) == 1:
            raise StoreUnavailableError("the connection broke")

    monkeypatch.setattr("pleura.service.judge._RETRY_SECONDS", 0.01)
    monkeypatch.setattr(service.jobs, "finish", silent_at_first)
    job = done(service, judge, image())
    assert job.state is State.DONE
    assert job.outcome is not None
    assert job.outcome.results is not None
    assert service.files.results_path(job.outcome.results).is_dir()


class TestRecipes:
    def test_are_the_same_for_the_same_settings(self, settings: Settings) -> None:
        assert recipe_of(settings.model) == recipe_of(settings.model)

    @pytest.mark.parametrize(
        "change", [{"operating_point": "sensitive"}, {"gate": "warn"}, {"correct": True}]
    )
    def test_differ_with_what_decides(self, settings: Settings, change: dict[str, object]) -> None:
        changed = settings.model.model_copy(update=change)
        assert recipe_of(changed).sha256 != recipe_of(settings.model).sha256

    def test_do_not_differ_with_what_decides_nothing(self, settings: Settings) -> None:
        changed = settings.model.model_copy(update={"threads": 2})
        assert recipe_of(changed) == recipe_of(settings.model)


def test_the_whole_way_on_either_database(
    either_service: Service, run_jobs: Callable[[Service], int]
) -> None:
    jobs = [take(either_service, image(number)) for number in range(3)]
    assert run_jobs(either_service) == 3
    assert {either_service.jobs.get(job.id).state for job in jobs} == {State.DONE}
