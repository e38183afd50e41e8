"""What stands in deploy/: it loads, names what exists, and Orthanc's script does what it says."""

import json
import re
import shutil
import subprocess
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from pleura.cli.main import COMMANDS, app
from pleura.service.settings import Settings, load_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
PARTS = ("api", "node", "worker")


def runs(arguments: list[str]) -> None:
    """These are a command of Pleura, and options that it has."""
    name, *options = arguments
    assert name in COMMANDS
    command = get_command(app).get_command(None, name)  # type: ignore[union-attr, arg-type]
    known = {option for parameter in command.params for option in parameter.opts}
    assert set(options) <= known


def test_the_example_settings_load_and_name_every_section() -> None:
    text = (DEPLOY / "pleura.toml").read_text()
    assert set(tomllib.loads(text)) == set(Settings.model_fields)
    settings = load_settings(DEPLOY / "pleura.toml")
    assert settings.storage.folder == Path("/var/lib/pleura")
    assert [peer.ae_title for peer in settings.node.peers] == ["ORTHANC", "PACS"]
    assert [one.name for one in settings.destinations] == ["orthanc"]


def test_the_parts_of_the_example_that_are_commented_out_load_as_well(tmp_path: Path) -> None:
    text = (DEPLOY / "pleura.toml").read_text()
    setting = re.compile(r"^# (\[\[?[a-z.]+\]\]?|[a-z_]+ = .*)$", re.M)
    whole, count = setting.subn(r"\1", text)
    assert count > 8
    path = tmp_path / "pleura.toml"
    path.write_text(whole)
    settings = load_settings(path)
    assert settings.storage.database_url is not None
    assert settings.node.tls is not None
    assert [one.kind for one in settings.destinations] == ["dicom", "stow"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_start_commands_that_exist(path: Path) -> None:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(path.read_text())
    program, *arguments = unit["Service"]["ExecStart"].split()
    assert program == "/opt/pleura/bin/pleura"
    runs(arguments)
    stop = int(unit["Service"]["TimeoutStopSec"])
    settings = Settings()
    for seconds in (
        settings.worker.stop_seconds,
        settings.node.grace_seconds,
        settings.api.stop_seconds,
    ):
        assert stop > seconds
    for key in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "MemoryDenyWriteExecute"):
        assert unit["Service"][key] == "yes"
    assert unit["Service"]["ProtectSystem"] == "strict"
    assert unit["Service"]["Restart"] == "on-failure"


def test_there_is_a_unit_for_each_part() -> None:
    assert [path.stem for path in UNITS] == [f"pleura-{part}" for part in PARTS]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_understands_the_units(path: Path, tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    for file in (DEPLOY / "systemd").iterdir():
        text = file.read_text().replace("/opt/pleura/bin/pleura", "/bin/true")
        (tmp_path / file.name).write_text(text)
    verified = subprocess.run(
        [program, "verify", "--man=no", str(tmp_path / path.name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    complaints = [line for line in verified.stderr.splitlines() if "pleura" in line.lower()]
    assert (verified.returncode, complaints) == (0, [])
    # 0 is shut off from everything, 10 is open to everything.
    hardened = subprocess.run(
        [program, "security", "--offline=yes", "--threshold=20", str(tmp_path / path.name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert hardened.returncode == 0, hardened.stdout


def copied(dockerfile: str) -> list[str]:
    """What COPY takes from the repository."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.M)
    return [source for line in lines for source in line.split()[:-1]]


def test_the_image_is_made_of_files_that_exist_and_are_let_through() -> None:
    sources = copied((DEPLOY / "Dockerfile").read_text())
    assert "src" in sources
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for source in sources:
        assert (DEPLOY.parent / source).exists(), source
        assert f"!{source}" in ignored


def test_the_image_runs_as_nobody_special_and_starts_commands_that_exist() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    stages = re.split(r"^FROM ", text, flags=re.M)
    for stage in stages:
        user = re.search(r"^USER (.+)$", stage, re.M)
        assert user is None or user[1] == "10001:10001"
    assert "USER 10001:10001" in text
    for command in re.findall(r"^CMD (\[.+\])$", text, re.M):
        runs(json.loads(command))
    assert re.search(r"^HEALTHCHECK ", text, re.M)
    assert re.search(r"^ENTRYPOINT \[\"pleura\"\]$", text, re.M)


def test_compose_starts_every_part_with_commands_that_exist() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"postgres", *PARTS}
    for part in PARTS:
        runs(services[part]["command"])
        assert services[part]["healthcheck"]["test"][-1] == part
        assert services[part]["read_only"] is True
        assert services[part]["cap_drop"] == ["ALL"]
        assert services[part]["depends_on"]["postgres"]["condition"] == "service_healthy"
    dockerfile = (
        DEPLOY / services["api"]["build"]["context"] / services["api"]["build"]["dockerfile"]
    )
    assert dockerfile.resolve() == DEPLOY / "Dockerfile"


def test_compose_names_what_it_uses() -> None:
    for service in COMPOSE["services"].values():
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        named = {volume.partition(":")[0] for volume in service["volumes"]}
        assert named <= set(COMPOSE["volumes"])
    assert "ports" not in COMPOSE["services"]["postgres"]


def environment_names() -> set[str]:
    """Every variable of Pleura that deploy/ sets."""
    files = [*UNITS, DEPLOY / "Dockerfile", DEPLOY / "compose.yaml"]
    return {name for file in files for name in re.findall(r"PLEURA_[A-Z_]+", file.read_text())}


def test_only_variables_that_exist_are_set() -> None:
    fields = {
        f"PLEURA_{section}__{field}".upper()
        for section, info in Settings.model_fields.items()
        if hasattr(info.annotation, "model_fields")
        for field in info.annotation.model_fields
    }
    names = environment_names()
    assert "PLEURA_STORAGE__FOLDER" in names
    assert names - fields == {"PLEURA_SETTINGS"}


def test_orthanc_s_example_is_json() -> None:
    configuration = json.loads((DEPLOY / "orthanc" / "orthanc.json").read_text())
    peer = configuration["DicomModalities"]["pleura"]
    settings = load_settings(DEPLOY / "pleura.toml")
    assert (peer["AET"], peer["Port"]) == (settings.node.ae_titles[0], settings.node.port)
    (destination,) = settings.destinations
    assert destination.kind == "dicom"
    assert (destination.ae_title, destination.port, destination.calling_ae_title) == (
        configuration["DicomAet"],
        configuration["DicomPort"],
        peer["AET"],
    )
