"""The watch at work: once a day, told once, whatever the hooks do; and `pleura watch`."""

import json
import os
import shlex
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from watch_cases import FIRST, at, job_row, put

from pleura.cli.main import app
from pleura.inference.manifest import Manifest
from pleura.inference.predictor import Predictor
from pleura.inference.selftest import measure
from pleura.service.settings import Settings
from pleura.service.settings.work import ModelSettings
from pleura.service.store import State
from pleura.service.store.engine import reading
from pleura.service.watch import Code, daily, events, last_run, standing
from pleura.service.watch.selftest import run_selftest
from pleura.service.wiring import Service, open_service
from tiny_model import write_model

DAYS = 14


def watched(service: Service, **changes: Any) -> Service:
    """The same service with other settings of the watch, and without a self-test."""
    wanted = {"selftest": False, "min_images": 20, "reference_images": 100} | changes
    watch = service.settings.watch.model_copy(update=wanted)
    settings = service.settings.model_copy(update={"watch": watch})
    return Service(
        **{name: getattr(service, name) for name in Service.__slots__ if name != "settings"},
        settings=settings,
    )


def fill(service: Service, number: int, positive: int, images: int = 40, days: int = 1) -> None:
    """The jobs of some days, `positive` of each positive."""
    rows = [
        job_row(service, at(FIRST + timedelta(days=day)), score=0.9 if image < positive else 0.05)
        for day in range(number, number + days)
        for image in range(images)
    ]
    put(service, rows)


def morning(number: int) -> datetime:
    """When day `number` is over."""
    return at(FIRST, 24 * (number + 1) + 6)


def count(service: Service, kind: str) -> int:
    with reading(service.engine) as connection:
        return len(events.read(connection, kind))


@pytest.fixture
def practised(either_service: Service) -> Service:
    """A service after two ordinary weeks."""
    fill(either_service, 0, positive=4, days=DAYS)
    return watched(either_service)


def test_an_alarm_is_told_once_and_again_when_it_clears(practised: Service) -> None:
    assert daily(practised, morning(DAYS - 1)) == []
    fill(practised, DAYS, positive=30)
    told = daily(practised, morning(DAYS))
    assert {(one.code, one.raised) for one in told} >= {(Code.POSITIVE_RATE, True)}
    codes = {one.code for one in told}
    assert {one.code for one in standing(practised.engine)} == codes
    fill(practised, DAYS + 1, positive=30)
    assert daily(practised, morning(DAYS + 1)) == []  # they stand, and were told
    cleared = set()
    for number in range(DAYS + 2, DAYS + 10):  # until the bad days have left the week
        fill(practised, number, positive=4)
        cleared |= {one.code for one in daily(practised, morning(number)) if not one.raised}
    assert cleared == codes
    assert standing(practised.engine) == []


def test_a_process_works_once_a_day_and_when_it_starts(practised: Service) -> None:
    now = morning(DAYS - 1)
    daily(practised, now)
    daily(practised, now + timedelta(hours=3))
    assert count(practised, events.RUN) == 1
    assert last_run(practised) == now
    daily(practised, now + timedelta(hours=4), process="started later")
    assert count(practised, events.RUN) == 2
    daily(practised, now + timedelta(hours=24))
    assert count(practised, events.RUN) == 3


def test_a_run_before_the_day_is_over_is_not_the_day_s_run(practised: Service) -> None:
    """Or yesterday would be judged a day late: it is over some minutes after midnight."""
    midnight = at(FIRST, 24 * DAYS)
    for minute, days in ((1, DAYS - 1), (6, DAYS), (7, DAYS)):
        daily(practised, midnight + timedelta(minutes=minute))
        assert count(practised, events.DAY) == days


def test_several_processes_at_once_tell_once(practised: Service) -> None:
    daily(practised, morning(DAYS - 1))
    fill(practised, DAYS, positive=30)
    with ThreadPoolExecutor(4) as pool:
        told = list(
            pool.map(lambda number: daily(practised, morning(DAYS), f"keeper {number}"), range(4))
        )
    codes = [change.code for changes in told for change in changes]
    assert Code.POSITIVE_RATE in codes
    assert len(codes) == len(set(codes))


def test_without_jobs_there_is_nothing_to_tell(service: Service) -> None:
    assert daily(watched(service), morning(0)) == []


def test_a_watch_that_is_off_judges_nothing(practised: Service) -> None:
    assert daily(watched(practised, enabled=False), morning(DAYS - 1)) == []
    assert count(practised, events.DAY) == 0


class Mailbox(HTTPServer):
    """Takes what is posted; answers as it is told, and 200 in the end."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.bodies: list[dict[str, Any]] = []
        self.answers: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook/secret-token"


class _Taking(BaseHTTPRequestHandler):
    server: Mailbox

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.bodies.append(json.loads(self.rfile.read(length)))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    server = Mailbox()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_both_hooks_get_the_alarm_as_json(
    service: Service, mailbox: Mailbox, tmp_path: Path
) -> None:
    fill(service, 0, positive=4, days=DAYS)
    script = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')"
    command = (sys.executable, "-c", script, str(tmp_path / "told.jsonl"))
    mailbox.answers = [503]  # the second try gets through
    hooked = watched(service, alert_command=command, alert_url=mailbox.url)
    daily(hooked, morning(DAYS - 1))
    fill(service, DAYS, positive=30)
    told = daily(hooked, morning(DAYS))
    by_program = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert mailbox.bodies[1:] == by_program
    assert [one["code"] for one in by_program] == [one.code for one in told]
    first = by_program[0]
    assert first["schema"] == "pleura.alert/1"
    assert first["state"] == "raised"
    assert first["model"] == {"name": "tiny", "version": "0.0.1"}
    assert "not a medical device" in first["note"]


BROKEN = {
    "a program that fails": {"alert_command": (sys.executable, "-c", "raise SystemExit(3)")},
    "a program that hangs": {"alert_command": ("sleep", "60"), "alert_seconds": 0.2},
    "no such program": {"alert_command": ("/no/such/program",)},
    "nobody listens": {"alert_url": "http://127.0.0.1:9/hook/secret-token", "alert_attempts": 1},
    "not an address": {"alert_url": "http://[::bad/secret-token", "alert_attempts": 1},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_hook_that_fails_stops_nothing(
    name: str, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    fill(service, 0, positive=4)
    lost = [job_row(service, at(FIRST), state=State.FAILED, code="worker_died") for _ in range(10)]
    put(service, lost)
    told = daily(watched(service, **BROKEN[name]), morning(0))
    assert [one.code for one in told] == [Code.FAILURE_RATE]
    assert [one.code for one in standing(service.engine)] == [Code.FAILURE_RATE]
    assert count(service, events.RUN) == 1
    assert any(line.startswith("the alert ") for line in caplog.messages)
    assert "secret-token" not in caplog.text  # an address may hold a secret


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that records a self-test case as it is."""
    folder = write_model(tmp_path_factory.mktemp("recorded") / "tiny")
    predictor = Predictor.load(folder, threads=1)
    case = measure(predictor, 1, True)
    Manifest.read(folder).model_copy(update={"selftest": (case,)}).write(folder)
    return folder


def test_a_self_test_that_takes_too_long_is_ended(recorded: Path) -> None:
    made = run_selftest(ModelSettings(model=str(recorded)), seconds=0.01)
    assert (made.error, made.passed) == ("timeout", False)


def test_a_self_test_that_dies_is_a_failed_one(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pleura.service.watch.selftest._CHILD", "import os, signal; os.kill(os.getpid(), 9)"
    )
    assert run_selftest(ModelSettings(model=str(recorded)), seconds=60).error == "died"


def test_a_damaged_model_is_told_and_told_again_when_it_is_mended(
    settings: Settings, recorded: Path, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "model")
    manifest = Manifest.read(model)
    (case,) = Manifest.read(recorded).selftest
    wrong = case.model_copy(update={"probability": 1 - case.probability})
    manifest.model_copy(update={"selftest": (wrong,)}).write(model)
    watch = settings.watch.model_copy(update={"selftest": True})
    changed = settings.model_copy(update={"model": ModelSettings(model=str(model)), "watch": watch})
    service = open_service(changed)
    (told,) = daily(service, morning(0), "first start")
    assert (told.code, told.raised) == (Code.SELFTEST, True)
    assert "1 of 1 synthetic radiographs" in told.text
    (model / "classifier.onnx").write_bytes(b"damaged")
    assert daily(service, morning(0), "second start") == []  # still failing: nothing new
    assert run_selftest(changed.model, seconds=120).error == "model_error"
    write_model(model)
    manifest.model_copy(update={"selftest": (case,)}).write(model)
    (told,) = daily(service, morning(0), "third start")
    assert (told.code, told.raised) == (Code.SELFTEST, False)
    service.close()


def settings_file(service: Service, folder: Path) -> Path:
    storage, model = service.settings.storage, service.settings.model
    path = folder / "pleura.toml"
    path.write_text(
        f'[storage]\nfolder = "{storage.folder}"\n[model]\nmodel = "{model.model}"\n'
        "[watch]\nreference_images = 100\nmin_images = 20\n"
    )
    return path


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["watch", *arguments], env={"COLUMNS": "200"})


def test_the_command_shows_days_reference_and_alarms(service: Service, tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    ago = [today - timedelta(days=number) for number in range(16, -1, -1)]
    usual = [
        job_row(service, at(day, 1), score=0.9 if image < 4 else 0.05)
        for day in ago
        for image in range(40)
    ]
    put(service, [*usual, *(job_row(service, at(ago[-2], 1), score=0.9) for _ in range(40))])
    configured = ["--settings", str(settings_file(service, tmp_path))]
    shown = call(*configured, "--days", "3")
    assert shown.exit_code == 0, shown.output
    assert "No reference yet" in shown.output
    assert "has not run" in shown.output
    assert "-- tiny 0.0.1" in shown.output
    assert f"{ago[-1]}     40  10.0 (4.0-23.1)" in shown.output
    assert max(map(len, shown.output.splitlines())) <= 88
    daily(watched(service))
    span = (f"{ago[0]}", f"{ago[13]}")
    chosen = call(*configured, "--set-reference", *span)
    assert chosen.exit_code == 1, chosen.output
    assert f"Reference: {span[0]} to {span[1]}, chosen, 14 days" in chosen.output
    assert "ALARM positive_rate since" in chosen.output
    assert "not a medical device" in chosen.output
    lines = [json.loads(line) for line in call(*configured, "--jsonl").stdout.splitlines()]
    kinds = [line["kind"] for line in lines]
    assert kinds.count("day") == 14
    assert kinds.count("reference") == 1
    assert "positive_rate" in [line["code"] for line in lines if line["kind"] == "alarm"]
    worst = next(line for line in lines if line.get("day") == f"{ago[-2]}")
    assert worst["positive_rate"] == pytest.approx(44 / 80)
    assert worst["positive_rate_interval"][0] < 44 / 80 < worst["positive_rate_interval"][1]
    assert len(worst["score_deciles"]) == 9
    assert "scores" not in worst


@pytest.mark.parametrize("span", [("2026-01-05", "2026-01-04"), ("2026-01-05", "2999-01-01")])
def test_a_reference_that_cannot_be_is_wrong_usage(
    service: Service, tmp_path: Path, span: tuple[str, str]
) -> None:
    shown = call("--settings", str(settings_file(service, tmp_path)), "--set-reference", *span)
    assert shown.exit_code == 2
    assert "in order, and over" in shown.output


def test_the_command_writes_what_it_says_as_utf_8_for_programs(
    service: Service, tmp_path: Path
) -> None:
    """Through a real process, as a monitoring system calls it."""
    path = settings_file(service, tmp_path)
    command = f"{shlex.quote(sys.executable)} -c 'from pleura.cli.main import main; main()'"
    status = os.system(f"{command} watch --settings {shlex.quote(str(path))} --jsonl > /dev/null")
    assert os.waitstatus_to_exitcode(status) == 0
