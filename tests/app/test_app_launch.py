"""`pleura app`: what it listens to, what it refuses, and that it tells nobody."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from pleura.app.launch import check_free, options
from pleura.app.settings import VARIABLE, AppSettings
from pleura.cli.main import main
from pleura.errors import ConfigError


def test_the_page_listens_to_this_machine_alone_and_is_protected() -> None:
    chosen = options(AppSettings(), "127.0.0.1", 8501)
    assert chosen["server.address"] == "127.0.0.1"
    assert chosen["server.enableXsrfProtection"] is True
    assert chosen["server.enableCORS"] is True
    assert set(chosen["server.allowedHosts"]) == {"127.0.0.1", "localhost", "::1"}
    assert chosen["browser.gatherUsageStats"] is False
    assert chosen["client.showErrorDetails"] == "none"
    assert chosen["server.maxUploadSize"] == 200


def test_every_option_is_one_of_streamlits() -> None:
    config = pytest.importorskip("streamlit.config")
    known = set(config.get_config_options())
    assert set(options(AppSettings(), "0.0.0.0", 1, ["here"], browser=True)) <= known


def test_another_address_is_served_under_the_names_that_are_given() -> None:
    assert options(AppSettings(), "0.0.0.0", 1)["server.allowedHosts"] == []
    named = options(AppSettings(), "0.0.0.0", 1, ["pleura.hospital"])
    assert named["server.allowedHosts"] == ["pleura.hospital"]


def test_settings_survive_the_way_to_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    given = AppSettings(model="m", root=Path("/films"), max_files=7, keep_images=True)
    given.to_environment()
    assert AppSettings.from_environment() == given
    assert "m" in json.loads(os.environ[VARIABLE]).values()
    monkeypatch.delenv(VARIABLE)
    assert AppSettings.from_environment() == AppSettings()


def test_a_taken_port_is_told_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="cannot listen"):
            check_free("127.0.0.1", taken.getsockname()[1])


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, list[Any]]:
    """The command with a Streamlit that does not start; its status, and what it would get."""
    started: list[Any] = []
    monkeypatch.setattr("pleura.app.launch.run", lambda *given: started.extend(given))
    monkeypatch.setattr("pleura.app.launch.check_free", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        main(["app", *arguments])
    return int(ended.value.code or 0), started


def test_the_command_hands_everything_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_model: Path, capsys: Any
) -> None:
    status, (settings, chosen) = run(
        monkeypatch,
        *("--model", str(tiny_model), "--root", str(tmp_path), "--port", "9000"),
        *("--feedback", str(tmp_path / "f.sqlite"), "--keep-images", "--max-files", "5"),
        *("--operating-point", "sensitive", "--gate", "warn", "--max-upload-mib", "3"),
    )
    assert status == 0
    assert settings.root == tmp_path
    assert (settings.gate, settings.max_files, settings.operating_point) == ("warn", 5, "sensitive")
    assert chosen["server.port"] == 9000
    assert chosen["server.maxUploadSize"] == 3
    said = capsys.readouterr().out
    assert "http://127.0.0.1:9000" in said
    assert "not a medical device" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("--model", "nowhere"),
        ("--operating-point", "wild"),
        ("--gate", "perhaps"),
        ("--root", "nowhere"),
        ("--evaluation", "nowhere"),
        ("--keep-images",),
    ],
)
def test_what_cannot_work_is_told_before_the_page_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    status, started = run(monkeypatch, *arguments)
    assert status == 2
    assert started == []


def test_a_file_for_feedback_that_cannot_be_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    status, started = run(monkeypatch, "--feedback", str(tmp_path / "nowhere" / "f.sqlite"))
    assert status == 4
    assert started == []


def test_a_log_in_is_missed_where_others_may_reach_the_page(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    status, _ = run(monkeypatch, "--host", "0.0.0.0", "--allow-host", "pleura.hospital")
    assert status == 0
    assert "no log-in" in capsys.readouterr().out
