"""docs/training.md against the configuration that it describes."""

import re

import pytest
import yaml
from pydantic import BaseModel

from pleura.training.config import TrainingConfig

REQUIRED = "required"


def _fields(model: type[BaseModel], prefix: str = "", default=None):
    """Dotted key and default of every field."""
    for name, field in model.model_fields.items():
        key, kind = prefix + name, field.annotation
        value = REQUIRED
        if default is not None:
            value = getattr(default, name)
        elif not field.is_required():
            value = field.get_default()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields(kind, f"{key}.", None if value == REQUIRED else value)
        else:
            yield key, value


FIELDS = dict(_fields(TrainingConfig))


@pytest.fixture(scope="module")
def documented(pytestconfig):
    text = (pytestconfig.rootpath / "docs" / "training.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    assert len({key for key, _, _ in rows}) == len(rows), "a key is documented twice"
    return {key: default.strip().strip("`") for key, default, _ in rows}


def test_every_key_is_documented_and_no_other(documented):
    assert set(documented) == set(FIELDS)


@pytest.mark.parametrize("key", FIELDS)
def test_the_documented_default_is_the_real_one(documented, key):
    expected = FIELDS[key]
    if expected == REQUIRED:
        assert documented[key] == REQUIRED
        return
    assert yaml.safe_load(documented[key]) == _as_yaml(expected)


def _as_yaml(value):
    if isinstance(value, tuple):
        return [_as_yaml(item) for item in value]
    return value if isinstance(value, int | float | dict | None) else str(value)
