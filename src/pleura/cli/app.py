"""`pleura app`: the page for readers."""

from pathlib import Path
from typing import Annotated

import typer

from pleura.cli.console import DISCLAIMER, say
from pleura.cli.options import Threads


def app(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8501,
    model: Annotated[str | None, typer.Option(help="Name or folder of a model.")] = None,
    operating_point: Annotated[
        str | None, typer.Option(help="Name of the operating point that is chosen at first.")
    ] = None,
    threads: Threads = None,
    gate: Annotated[
        str,
        typer.Option(help="A picture that is no frontal chest radiograph: refuse, warn, off."),
    ] = "refuse",
    correct: Annotated[
        bool, typer.Option("--correct", help="Turn and invert pictures that lie wrong.")
    ] = False,
    root: Annotated[
        Path | None, typer.Option(help="Folder below which readers may open films.")
    ] = None,
    feedback: Annotated[
        Path | None, typer.Option(help="SQLite file that readers' feedback is written to.")
    ] = None,
    keep_images: Annotated[
        bool,
        typer.Option(
            "--keep-images", help="Keep films that got feedback beside that file, for training."
        ),
    ] = False,
    evaluation: Annotated[
        Path | None, typer.Option(help="Folder that `pleura evaluate` wrote, to be shown.")
    ] = None,
    api_url: Annotated[
        str | None,
        typer.Option(help="REST API that judges instead; its key is read from PLEURA_API_KEY."),
    ] = None,
    max_upload_mib: Annotated[int, typer.Option(min=1, max=2000, help="Largest file.")] = 200,
    max_files: Annotated[int, typer.Option(min=1, max=5000, help="Most films a session.")] = 200,
    max_session_mib: Annotated[int, typer.Option(min=1, help="Most MiB of a session.")] = 1024,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Name under which the page may be reached; may be repeated."),
    ] = None,
    browser: Annotated[
        bool | None,
        typer.Option("--browser/--no-browser", help="Open a browser; by default if it can."),
    ] = None,
) -> None:
    """Serve the page for readers: films in, findings to look at. It ends with Ctrl-C.

    Exit status: 0 it was told to end; 2 wrong usage, a model or address that cannot be used; 4 the
    file for feedback cannot be written.
    """
    from pydantic import ValidationError

    from pleura.app.launch import LOOPBACK, check_free, options, run
    from pleura.app.settings import AppSettings

    try:
        settings = AppSettings.model_validate(
            {
                "model": model,
                "operating_point": operating_point,
                "threads": threads,
                "gate": gate,
                "correct": correct,
                "root": None if root is None else root.resolve(),
                "feedback": None if feedback is None else feedback.resolve(),
                "keep_images": keep_images,
                "evaluation": None if evaluation is None else evaluation.resolve(),
                "api_url": api_url,
                "max_upload_mib": max_upload_mib,
                "max_files": max_files,
                "max_session_mib": max_session_mib,
            }
        )
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0]).replace("_", "-")
        raise typer.BadParameter(error.errors()[0]["msg"], param_hint=f"--{name}") from error
    _check(settings.root, "--root")
    _check(settings.evaluation, "--evaluation")
    if keep_images and feedback is None:
        raise typer.BadParameter("needs --feedback FILE", param_hint="--keep-images")
    if api_url is None:
        _check_model(model, operating_point)
    if feedback is not None:
        from pleura.app.feedback import FeedbackStore

        FeedbackStore(feedback.resolve(), keep_images)
    check_free(host, port)
    if host not in LOOPBACK:
        say("Whoever reaches this address can use the page: it has no log-in of its own.")
    say(f"The page is at http://{host}:{port}. {DISCLAIMER}")
    run(settings, options(settings, host, port, allow_host or (), browser))


def _check(folder: Path | None, option: str) -> None:
    if folder is not None and not folder.is_dir():
        raise typer.BadParameter("there is no such folder", param_hint=option)


def _check_model(model: str | None, operating_point: str | None) -> None:
    """Whether there is such a model, before a reader finds out."""
    from pleura.inference import Manifest, find_model

    Manifest.read(find_model(model)).operating_point(operating_point)
