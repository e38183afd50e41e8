"""The sections together, and where they are read from."""

import tomllib
from pathlib import Path
from typing import Self

import pydantic_settings
from pydantic import ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from pleura.service.errors import SettingsError
from pleura.service.settings.api import ApiSettings
from pleura.service.settings.destinations import Destination
from pleura.service.settings.logs import LogSettings
from pleura.service.settings.node import NodeSettings
from pleura.service.settings.storage import StorageSettings
from pleura.service.settings.watch import WatchSettings
from pleura.service.settings.work import ModelSettings, WorkerSettings


class Settings(BaseSettings):
    """Everything that can be set; `docs/service-settings.md` lists it."""

    model_config = SettingsConfigDict(
        env_prefix="PLEURA_",
        env_nested_delimiter="__",
        extra="ignore",  # the environment holds other names that begin so
        frozen=True,
    )

    storage: StorageSettings = StorageSettings()
    model: ModelSettings = ModelSettings()
    worker: WorkerSettings = WorkerSettings()
    node: NodeSettings = NodeSettings()
    api: ApiSettings = ApiSettings()
    watch: WatchSettings = WatchSettings()
    logs: LogSettings = LogSettings()
    destinations: tuple[Destination, ...] = ()

    @model_validator(mode="after")
    def _lease_outlives_job(self) -> Self:
        if self.worker.lease_seconds <= self.worker.job_seconds:
            raise ValueError(
                "worker.lease_seconds must be above worker.job_seconds, or two workers do one job"
            )
        return self

    @model_validator(mode="after")
    def _destinations_differ(self) -> Self:
        names = [destination.name for destination in self.destinations]
        if len(set(names)) != len(names):
            raise ValueError("two destinations have the same name")
        return self


def load_settings(path: Path | None = None) -> Settings:
    """Read the settings file, if there is one, and the environment over it.

    Args:
        path: TOML file; None for defaults and environment alone.

    Raises:
        SettingsError: the file cannot be read, or a value is wrong; the message names the field.
    """
    if path is not None:
        _check_file(path)

    class Sourced(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            file = TomlConfigSettingsSource(settings_cls, toml_file=path)
            return (init_settings, env_settings, file)

    try:
        return Settings.model_validate(Sourced().model_dump())
    except ValidationError as error:
        raise SettingsError(_described(error)) from None
    except pydantic_settings.SettingsError as error:  # what should be JSON is none
        raise SettingsError(f"In the environment: {error}.") from None


def _check_file(path: Path) -> None:
    """The file exists, is TOML, and has no section that nobody reads."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error}.") from error
    unknown = sorted(set(content) - set(Settings.model_fields))
    if unknown:
        known = ", ".join(Settings.model_fields)
        raise SettingsError(f"The settings have no section '{unknown[0]}'; there are: {known}.")


def _described(error: ValidationError) -> str:
    """The first wrong field and why, without its value, which may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "settings"
    message = first["msg"]
    if first["type"] == "union_tag_invalid":  # whose message quotes the value
        context = first.get("ctx", {})
        message = f"{context['discriminator']} must be one of {context['expected_tags']}"
    return f"{place}: {message}."
