"""`pleura jobs`: what stands where, and another try for what was given up."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from service_images import image
from service_stores import FAILURE, RECIPE, received

from pleura.cli.main import main
from pleura.service.settings import Settings
from pleura.service.store import DeliveryState, Job, State
from pleura.service.wiring import Service

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pleura(
    settings: Settings, logging_as_before: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Run:
    """Runs `pleura jobs`; returns status, stdout and stderr."""
    file = tmp_path / "pleura.toml"
    file.write_text(
        f'[storage]\nfolder = "{settings.storage.folder}"\n'
        f'[model]\nmodel = "{settings.model.model}"\n'
    )

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as raised:
            main(["jobs", *arguments, "--settings", str(file)])
        said = capsys.readouterr()
        return int(raised.value.code or 0), said.out, said.err

    return run


def take(service: Service, number: int, *destinations: str) -> Job:
    service.intake.destinations = destinations
    with service.intake.open() as spooled:
        spooled.write(image(number))
        return service.intake.take(
            spooled, name="Doe^Jane.dcm", source="test", study_instance_uid="2.25.77"
        )


def give_up(service: Service, number: int) -> Job:
    job = take(service, number)
    running = service.jobs.claim("w", service.recipe)
    assert running is not None
    assert running.id == job.id
    service.jobs.fail(running, FAILURE, final=True)
    return job


def test_list_shows_jobs_the_newest_first(
    service: Service, pleura: Run, run_jobs: Callable[[Service], int]
) -> None:
    failed = give_up(service, 1)
    done = take(service, 2)
    run_jobs(service)
    status, said, _ = pleura("list")
    first, second, count = said.splitlines()
    assert status == 0
    assert first.startswith(done.id)
    assert "done" in first
    assert "0.996" in first
    assert second.startswith(failed.id)
    assert f"{FAILURE.message} [{FAILURE.code}]" in second
    assert count.startswith("2 jobs.")

    assert pleura("list", "--limit", "1")[1].count(done.id) == 1
    assert failed.id not in pleura("list", "--limit", "1")[1]
    assert done.id not in pleura("list", "--state", "failed")[1]


def test_list_writes_json_lines_for_programs(service: Service, pleura: Run) -> None:
    job = give_up(service, 1)
    status, said, _ = pleura("list", "--jsonl")
    (record,) = map(json.loads, said.splitlines())
    assert status == 0
    assert record["id"] == job.id
    assert record["state"] == "failed"
    assert record["error"] == {
        "code": FAILURE.code,
        "message": FAILURE.message,
        "hint": FAILURE.hint,
    }
    assert "Doe" not in said
    assert "2.25.77" not in said


def test_list_shows_deliveries(
    service: Service, pleura: Run, run_jobs: Callable[[Service], int]
) -> None:
    job = take(service, 1, "PACS", "ARCHIVE")
    run_jobs(service)
    delivery = service.deliveries.claim("d", ["PACS"])
    assert delivery is not None
    service.deliveries.failed(delivery, "d", FAILURE, final=True)
    _, said, _ = pleura("list", "--deliveries")
    assert said.count(job.id) == 2
    assert said.splitlines()[-1].startswith("2 deliveries.")
    _, said, _ = pleura("list", "--deliveries", "--state", "failed", "--jsonl")
    (record,) = map(json.loads, said.splitlines())
    assert (record["id"], record["destination"]) == (delivery.id, "PACS")

    status, said, _ = pleura("requeue", "--deliveries", str(delivery.id))
    assert (status, said) == (0, "1 of 1 tried again.\n")
    assert {each.state for each in service.deliveries.of_job(job.id)} == {DeliveryState.WAITING}


@pytest.mark.parametrize(
    "arguments", [["--state", "nonsense"], ["--deliveries", "--state", "done"]]
)
def test_list_names_the_states_that_there_are(pleura: Run, arguments: list[str]) -> None:
    status, _, said = pleura("list", *arguments)
    assert status == 2
    assert "failed" in said


def test_show_tells_identifiers_only_when_asked(service: Service, pleura: Run) -> None:
    job = take(service, 1, "PACS")
    status, said, _ = pleura("show", job.id)
    shown = json.loads(said)
    assert status == 0
    assert shown["state"] == "received"
    assert [each["state"] for each in shown["deliveries"]] == ["pending"]
    assert "Doe" not in said
    assert "2.25.77" not in said
    shown = json.loads(pleura("show", job.id, "--identifiers")[1])
    assert (shown["name"], shown["study_instance_uid"]) == ("Doe^Jane.dcm", "2.25.77")


def test_an_unknown_job_is_said_so(pleura: Run) -> None:
    status, _, said = pleura("show", "0" * 32)
    assert status == 2
    assert "[unknown_job]" in said


def test_requeue_tries_again_what_was_given_up(service: Service, pleura: Run) -> None:
    jobs = [give_up(service, number) for number in range(3)]
    status, said, _ = pleura("requeue", jobs[0].id)
    assert (status, said) == (0, "1 of 1 tried again.\n")
    assert service.jobs.get(jobs[0].id).state is State.RECEIVED
    assert service.jobs.get(jobs[1].id).state is State.FAILED

    status, said, errors = pleura("requeue", jobs[0].id, jobs[1].id)
    assert (status, said) == (1, "1 of 2 tried again.\n")
    assert jobs[0].id in errors

    status, said, _ = pleura("requeue", "--all-failed")
    assert (status, said) == (0, "1 of 1 tried again.\n")
    assert service.jobs.counts()[State.RECEIVED] == 3


def test_requeue_of_all_leaves_out_what_another_job_has_taken_over(
    service: Service, pleura: Run
) -> None:
    old = service.jobs.submit(received(), RECIPE)
    new = service.jobs.submit(received(), service.recipe)
    running = service.jobs.claim("w", service.recipe)
    assert running is not None
    assert running.id == new.id
    assert service.jobs.get(old.id).state is State.FAILED
    assert pleura("requeue", "--all-failed")[:2] == (0, "0 of 0 tried again.\n")


@pytest.mark.parametrize(
    "arguments", [[], ["--all-failed", "0" * 32], ["--deliveries", "no number"]]
)
def test_requeue_wants_ids_or_all(pleura: Run, arguments: list[str]) -> None:
    assert pleura("requeue", *arguments)[0] == 2
