"""Stored images judged by another model: what is compared, what is left out, what is written."""

import csv
import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from service_images import image
from sqlalchemy import text
from typer.testing import CliRunner

from pleura.cli.main import app
from pleura.errors import ModelError
from pleura.inference import Predictor, Refusal
from pleura.inference.manifest import Calibration, Manifest, OperatingPoint
from pleura.quality import Limit
from pleura.quality.spec import FAULTS
from pleura.service.errors import StoreError
from pleura.service.intake import Intake
from pleura.service.recheck import Agreement, recheck
from pleura.service.settings import Settings
from pleura.service.store import Job
from pleura.service.store.clock import utc_now
from pleura.service.store.engine import open_as_it_is, reading, writing
from pleura.service.wiring import Service, open_service
from tiny_gate import add_gate
from tiny_model import write_model

POSITIVES, NEGATIVES = 3, 5


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Only scores are written: nothing else is looked at here."""
    worker = settings.worker.model_copy(update={"formats": ()})
    return settings.model_copy(update={"worker": worker})


@pytest.fixture
def judged(service: Service, run_jobs: Callable[[Service], int]) -> list[Job]:
    """Jobs of three positive and five negative images, done by the tiny model."""
    jobs = [
        take(service.intake, number, positive=number < POSITIVES)
        for number in range(POSITIVES + NEGATIVES)
    ]
    assert run_jobs(service) == len(jobs)
    return [service.jobs.get(job.id) for job in jobs]


def take(intake: Intake, number: int, positive: bool) -> Job:
    with intake.open() as spooled:
        spooled.write(image(number, positive=positive))
        return intake.take(spooled, name="someone.dcm", source="test")


def model(folder: Path, *, intercept: float = 0.0, **changes: Any) -> str:
    """A tiny model whose log odds are higher by the intercept, as a new version."""
    calibration = Calibration(method="platt", slope=1.0, intercept=intercept)
    write_model(folder, calibration=calibration)
    manifest = Manifest.read(folder)
    manifest.model_copy(update={"version": "0.1.0"} | changes).write(folder)
    return str(folder)


def decided(decisions: Agreement) -> tuple[int, int, int, int]:
    return (
        decisions.both_positive,
        decisions.only_stored,
        decisions.only_new,
        decisions.both_negative,
    )


def test_the_same_weights_change_nothing(
    service: Service, judged: list[Job], tmp_path: Path
) -> None:
    made, pairs = recheck(service.settings, model(tmp_path / "same"))
    assert (made.n, len(pairs)) == (8, 8)
    assert decided(made.decisions[0]) == (POSITIVES, 0, 0, NEGATIVES)
    assert [point.stored_point for point in made.decisions] == ["balanced", "sensitive"]
    assert (made.flips, made.flip_rate, made.rank_correlation) == ((), 0.0, pytest.approx(1.0))
    assert made.shift is not None
    assert made.shift.mean_absolute < 1e-6
    assert made.timing_ratio is not None
    assert made.timing_ratio > 0
    stored = {job.id: job.outcome.probability for job in judged if job.outcome is not None}
    assert {pair.job: pair.stored for pair in pairs} == stored


def test_a_bolder_model_flips_jobs_and_names_them(
    service: Service, judged: list[Job], tmp_path: Path
) -> None:
    made, _ = recheck(service.settings, model(tmp_path / "bold", intercept=8.0))
    negative = {job.id for job in judged[POSITIVES:]}
    assert decided(made.decisions[0]) == (POSITIVES, 0, NEGATIVES, 0)
    assert {flip.job for flip in made.flips} == negative
    assert all(flip.stored < 0.5 <= flip.new for flip in made.flips)
    assert made.flip_rate == NEGATIVES / 8
    low, high = made.decisions[0].flip_interval
    assert low < made.flip_rate < high
    assert made.decisions[0].p == pytest.approx(2 * 0.5**NEGATIVES)
    assert made.shift is not None
    assert made.shift.mean > 0.5
    assert made.new_model.version == "0.1.0"


def test_images_that_are_gone_or_damaged_are_counted(
    service: Service, judged: list[Job], tmp_path: Path
) -> None:
    service.files.input_path(judged[0].received.sha256).unlink()
    service.files.input_path(judged[1].received.sha256).write_bytes(b"something else")
    made, pairs = recheck(service.settings, model(tmp_path / "new"))
    assert (made.n, made.missing, made.damaged) == (6, 1, 1)
    assert {pair.job for pair in pairs} == {job.id for job in judged[2:]}


def test_images_that_the_new_model_refuses_are_counted(
    service: Service, judged: list[Job], tmp_path: Path
) -> None:
    lenient = dict.fromkeys(FAULTS, Limit(warn=1.0, refuse=1.0))  # only want of contrast is refused
    new = add_gate(Path(model(tmp_path / "new")), lenient)
    alone = Predictor.load(new, threads=1)
    refused = Counter(
        result.code
        for result in alone.predict_many(
            [service.files.input_path(job.received.sha256) for job in judged]
        )
        if isinstance(result, Refusal)
    )
    assert 0 < refused.total() < len(judged)
    made, pairs = recheck(service.settings, str(new))
    assert (made.refused, made.failed) == (dict(refused), {})
    assert made.n == len(pairs) == len(judged) - refused.total()


def test_the_newest_come_first_and_old_ones_can_be_left_out(
    service: Service, judged: list[Job], tmp_path: Path
) -> None:
    new = model(tmp_path / "new")
    _, pairs = recheck(service.settings, new, limit=3)
    assert [pair.job for pair in pairs] == [job.id for job in reversed(judged[-3:])]
    made, pairs = recheck(service.settings, new, since=judged[4].received_at)
    assert made.n == 4
    assert recheck(service.settings, new, since=utc_now() + timedelta(days=1))[0].n == 0


def test_jobs_of_another_recipe_are_left_out(
    settings: Settings, judged: list[Job], tmp_path: Path
) -> None:
    other = settings.model.model_copy(update={"operating_point": "sensitive"})
    changed = settings.model_copy(update={"model": other})
    made, _ = recheck(changed, model(tmp_path / "new"))
    assert (made.n, made.other_recipe) == (0, len(judged))


def test_models_with_other_default_points_are_compared_as_they_would_decide(
    service: Service, judged: list[Job], tmp_path: Path
) -> None:
    points = (
        OperatingPoint(name="own", threshold=0.2, sensitivity=0.9, specificity=0.7),
        OperatingPoint(name="balanced", threshold=0.6, sensitivity=0.8, specificity=0.9),
    )
    new = model(tmp_path / "new", operating_points=points, default_operating_point="own")
    made, _ = recheck(service.settings, new)
    named = [(one.stored_point, one.new_point, one.new_threshold) for one in made.decisions]
    assert named == [("balanced", "own", 0.2), ("balanced", "balanced", 0.6)]


def test_a_point_that_the_new_model_lacks_is_said_before_anything_is_judged(
    settings: Settings, judged: list[Job], tmp_path: Path
) -> None:
    points = (OperatingPoint(name="own", threshold=0.2, sensitivity=0.9, specificity=0.7),)
    new = model(tmp_path / "new", operating_points=points, default_operating_point="own")
    wanted = settings.model.model_copy(update={"operating_point": "sensitive"})
    with pytest.raises(ModelError, match="no operating point 'sensitive'"):
        recheck(settings.model_copy(update={"model": wanted}), new)


def test_nothing_in_the_store_is_changed(
    service: Service, judged: list[Job], tmp_path: Path
) -> None:
    def rows() -> list[Any]:
        with reading(service.engine) as connection:
            return [
                connection.execute(text(f"SELECT * FROM {table}")).all()
                for table in ("jobs", "deliveries", "events", "workers")
            ]

    before = rows()
    recheck(service.settings, model(tmp_path / "bold", intercept=8.0))
    assert rows() == before


def test_a_store_of_another_version_is_left_alone(either_settings: Settings) -> None:
    """The running service is of the older version: its database must not be upgraded under it."""
    service = open_service(either_settings)
    open_as_it_is(either_settings.storage).dispose()
    with writing(service.engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(StoreError, match="another version"):
        open_as_it_is(either_settings.storage)
    with reading(service.engine) as connection:
        version = connection.execute(text("SELECT version_num FROM alembic_version"))
        assert version.scalar_one() == "0000"
    service.close()


def test_no_store_is_made(settings: Settings) -> None:
    with pytest.raises(StoreError, match="no job store"):
        open_as_it_is(settings.storage)
    assert not settings.storage.folder.exists()


def call(settings: Settings, folder: Path, *arguments: str) -> Any:
    path = folder / "pleura.toml"
    path.write_text(
        f'[storage]\nfolder = "{settings.storage.folder}"\n'
        f'[model]\nmodel = "{settings.model.model}"\nthreads = 1\n'
    )
    given = ["recheck", "--settings", str(path), *arguments]
    return CliRunner().invoke(app, given, env={"COLUMNS": "160"})


def test_the_command_shows_writes_and_judges_the_bound(
    settings: Settings, judged: list[Job], tmp_path: Path
) -> None:
    bold = model(tmp_path / "bold", intercept=8.0)
    out = tmp_path / "out"
    shown = call(settings, tmp_path, "--model", bold, "-o", str(out), "--max-flips", "0.5")
    assert shown.exit_code == 1, shown.output
    assert "8 images compared; left out: none" in shown.output
    assert "62.50%" in shown.output
    assert f"would change: job {judged[-1].id}" in shown.output
    assert "not a medical device" in shown.output
    written = json.loads((out / "recheck.json").read_text())
    assert written["schema"] == "pleura.recheck/1"
    assert len(written["flips"]) == NEGATIVES
    rows = list(csv.DictReader((out / "scores.csv").open()))
    assert {row["job"] for row in rows} == {job.id for job in judged}
    for secret in ("someone.dcm", "2.25.7700", "Synthetic"):
        for text_of in (shown.output, json.dumps(written), (out / "scores.csv").read_text()):
            assert secret not in text_of
    assert call(settings, tmp_path, "--model", bold, "--max-flips", "0.7").exit_code == 0
    as_json = call(settings, tmp_path, "--model", bold, "--json")
    assert as_json.exit_code == 0
    assert json.loads(as_json.stdout)["n"] == 8


def test_the_command_says_when_there_is_nothing_to_compare(
    service: Service, tmp_path: Path
) -> None:
    shown = call(service.settings, tmp_path, "--model", model(tmp_path / "new"))
    assert shown.exit_code == 3
    assert "0 images compared" in shown.output
