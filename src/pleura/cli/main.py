"""The `pleura` program: its commands by name, each imported when it is called and not before."""

import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pleura import __version__
from pleura.cli.console import DISCLAIMER, complain, prepare_stdout
from pleura.errors import MissingDependencyError, OutputError, PleuraError

NOT_WRITTEN = 4


@dataclass(frozen=True, slots=True)
class _Command:
    """Where a command lives: a function, or a `typer.Typer` with commands of its own."""

    module: str
    attribute: str
    help: str


COMMANDS = {
    "predict": _Command("predict", "predict", "Judge files, folders, globs and zip archives."),
    "batch": _Command("batch", "batch", "Judge millions of files; can be killed and continued."),
    "demo": _Command("demo", "demo", "Judge synthetic radiographs made on the spot."),
    "selftest": _Command("selftest", "selftest", "Hold the model against its recorded results."),
    "models": _Command("models", "app", "What is installed, and what it claims."),
    "data": _Command("data", "app", "Index and report on SIIM-ACR data."),
    "train": _Command("train", "train", "Train a model on an indexed data set."),
    "average": _Command("average", "average", "Make one network of two, by their mean weights."),
    "evaluate": _Command("evaluate", "evaluate", "Measure a model on a split, with intervals."),
    "compare": _Command("compare", "compare", "Hold two evaluations on the same images together."),
    "calibrate": _Command(
        "calibrate", "calibrate", "Fit probability and thresholds to a site's own images."
    ),
    "export": _Command("export", "export", "Turn a training run into a model folder."),
    "bundle": _Command("bundle", "bundle", "Write a model as a MONAI bundle."),
    "app": _Command("app", "app", "Show films and findings to readers, in a browser."),
    "serve": _Command("serve", "serve", "Answer programs: the REST API."),
    "node": _Command("node", "node", "Take images from a PACS or a modality: the DICOM listener."),
    "worker": _Command("worker", "worker", "Judge what was received, and deliver the results."),
    "jobs": _Command("jobs", "app", "List, look at and requeue jobs and deliveries."),
    "keys": _Command("keys", "app", "Make and revoke the keys of the REST API."),
    "pull": _Command("pull", "pull", "Fetch radiographs from a DICOMweb server and judge them."),
    "watch": _Command("watch", "watch", "How the service does: scores, refusals, delays, alerts."),
    "recheck": _Command("recheck", "recheck", "Hold stored scores against another model's."),
    "mercure": _Command("mercure", "mercure", "Run as a module of mercure: a folder in, one out."),
}
# Top-level modules that come with an extra and not with the base install.
EXTRAS = {
    "train": frozenset(
        {
            "filelock",
            "jinja2",
            "lightning",
            "matplotlib",
            "monai",
            "onnx",
            "pandas",
            "pyarrow",
            "safetensors",
            "scipy",
            "sklearn",
            "tensorboard",
            "torch",
            "torchmetrics",
            "yaml",
        }
    ),
    "serve": frozenset(
        {
            "alembic",
            "anyio",
            "dicomweb_client",
            "fastapi",
            "h11",
            "multipart",
            "prometheus_client",
            "psycopg",
            "pydantic_settings",
            "pynetdicom",
            "python_multipart",
            "requests",
            "sqlalchemy",
            "starlette",
            "uvicorn",
        }
    ),
    "app": frozenset({"httpx", "reportlab", "streamlit"}),
    "scale": frozenset({"fsspec", "ray", "s3fs"}),
}


class LazyGroup(TyperGroup):
    """Finds a command by importing its file, so that one command never pays for another."""

    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """List the commands by the table: help must not import what is not asked for."""
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name, or None."""
        if cmd_name not in COMMANDS:
            return None
        if self._listing:
            return _listed(cmd_name)
        if cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name)
        return self.commands[cmd_name]


def _listed(name: str) -> Any:
    """A command that is good for its line in the help, and for nothing else."""
    holder = typer.Typer(add_completion=False)
    holder.command(name, help=COMMANDS[name].help)(lambda: None)
    return typer.main.get_command(holder)


def _load(name: str) -> Any:
    """Import one command; where its extra is missing, a command that says so."""
    entry = COMMANDS[name]
    holder = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    try:
        found = getattr(import_module(f"pleura.cli.{entry.module}"), entry.attribute)
    except ModuleNotFoundError as error:
        missing = _missing_extra(error)
        if missing is None:
            raise
        found = _unavailable(missing)
        settings: dict[str, Any] = {"ignore_unknown_options": True, "allow_extra_args": True}
        holder.command(name, help=entry.help, context_settings=settings)(found)
        return typer.main.get_command(holder)
    if isinstance(found, typer.Typer):
        command = typer.main.get_command(found)
        command.name = name
    else:
        holder.command(name, epilog=DISCLAIMER)(found)
        command = typer.main.get_command(holder)
    command.help = command.help or entry.help
    command.short_help = entry.help
    return command


def _unavailable(missing: MissingDependencyError) -> Any:
    def command(ctx: typer.Context) -> None:
        raise missing

    return command


def _missing_extra(error: ModuleNotFoundError) -> MissingDependencyError | None:
    """The typed error for a package of an extra; None for any other missing module."""
    package = (error.name or "").partition(".")[0]
    for extra, packages in EXTRAS.items():
        if package in packages:
            return MissingDependencyError(
                f"This command needs the package '{package}', which is not installed.",
                f"Run: pip install 'pleura[{extra}]'",
            )
    return None


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pleura {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=DISCLAIMER,
)


@app.callback()
def _pleura(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Finds pneumothorax on frontal chest radiographs."""


def main(arguments: list[str] | None = None) -> None:
    """Run the program and exit; typed errors become one sentence and a hint on stderr.

    Args:
        arguments: without the program's name; None for those of the process.

    Raises:
        SystemExit: always, with the status that the command's contract states; 2 for wrong usage, a
            missing extra, or a configuration, model or data set that cannot be used; 4 when results
            cannot be written.
    """
    prepare_stdout()
    try:
        app(args=arguments, prog_name="pleura")
    except OutputError as error:
        complain(error)
        sys.exit(NOT_WRITTEN)
    except PleuraError as error:
        complain(error)
        sys.exit(2)
    except ModuleNotFoundError as error:
        missing = _missing_extra(error)
        if missing is None:
            raise
        complain(missing)
        sys.exit(2)
