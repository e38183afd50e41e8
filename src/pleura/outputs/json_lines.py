"""`predictions.jsonl`: one result as JSON on each line, in the order of the inputs."""

from pathlib import Path
from typing import TextIO

from pleura.inference.prediction import Result
from pleura.outputs.record import json_line

FILE_NAME = "predictions.jsonl"


class JsonLinesWriter:
    """Writes a line as soon as its result is there; a run that is killed leaves whole lines.

    Args:
        folder: where `predictions.jsonl` is written, in place of one from an earlier run.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._stream: TextIO = self.path.open("w", encoding="utf-8", newline="\n")

    def write(self, result: Result) -> None:
        """Write one line and hand it to the operating system."""
        self._stream.write(json_line(result) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
