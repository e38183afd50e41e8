"""What the commands print: lines of a table, counts at the end, errors with their hints."""

import io
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pleura.errors import OutputError, PleuraError

if TYPE_CHECKING:
    from pleura.inference import Prediction, Refusal, Result

DISCLAIMER = "Research software, not a medical device."
HEADER = f"{'probability':>11}  {'finding':<14} {'area':>12}  {'ms':>6}  input"


def complain(error: PleuraError) -> None:
    """Print an error and its hint on stderr."""
    typer.echo(f"error: {error.message} [{error.code}]\n  hint: {error.hint}", err=True)


def table_line(result: "Result") -> str:
    """One result as a line under `HEADER`."""
    from pleura.inference import Refusal
    from pleura.outputs.decimals import decimals_for
    from pleura.outputs.names import input_name

    name = printable(input_name(result))
    if isinstance(result, Refusal):
        return (
            f"{'-':>11}  {result.status.value:<14} {'-':>12}  {'-':>6}  {name}: {_reason(result)}"
        )
    finding = "pneumothorax" if result.present else "none"
    total = result.timings_ms.get("total", 0.0)
    decimals = decimals_for(result.probability, result.operating_point.threshold, least=3)
    return (
        f"{result.probability:>11.{decimals}f}  {finding:<14} {_area(result):>12}"
        f"  {total:>6.0f}  {name}"
    )


def _reason(refusal: "Refusal") -> str:
    return f"{refusal.message} [{refusal.code}]"


def _area(prediction: "Prediction") -> str:
    if not prediction.present:
        return "-"
    if prediction.area_mm2 is None:
        return f"{prediction.area_px} px"
    return f"{prediction.area_mm2:.0f} mm2"


def printable(text: str) -> str:
    """Control characters of a file name must not reach the terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


class Tally:
    """Counts of a run, and the exit status that they mean."""

    def __init__(self) -> None:
        self.present = 0
        self.absent = 0
        self.refused: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    def add(self, result: "Result") -> None:
        """Count one result."""
        from pleura.inference import Refusal, Status

        if isinstance(result, Refusal):
            counter = self.refused if result.status is Status.REFUSED else self.failed
            counter[result.code] += 1
        elif result.present:
            self.present += 1
        else:
            self.absent += 1

    @property
    def predicted(self) -> int:
        """Inputs with a prediction."""
        return self.present + self.absent

    @property
    def exit_status(self) -> int:
        """0 all predicted, 1 some refused or failed, 3 nothing predicted."""
        if self.predicted == 0:
            return 3
        return 1 if self.refused or self.failed else 0

    def __str__(self) -> str:
        parts = [f"{self.predicted} predicted ({self.present} with pneumothorax)"]
        for name, counter in (("refused", self.refused), ("failed", self.failed)):
            codes = ", ".join(f"{code} {count}" for code, count in sorted(counter.items()))
            parts.append(f"{counter.total()} {name}" + (f" ({codes})" if codes else ""))
        return ", ".join(parts)


def say(line: str) -> None:
    """Print a line on stdout at once, so that a reader of the pipe sees it.

    Raises:
        BrokenPipeError: the reader has gone.
        OutputError: the line cannot be written, for instance because a disk is full.
    """
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"Nothing more can be written on stdout: {error.strerror}.") from error


def prepare_stdout(utf_8: bool = False) -> None:
    """Let no character of a file name stop the output; where stdout is closed, write nowhere.

    Args:
        utf_8: for JSON, which is UTF-8 whatever the terminal's encoding.
    """
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end
    elif isinstance(sys.stdout, io.TextIOWrapper):
        encoding = "utf-8" if utf_8 else sys.stdout.encoding
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")


def abandon_stdout() -> None:
    """After the reader has gone: the interpreter's last flush must not complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
