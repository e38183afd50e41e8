"""`submission.csv`: what the SIIM-ACR challenge on Kaggle takes, and nothing else.

Two columns, ImageId and EncodedPixels, relative run lengths on a grid of 1024 x 1024 pixels, -1 for
no mask; the rows are those of the challenge's sample, in its order.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.errors import DataError, NotFoundError
from pleura.inference.prediction import Refusal, Result
from pleura.masks import RunLengthConvention, encode
from pleura.outputs.names import input_name, stem_of

FILE_NAME = "submission.csv"
COLUMNS = ("ImageId", "EncodedPixels")
GRID = 1024
"""Rows and columns of the challenge's masks."""
NO_MASK = "-1"


def read_sample(path: Path) -> tuple[str, ...]:
    """The identifiers of a sample submission, in its order; one may stand in several rows.

    Raises:
        NotFoundError: it cannot be opened.
        DataError: it is not a table with a column ImageId, or has no row, or an empty identifier.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, skipinitialspace=True))
    except OSError as error:
        raise NotFoundError(f"The sample {path} cannot be opened.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The sample {path} is not a CSV table.", _GIVE_SAMPLE) from error
    identifiers = tuple((row.get(COLUMNS[0]) or "").strip() for row in rows)
    if not identifiers or not all(identifiers):
        raise DataError(f"The sample {path} does not name an image in each row.", _GIVE_SAMPLE)
    return identifiers


class SubmissionWriter:
    """Gathers masks, and writes them all at the end, when it is known that nothing is missing.

    An image is found in the sample by its file's name without the suffix, as in both stages of the
    challenge, or by its SOP Instance UID. Where an image stands in several rows, they share out its
    regions: their union is its mask. An image of the sample without a prediction is written as one
    without a mask, because Kaggle refuses a file that lacks it, and is counted in `missing`.

    Args:
        folder: where `submission.csv` is written.
        rows: identifiers of the sample, see `read_sample`; None for the images as they come.

    Attributes:
        path: of the file.
        missing: rows of the sample without a prediction; only known after `finish`.
        unlisted: predictions of images that the sample does not list.
        repeated: predictions of images that had one before; the first one counts.
    """

    def __init__(self, folder: Path, rows: Sequence[str] | None = None) -> None:
        self.path = folder / FILE_NAME
        self.missing = 0
        self.unlisted = 0
        self.repeated = 0
        self._rows = None if rows is None else tuple(rows)
        self._times = Counter(self._rows or ())
        self._runs: dict[str, list[str]] = {}

    def write(self, result: Result) -> None:
        """Take in one result."""
        if isinstance(result, Refusal):
            return
        names = (stem_of(input_name(result)), result.radiograph.identifiers.sop_instance_uid)
        if self._rows is None:
            identifier, times = names[0], 1
        else:
            listed = [name for name in names if name in self._times]
            if not listed:
                self.unlisted += 1
                return
            identifier, times = listed[0], self._times[listed[0]]
        if identifier in self._runs:
            self.repeated += 1
            return
        self._runs[identifier] = _shared_out(_on_grid(result.mask), times)

    def finish(self) -> None:
        """Write the file, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        rows = tuple(self._runs) if self._rows is None else self._rows
        seen: defaultdict[str, int] = defaultdict(int)
        self.missing = sum(identifier not in self._runs for identifier in rows)
        partial = self.path.with_suffix(".partial")
        with partial.open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(COLUMNS)
            for identifier in rows:
                runs = self._runs.get(identifier)
                table.writerow((identifier, runs[seen[identifier]] if runs else NO_MASK))
                seen[identifier] += 1
        partial.replace(self.path)

    def close(self) -> None:
        """Nothing is open: a run that broke off leaves no file that looks complete."""


_GIVE_SAMPLE = "Give the challenge's stage_2_sample_submission.csv."


def _on_grid(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if mask.shape == (GRID, GRID):
        return mask
    resized = cv2.resize(mask.view(np.uint8), (GRID, GRID), interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized, dtype=np.bool_)


def _shared_out(mask: NDArray[np.bool_], rows: int) -> list[str]:
    """Run lengths for so many rows: a region each, largest first, and the rest in the last one.

    With fewer regions than rows the last region is repeated, which leaves the union as it is.
    """
    if rows == 1 or not mask.any():
        return [encode(mask, RunLengthConvention.SIIM_RELATIVE)] * rows
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    order = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")
    parts = [labels == label for label in order[: rows - 1]]
    parts.append(np.isin(labels, order[rows - 1 :]) if len(order) >= rows else parts[-1])
    runs = [encode(part, RunLengthConvention.SIIM_RELATIVE) for part in parts]
    return runs + [runs[-1]] * (rows - len(runs))
