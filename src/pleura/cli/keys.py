"""`pleura keys`: make, list and revoke the keys of the REST API."""

from datetime import datetime
from typing import Annotated

import typer

from pleura.cli.console import say
from pleura.cli.service_options import SettingsFile, opened

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command()
def make(
    name: Annotated[str, typer.Argument(help="Who uses it; the audit log shows this name.")],
    role: Annotated[
        str, typer.Option(help="read results; submit images, too; or admin, which may do all.")
    ],
    settings: SettingsFile = None,
) -> None:
    """Make a key and print it, this once: only its hash is stored."""
    from pleura.service.keys import KeyStore, Role

    if role not in tuple(Role):
        raise typer.BadParameter(f"there are: {', '.join(Role)}", param_hint="--role")
    service = opened(settings)
    try:
        say(KeyStore(service.engine).make(name, Role(role)))
    finally:
        service.close()


@app.command(name="list")
def list_keys(settings: SettingsFile = None) -> None:
    """List all keys, the revoked ones too."""
    from pleura.service.keys import KeyStore

    service = opened(settings)
    try:
        for key in KeyStore(service.engine).all_keys():
            revoked = f"  revoked {_day(key.revoked_at)}" if key.revoked_at else ""
            say(f"{key.name:<24} {key.role:<7} made {_day(key.created_at)}{revoked}")
    finally:
        service.close()


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Name of the key.")], settings: SettingsFile = None
) -> None:
    """Make a key invalid, at once and for ever."""
    from pleura.service.keys import KeyStore

    service = opened(settings)
    try:
        KeyStore(service.engine).revoke(name)
        say(f"The key {name} is revoked.")
    finally:
        service.close()


def _day(moment: datetime) -> str:
    return moment.date().isoformat()
