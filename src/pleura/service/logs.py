"""Logging of the service's processes: to stderr, as text or JSON lines, free of patients.

What this package logs is free of identifiers by its own care. What others log is not: libraries
of DICOM quote UIDs and values of the header. Of their lines only warnings and errors are
written, and of those only where they came from; likewise of Python's warnings, and of exceptions
only type and place.
"""

import json
import logging
import sys
import threading
import traceback
import warnings
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from pleura.errors import PleuraError
from pleura.service.settings.logs import LogSettings

OWN = "pleura"
# These say nothing about images; their lines may be written as they are.
PLAIN = ("uvicorn.error", "sqlalchemy", "alembic")
_QUIET = (
    "highdicom",
    "pynetdicom",
    "pydicom",
    "sqlalchemy",
    "alembic",
    "httpx",
    "httpcore",
    "urllib3",
    "dicomweb_client",
    "uvicorn.access",
    "PIL",
)

_log = logging.getLogger(__name__)


def configure_logging(settings: LogSettings) -> None:
    """Set up the logging of this process; called once by each process of the service."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines() if settings.format == "json" else _TextLines())
    handler.addFilter(_worth_writing)
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.WARNING)
    level = getattr(logging, settings.level.upper())
    logging.getLogger(OWN).setLevel(level)
    logging.getLogger("uvicorn.error").setLevel(max(level, logging.INFO))
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.raiseExceptions = False  # a line that cannot be written would print its arguments
    warnings.showwarning = _show_warning
    sys.excepthook = _process_died
    threading.excepthook = _thread_died


def log_exception(error: BaseException) -> None:
    """Log an error that nobody foresaw, by type and place."""
    _log.error("unexpected error", exc_info=error)


def _worth_writing(record: logging.LogRecord) -> bool:
    """Whatever level a library has set for itself: below warnings only known ones speak."""
    return record.levelno >= logging.WARNING or _is_of(record.name, (OWN, "uvicorn.error"))


def _is_of(name: str, loggers: tuple[str, ...]) -> bool:
    return any(name == logger or name.startswith(f"{logger}.") for logger in loggers)


def _message(record: logging.LogRecord) -> str:
    if _is_of(record.name, (OWN, *PLAIN)):
        return record.getMessage()
    return f"{record.levelname.lower()} at {record.module}:{record.lineno}"


def _error(record: logging.LogRecord) -> list[str]:
    """Type and way of an exception, without its text, which may quote an image."""
    if not record.exc_info or record.exc_info[1] is None:
        return []
    _, error, trace = record.exc_info
    return _described(error, trace)


def _described(error: BaseException, trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)
    lines = [f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}" for frame in frames]
    text = f": {error.message}" if isinstance(error, PleuraError) else ""
    return [*lines, f"{type(error).__module__}.{type(error).__qualname__}{text}"]


class _TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One line, and one more for each frame of an exception."""
        head = f"{_time(record)} {record.levelname:<7} {record.name} [{record.process}]"
        first = f"{head} {_one_line(_message(record))}"
        return "\n".join([first, *(f"    {line}" for line in _error(record))])


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One JSON object."""
        fields: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": _message(record),
        }
        error = _error(record)
        if error:
            fields["error"] = error
        return json.dumps(fields, ensure_ascii=True)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _one_line(text: str) -> str:
    """Nothing in a line can look like another line."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Python's warnings by kind and place: their text may quote a header."""
    _log.warning("%s at %s:%d", category.__name__, Path(filename).name, lineno)


def _thread_died(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_type is not SystemExit and arguments.exc_value is not None:
        log_exception(arguments.exc_value)


def _process_died(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    log_exception(error)
