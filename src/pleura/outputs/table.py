"""`predictions.csv`: the columns of a SIIM-ACR submission, then what Pleura adds."""

import csv
from pathlib import Path

from pleura.inference.prediction import Refusal, Result, Status
from pleura.masks import RunLengthConvention, encode
from pleura.outputs.names import image_id

FILE_NAME = "predictions.csv"
COLUMNS = (
    "ImageId",
    "EncodedPixels",
    "probability",
    "present",
    "status",
    "error_code",
    "uncertainty",
)


def row_of(result: Result) -> tuple[str, ...]:
    """The row of one result; a refused input has its name, status and code, and nothing else."""
    if isinstance(result, Refusal):
        return (image_id(result), "", "", "", result.status.value, result.code, "")
    return (
        image_id(result),
        encode(result.mask, RunLengthConvention.SIIM_RELATIVE),
        f"{result.probability:.6f}",
        "1" if result.present else "0",
        Status.OK.value,
        "",
        "" if result.uncertainty is None else f"{result.uncertainty:.6f}",
    )


class CsvWriter:
    """Writes a row as soon as its result is there; a run that is killed leaves whole rows.

    Args:
        folder: where `predictions.csv` is written, in place of one from an earlier run.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._stream = self.path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._stream, lineterminator="\n")
        self._rows.writerow(COLUMNS)
        self._stream.flush()

    def write(self, result: Result) -> None:
        """Write one row and hand it to the operating system."""
        self._rows.writerow(row_of(result))
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
