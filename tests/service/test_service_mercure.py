"""A module of mercure: the folders as mercure makes them, and what it finds in them afterwards."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from service_images import dataset, image

from pleura.service.mercure import run_module
from tiny_gate import add_gate, picture
from tiny_model import write_model

IDENTIFYING = ("2.25.7700", "Synthetic", "P1", "P2")


@pytest.fixture
def folders(tmp_path: Path, tiny_model: Path) -> tuple[Path, Path]:
    """In and out, with a task file as mercure writes it: a positive and a negative image."""
    incoming, outgoing = tmp_path / "in", tmp_path / "out"
    incoming.mkdir()
    outgoing.mkdir()
    put(incoming, 1, positive=True)
    put(incoming, 2, positive=False)
    write_task(incoming, {"model": str(tiny_model)})
    return incoming, outgoing


def put(folder: Path, number: int, positive: bool) -> None:
    header = dataset(number)
    name = f"{header.SeriesInstanceUID}#{header.SOPInstanceUID}"
    (folder / f"{name}.dcm").write_bytes(image(number, positive=positive))
    (folder / f"{name}.tags").write_text("{}")


def write_task(folder: Path, settings: dict[str, Any]) -> None:
    task = {
        "id": "1fd2",
        "info": {"uid": "2.25.7700.3.1", "uid_type": "series", "mrn": "P1", "acc": ""},
        "dispatch": {},
        "process": {"module_name": "pleura", "module_config": {}, "settings": settings},
    }
    (folder / "task.json").write_text(json.dumps(task))


def result_in(folder: Path) -> dict[str, Any]:
    text = (folder / "result.json").read_text()
    for secret in IDENTIFYING:
        assert secret not in text
    return json.loads(text)


def objects_in(folder: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for path in folder.glob("*.dcm"):
        header = dcmread(path, stop_before_pixels=True)
        assert path.name == f"{header.SeriesInstanceUID}#{header.SOPInstanceUID}.dcm"
        found.setdefault(header.Modality, []).append(header)
    return found


def test_results_are_written_for_mercure_to_send(folders: tuple[Path, Path]) -> None:
    incoming, outgoing = folders
    assert run_module(incoming, outgoing)
    made = objects_in(outgoing)
    assert {modality: len(found) for modality, found in made.items()} == {
        "SEG": 1,  # of the positive image alone
        "SR": 2,
        "OT": 2,
    }
    assert {one.PatientID for found in made.values() for one in found} == {"P1", "P2"}
    assert {path.suffix for path in outgoing.iterdir()} == {".dcm", ".json"}  # no image itself
    result = result_in(outgoing)
    positive, negative = result["images"]
    assert (positive["image"], positive["status"], positive["present"]) == (1, "ok", True)
    assert positive["written"] == ["seg", "sr", "sc"]
    assert positive["probability"] > 0.5 > negative["probability"]
    assert negative["written"] == ["sr", "sc"]
    assert result["positive"] == 1
    assert result["model"] == {"name": "tiny", "version": "0.0.1"}
    assert "not a medical device" in result["note"]


def test_mercure_is_asked_to_notify_when_something_was_found(folders: tuple[Path, Path]) -> None:
    incoming, outgoing = folders
    run_module(incoming, outgoing)
    notification = result_in(outgoing)["__mercure_notification"]
    assert notification["requested"] is True
    assert notification["text"].startswith("Pneumothorax on 1 of 2 images, probability up to 1.00")
    assert "not a medical device" in notification["text"]


def test_nothing_is_notified_without_a_finding(folders: tuple[Path, Path]) -> None:
    incoming, outgoing = folders
    for path in incoming.glob("2.25.7700.3.1#*"):
        path.unlink()
    assert run_module(incoming, outgoing)
    assert "__mercure_notification" not in result_in(outgoing)


def test_settings_of_the_rule_are_obeyed_and_those_of_others_passed_over(
    folders: tuple[Path, Path], tiny_model: Path
) -> None:
    incoming, outgoing = folders
    wanted = {"operating_point": "sensitive", "write": ["sr"], "pass_through": True}
    write_task(incoming, {"model": str(tiny_model), "another module's": 1} | wanted)
    assert run_module(incoming, outgoing)
    images = {path.name for path in incoming.glob("*.dcm")}
    written = {path.name for path in outgoing.glob("*.dcm")}
    assert images <= written
    assert len(written - images) == 2
    result = result_in(outgoing)
    assert result["operating_point"]["name"] == "sensitive"
    assert [one["written"] for one in result["images"]] == [["sr"], ["sr"]]


def test_an_unreadable_file_is_reported_and_the_others_are_judged(
    folders: tuple[Path, Path],
) -> None:
    incoming, outgoing = folders
    (incoming / "2.25.7700.3.0#2.25.7700.1.0.dcm").write_bytes(b"not an image")
    assert run_module(incoming, outgoing)
    first, *others = result_in(outgoing)["images"]
    assert (first["image"], first["status"], first["error"]["code"]) == (
        1,
        "refused",
        "not_an_image",
    )
    assert [one["status"] for one in others] == ["ok", "ok"]


def test_a_picture_that_must_not_be_judged_is_an_answer(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    """A lateral view in a series of its own must not end among mercure's errors."""
    incoming, outgoing = folders
    leave_nothing(incoming)
    lateral = dataset(4)
    pixels = picture(corner=1, side=lateral.Rows)  # as a lateral view looks to the tiny gate
    lateral.PixelData = (pixels * 255).astype("uint8").tobytes()
    lateral.save_as(incoming / "2.25.7700.3.4#2.25.7700.1.4.dcm", enforce_file_format=True)
    write_task(incoming, {"model": str(add_gate(write_model(tmp_path / "gated")))})
    assert run_module(incoming, outgoing)
    (image,) = result_in(outgoing)["images"]
    assert (image["status"], image["error"]["code"]) == ("refused", "picture_lateral")
    assert objects_in(outgoing) == {}


def leave_nothing(incoming: Path) -> None:
    for path in incoming.glob("*.dcm"):
        path.unlink()


def leave_rubbish(incoming: Path) -> None:
    for path in incoming.glob("*.dcm"):
        path.write_bytes(b"rubbish")


NOTHING_DONE = {
    "no image": (leave_nothing, {}, None),
    "only unreadable files": (leave_rubbish, {}, None),
    "a wrong setting": (lambda incoming: None, {"gate": "shut"}, "settings"),
    "no such model": (lambda incoming: None, {"model": "/no/such/model"}, "model_error"),
    "no such point": (lambda incoming: None, {"operating_point": "none"}, "model_error"),
}


@pytest.mark.parametrize("name", NOTHING_DONE)
def test_where_nothing_can_be_done_the_result_says_why(
    name: str, folders: tuple[Path, Path], tiny_model: Path
) -> None:
    incoming, outgoing = folders
    spoil, settings, code = NOTHING_DONE[name]
    spoil(incoming)
    write_task(incoming, {"model": str(tiny_model)} | settings)
    assert not run_module(incoming, outgoing)
    result = result_in(outgoing)
    assert result.get("error", {}).get("code") == code
    assert objects_in(outgoing) == {}


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"process": {}}', '{"process": []}', '{"process": {"settings": null}}']
)
def test_task_files_of_any_form_are_understood(folders: tuple[Path, Path], text: str) -> None:
    from pleura.service.errors import SettingsError
    from pleura.service.mercure import ModuleSettings, read_settings

    incoming, _ = folders
    (incoming / "task.json").write_text(text)
    if text == "{":
        with pytest.raises(SettingsError, match="cannot be read"):
            read_settings(incoming / "task.json")
    else:
        assert read_settings(incoming / "task.json") == ModuleSettings()
    assert read_settings(incoming / "none.json") == ModuleSettings()


def call(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    program = "from pleura.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "mercure", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_takes_its_folders_from_the_environment(folders: tuple[Path, Path]) -> None:
    incoming, outgoing = folders
    done = call(MERCURE_IN_DIR=str(incoming), MERCURE_OUT_DIR=str(outgoing))
    assert done.returncode == 0, done.stderr
    assert len(list(outgoing.glob("*.dcm"))) == 5
    assert result_in(outgoing)["positive"] == 1
    for secret in IDENTIFYING:  # mercure keeps what a module prints
        assert secret not in done.stdout + done.stderr


def test_the_command_fails_where_nothing_could_be_done(folders: tuple[Path, Path]) -> None:
    incoming, outgoing = folders
    leave_rubbish(incoming)
    assert call(str(incoming), str(outgoing)).returncode == 1
    assert call(str(incoming), str(outgoing / "missing")).returncode == 2
