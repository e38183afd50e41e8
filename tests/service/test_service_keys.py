"""Keys: shown once, stored hashed, valid until revoked; and the commands around them."""

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pleura.cli.main import app, main
from pleura.service.errors import KeyNameError, UnknownKeyError
from pleura.service.keys import KeyStore, Role
from pleura.service.settings.storage import StorageSettings
from pleura.service.store import open_engine
from pleura.service.store.tables import api_keys
from pleura.service.wiring import Service


@pytest.fixture
def keys(either_service: Service) -> KeyStore:
    return KeyStore(either_service.engine)


def test_a_key_is_found_by_its_secret_and_by_nothing_else(keys: KeyStore) -> None:
    secret = keys.make("ward-7", Role.SUBMIT)
    found = keys.find(secret)
    assert found is not None
    assert (found.name, found.role, found.revoked_at) == ("ward-7", Role.SUBMIT, None)
    last = "A" if secret[-1] != "A" else "B"
    for wrong in (secret[:-1] + last, secret[:-1], secret + "A", "", "pleura_", "ward-7", "é" * 50):
        assert keys.find(wrong) is None


def test_a_secret_has_256_bits_and_only_its_hash_is_stored(either_service: Service) -> None:
    keys = KeyStore(either_service.engine)
    secrets = {keys.make(f"k{number}", Role.READ) for number in range(20)}
    assert len(secrets) == 20
    # 43 characters of 6 bits hold the 256.
    assert all(re.fullmatch(r"pleura_[A-Za-z0-9_-]{43}", secret) for secret in secrets)
    with either_service.engine.connect() as connection:
        rows = connection.execute(api_keys.select()).all()
    stored = {value for row in rows for value in row if isinstance(value, str)}
    assert {hashlib.sha256(secret.encode()).hexdigest() for secret in secrets} <= stored
    assert not any(secret[7:] in value for secret in secrets for value in stored)


def test_a_revoked_key_is_not_found_and_its_name_is_not_given_again(keys: KeyStore) -> None:
    assert not keys.has_any()
    secret = keys.make("old", Role.READ)
    assert keys.has_any()
    keys.revoke("old")
    assert keys.find(secret) is None
    assert not keys.has_any()
    (shown,) = keys.all_keys()
    assert shown.revoked_at is not None
    assert abs((datetime.now(UTC) - shown.revoked_at).total_seconds()) < 60
    with pytest.raises(UnknownKeyError):
        keys.revoke("old")
    with pytest.raises(KeyNameError):
        keys.make("old", Role.READ)


def test_a_name_that_could_be_misread_is_refused(service: Service) -> None:
    for name in ("", "a b", "a/b", "é", "x" * 65, "a\n", "../a"):
        with pytest.raises(KeyNameError):
            KeyStore(service.engine).make(name, Role.READ)


def test_a_role_may_do_what_those_before_it_may() -> None:
    may = {role: {needed for needed in Role if role.covers(needed)} for role in Role}
    assert may == {
        Role.READ: {Role.READ},
        Role.SUBMIT: {Role.READ, Role.SUBMIT},
        Role.ADMIN: {Role.READ, Role.SUBMIT, Role.ADMIN},
    }


def test_the_commands_make_list_and_revoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEURA_STORAGE__FOLDER", str(tmp_path / "data"))
    runner = CliRunner()
    made = runner.invoke(app, ["keys", "make", "ward-7", "--role", "submit"])
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    store = KeyStore(open_engine(StorageSettings(folder=tmp_path / "data")))
    found = store.find(secret)
    assert found is not None
    assert found.role is Role.SUBMIT

    listed = runner.invoke(app, ["keys", "list"]).stdout
    assert "ward-7" in listed
    assert "submit" in listed
    assert secret not in listed
    assert runner.invoke(app, ["keys", "revoke", "ward-7"]).exit_code == 0
    assert store.find(secret) is None
    assert "revoked" in runner.invoke(app, ["keys", "list"]).stdout


def test_the_commands_say_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PLEURA_STORAGE__FOLDER", str(tmp_path / "data"))
    for arguments, said in (
        (["keys", "make", "a b", "--role", "read"], "[key_name]"),
        (["keys", "revoke", "nobody"], "[unknown_key]"),
        (["keys", "make", "a", "--role", "king"], "there are: read, submit, admin"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
