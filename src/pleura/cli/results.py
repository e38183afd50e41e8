"""Where results go: a terminal whose reader may leave, a folder whose disk may be full."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pleura.cli.console import abandon_stdout, say
from pleura.errors import OutputError

if TYPE_CHECKING:
    from pleura.outputs import DicomOptions, OutputFolder, ResultWriter

READER_GONE = 141
"""128 + SIGPIPE, as a shell reports a program whose reader has gone."""


class Shown:
    """Prints lines while somebody reads them.

    Args:
        quiet_when_gone: when the reader goes, go on in silence, because the results are written to
            files; else the program ends.
    """

    def __init__(self, quiet_when_gone: bool) -> None:
        self.gone = False
        self._quiet_when_gone = quiet_when_gone

    def __call__(self, line: str) -> None:
        """Print one line, or nothing more once the reader has gone."""
        if self.gone:
            return
        try:
            say(line)
        except BrokenPipeError as error:
            abandon_stdout()
            if not self._quiet_when_gone:
                raise typer.Exit(READER_GONE) from error
            self.gone = True


def open_folder(
    output: Path,
    formats: tuple[str, ...],
    writers: tuple["ResultWriter", ...] = (),
    dicom: "DicomOptions | None" = None,
) -> "OutputFolder":
    """The folder for results; exits with status 2 when it cannot be made."""
    from pleura.outputs import DicomOptions, OutputFolder

    try:
        return OutputFolder(output, formats, writers, dicom or DicomOptions())
    except OSError as error:
        raise typer.BadParameter(
            f"cannot write to {output}: {error.strerror}", param_hint="-o"
        ) from error


@contextmanager
def stated_when_not_written() -> Iterator[None]:
    """An error of the file system, while a result is written, as a typed one."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"A result could not be written: {error.strerror}. The run stopped there; the results"
            " before it are whole."
        ) from error


def check_paths(paths: list[str], taken: tuple[Path, ...]) -> None:
    """Refuse an empty path, and one that results would be written over."""
    places = {place.resolve() for place in taken}
    for path in paths:
        if not path:
            raise typer.BadParameter("a path is empty", param_hint="PATH")
        real = Path(path).resolve()
        if places & {real, *real.parents}:
            raise typer.BadParameter(f"{path} lies where -o writes its results", param_hint="PATH")
