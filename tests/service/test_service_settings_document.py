"""docs/service-settings.md lists every field as the models have it."""

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pydantic_core
import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from pleura.service.settings import Settings
from pleura.service.settings.destinations import DicomDestination, StowDestination
from pleura.service.settings.section import Section

DOCUMENT = Path(__file__).parents[2] / "docs" / "service-settings.md"
HEAD = ["| field | type | default | meaning |", "|---|---|---|---|"]
UNIONS = (typing.Union, types.UnionType)


def tables() -> Iterator[tuple[str, type[BaseModel]]]:
    """Headings and their models; sections within a section stand behind it."""
    for name, field in Settings.model_fields.items():
        if name == "destinations":
            for model in (DicomDestination, StowDestination):
                yield from _with_inner(f"`[[destinations]]` of kind `{kind_of(model)}`", model)
        else:
            yield from _with_inner(f"`[{name}]`", typing.cast("type[BaseModel]", field.annotation))


def kind_of(model: type[BaseModel]) -> str:
    (kind,) = typing.get_args(model.model_fields["kind"].annotation)
    return str(kind)


def _with_inner(heading: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield heading, model
    for name, field in model.model_fields.items():
        for inner in sections_in(field.annotation):
            yield from _with_inner(f"{heading}: `{name}`", inner)


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [found for part in typing.get_args(annotation) for found in sections_in(part)]


def table(model: type[BaseModel]) -> str:
    rows = [
        f"| `{name}` | {kind(field.annotation)}{bounds(field)} | {default(field)} |"
        f" {field.description} |"
        for name, field in model.model_fields.items()
    ]
    return "\n".join([*HEAD, *rows])


def kind(annotation: Any) -> str:
    """A type in the words of TOML."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return kind(parts[0])
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in UNIONS:
        return " or ".join(kind(part) for part in parts if part is not type(None))
    if origin is tuple:
        return f"list of {kind(parts[0])}"
    if origin is dict:
        return "table"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "table, see below"
    names = {int: "whole number", float: "number", bool: "true or false", SecretStr: "secret text"}
    return names.get(annotation, "text")


def bounds(field: FieldInfo) -> str:
    """The range of a number in words."""
    words = {Ge: "from", Gt: "above", Le: "to", Lt: "below"}
    said = [
        f"{words[type(bound)]} {getattr(bound, type(bound).__name__.lower())}"
        for bound in field.metadata
        if type(bound) in words
    ]
    return f", {' '.join(said)}" if said else ""


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be set"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "unset"
    if isinstance(value, Path):
        value = str(value)
    return f"`{pydantic_core.to_json(value).decode()}`"


@pytest.mark.parametrize(("heading", "model"), [*tables()], ids=str)
def test_every_field_stands_in_the_document(heading: str, model: type[BaseModel]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    wanted = f"## {heading}\n\n{table(model)}\n"
    assert table(model) in section, f"wanted in {DOCUMENT.name}:\n\n{wanted}"


def test_every_field_is_described() -> None:
    for heading, model in tables():
        for name, field in model.model_fields.items():
            assert field.description, f"{heading} {name}"
            assert "|" not in field.description, f"{heading} {name}"


def test_the_document_has_no_section_that_the_models_lack() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    headings = [line for line in text.splitlines() if line.startswith("## `[")]
    assert headings == [f"## {heading}" for heading, _ in tables()]
