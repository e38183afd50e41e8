"""Logs: lines to read or JSON, and never anything that names a patient."""

import json
import logging
import subprocess
import sys
import threading
import warnings

import pytest

from pleura.errors import PleuraError
from pleura.service.logs import configure_logging, log_exception
from pleura.service.settings.logs import LogSettings

CANARY = "CANARY^JANE"


class Written:
    """What was written to stderr so far."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture, self._text = capture, ""

    def getvalue(self) -> str:
        self._text += self._capture.readouterr().err
        return self._text


@pytest.fixture
def stderr(logging_as_before: None, capsys: pytest.CaptureFixture[str]) -> Written:
    """What is logged."""
    return Written(capsys)


def test_text_is_one_line_with_time_level_logger_and_process(stderr: Written) -> None:
    configure_logging(LogSettings())
    logging.getLogger("pleura.service.judge").info("job %s: ok", "ab")
    (line,) = stderr.getvalue().splitlines()
    moment, level, name, process, message = line.split(maxsplit=4)
    assert moment.endswith("Z")
    assert (level, name, message) == ("INFO", "pleura.service.judge", "job ab: ok")
    assert process.strip("[]").isdecimal()


def test_json_is_one_object_a_line(stderr: Written) -> None:
    configure_logging(LogSettings(format="json"))
    logging.getLogger("pleura.x").error("broken", exc_info=ValueError(CANARY))
    (line,) = stderr.getvalue().splitlines()
    record = json.loads(line)
    assert record.pop("time").endswith("Z")
    assert record.pop("process") > 0
    assert record == {
        "level": "error",
        "logger": "pleura.x",
        "message": "broken",
        "error": ["builtins.ValueError"],
    }


@pytest.mark.parametrize(
    ("level", "written"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)]
)
def test_the_level_holds_for_the_service(stderr: Written, level: str, written: int) -> None:
    configure_logging(LogSettings.model_validate({"level": level}))
    log = logging.getLogger("pleura.service")
    for say in (log.debug, log.info, log.warning, log.error):
        say("a line")
    assert stderr.getvalue().count("a line") == written


@pytest.mark.parametrize(
    "name", ["pydicom", "highdicom.seg.sop", "pynetdicom.acse", "some.library"]
)
def test_other_libraries_say_where_and_not_what(stderr: Written, name: str) -> None:
    configure_logging(LogSettings(level="debug"))
    log = logging.getLogger(name)
    log.setLevel(logging.DEBUG)  # as some libraries do
    log.debug(CANARY)
    log.info("UID %s", CANARY)
    assert stderr.getvalue() == ""
    log.warning("value %s", CANARY)
    log.error(f"value {CANARY}")
    log.setLevel(logging.NOTSET)
    first, second = stderr.getvalue().splitlines()
    assert "warning at test_service_logs:" in first
    assert "error at test_service_logs:" in second
    assert CANARY not in stderr.getvalue()


def test_exceptions_are_written_by_type_and_way(stderr: Written) -> None:
    configure_logging(LogSettings())
    try:
        int(CANARY)
    except ValueError as error:
        log_exception(error)
    assert "builtins.ValueError" in stderr.getvalue()
    assert "in test_exceptions_are_written_by_type_and_way" in stderr.getvalue()
    assert CANARY not in stderr.getvalue()
    log_exception(PleuraError("Typed errors speak of no patient."))
    assert "Typed errors speak of no patient." in stderr.getvalue()


def test_warnings_of_python_are_written_by_kind_and_place(stderr: Written) -> None:
    configure_logging(LogSettings())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logging(LogSettings())  # the context has put the test's own way back
        warnings.warn(f"Invalid value: {CANARY}", UserWarning, stacklevel=1)
    assert "UserWarning at test_service_logs.py:" in stderr.getvalue()
    assert CANARY not in stderr.getvalue()


def test_a_thread_that_dies_quotes_nothing(stderr: Written) -> None:
    configure_logging(LogSettings())
    thread = threading.Thread(target=int, args=(CANARY,))
    thread.start()
    thread.join()
    assert "builtins.ValueError" in stderr.getvalue()
    assert CANARY not in stderr.getvalue()


def test_a_line_that_cannot_be_written_quotes_nothing(stderr: Written) -> None:
    configure_logging(LogSettings())
    logging.getLogger("pleura").info("%d images", CANARY)
    assert CANARY not in stderr.getvalue()


def test_no_line_can_look_like_two(stderr: Written) -> None:
    configure_logging(LogSettings())
    logging.getLogger("pleura").info("from %s", "PACS\n2030-01-01 ERROR made up\x1b[2J")
    assert len(stderr.getvalue().splitlines()) == 1
    assert "\x1b" not in stderr.getvalue()


def test_a_process_with_an_odd_header_that_dies_quotes_nothing() -> None:
    """A header with values that pydicom complains about, and an error that nobody catches."""
    reads = f"""
import io, pydicom
from pleura.service.logs import configure_logging
from pleura.service.settings.logs import LogSettings
configure_logging(LogSettings(level="debug"))
made = pydicom.Dataset()
made.add_new("PatientID", "LO", "{CANARY}" * 20)
made.add_new("StudyInstanceUID", "UI", "{CANARY}")
made.add_new("PatientBirthDate", "DA", "{CANARY}")
raise ValueError("{CANARY}")
"""
    done = subprocess.run([sys.executable, "-c", reads], capture_output=True, text=True)
    assert "UserWarning at" in done.stderr
    assert "builtins.ValueError" in done.stderr  # what ends the process is said alike
    assert CANARY not in done.stderr + done.stdout
