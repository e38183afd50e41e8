"""Settings: a file, the environment over it, and errors that name the field and no secret."""

from pathlib import Path

import pytest

from pleura.service.errors import SettingsError
from pleura.service.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.startswith("PLEURA_"):
            monkeypatch.delenv(name)


def written(folder: Path, text: str) -> Path:
    path = folder / "pleura.toml"
    path.write_text(text)
    return path


def test_everything_has_a_default() -> None:
    assert load_settings() == Settings()


def test_the_file_is_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        [storage]
        folder = "/var/lib/pleura"
        [worker]
        count = 3
        formats = ["sr"]
        [[destinations]]
        kind = "dicom"
        name = "PACS"
        host = "pacs"
        port = 104
        ae_title = "PACS"
        """,
    )
    settings = load_settings(path)
    assert settings.storage.folder == Path("/var/lib/pleura")
    assert (settings.worker.count, settings.worker.formats) == (3, ("sr",))
    assert [destination.name for destination in settings.destinations] == ["PACS"]
    assert settings.storage.quota_gib == Settings().storage.quota_gib


def test_the_environment_overrides_single_fields_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "[worker]\ncount = 3\nattempts = 7\n")
    monkeypatch.setenv("PLEURA_WORKER__COUNT", "5")
    monkeypatch.setenv("PLEURA_STORAGE__DATABASE_URL", "postgresql://host/name")
    monkeypatch.setenv("PLEURA_WORKER__FORMATS", '["png"]')
    monkeypatch.setenv("PLEURA_SETTINGS", str(path))  # names the file; is no field
    settings = load_settings(path)
    assert (settings.worker.count, settings.worker.attempts) == (5, 7)
    assert settings.worker.formats == ("png",)
    assert settings.storage.database_url == "postgresql://host/name"


def test_nothing_is_changed_afterwards() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.worker.count = 2  # type: ignore[misc]


PACS = 'kind = "dicom"\nname = "A"\nhost = "h"\nport = 104\nae_title = "A"\n'


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[worker]\ncount = 0\n", "worker.count"),
        ("[worker]\ncount = 'secret'\n", "worker.count"),
        ("[worker]\ncuont = 1\n", "worker.cuont"),
        ("[wroker]\ncount = 1\n", "no section 'wroker'"),
        ("[worker]\njob_seconds = 60\nlease_seconds = 60\n", "above worker.job_seconds"),
        ("[worker]\nformats = ['secret']\n", "worker.formats"),
        ("[model]\ngate = 'secret'\n", "model.gate"),
        (f"[[destinations]]\n{PACS}[[destinations]]\n{PACS}", "same name"),
        ("[[destinations]]\nkind = 'secret'\nname = 'A'\n", "destinations.0"),
        ("no toml at all", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named_without_its_value(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(written(tmp_path, text))
    assert named in raised.value.message
    assert "secret" not in raised.value.message


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("PLEURA_WORKER__COUNT", "secret", "worker.count"),
        ("PLEURA_WORKER__CUONT", "1", "worker.cuont"),
        ("PLEURA_WORKER__FORMATS", "[secret", "worker"),
        ("PLEURA_WORKER", "{secret", "worker"),
        ("PLEURA_DESTINATIONS", "secret", "destinations"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named_as_well(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, named: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert named in raised.value.message.lower()
    assert "secret" not in raised.value.message


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b""])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "pleura.toml"
    if content is None:
        with pytest.raises(SettingsError, match=r"pleura\.toml"):
            load_settings(path)
        return
    path.write_bytes(content)
    if content:
        with pytest.raises(SettingsError, match=r"pleura\.toml"):
            load_settings(path)
    else:
        assert load_settings(path) == Settings()


def test_passwords_are_not_shown(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "[[destinations]]\nkind = 'stow'\nname = 'A'\nurl = 'https://pacs/dicom-web'\n"
        "username = 'u'\npassword = 'secret'\n",
    )
    assert "secret" not in repr(load_settings(path))
