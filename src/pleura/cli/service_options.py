"""What the commands of the service share: the settings file, and the service opened from it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pleura.service.settings import Settings
    from pleura.service.wiring import Service

SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        envvar="PLEURA_SETTINGS",
        help="Settings file, TOML; environment variables PLEURA_... override it.",
    ),
]


def settings_of(path: Path | None) -> "Settings":
    """Read the settings, and set up logging as they say.

    Raises:
        SettingsError: a setting is missing or wrong.
    """
    from pleura.service.logs import configure_logging
    from pleura.service.settings import load_settings

    settings = load_settings(path)
    configure_logging(settings.logs)
    return settings


def opened(path: Path | None) -> "Service":
    """The service of the settings, with its database brought to the newest version.

    Raises:
        SettingsError: a setting is missing or wrong.
        StoreError: the database cannot be opened.
        ModelError: there is no such model or operating point.
    """
    from pleura.service.wiring import open_service

    return open_service(settings_of(path))
