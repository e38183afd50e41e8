"""The formats by name, and writing several of them at once, one result at a time."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, Self

from pleura.inference.prediction import Result
from pleura.outputs.dicom.options import DEFAULT_OPTIONS, DicomOptions, Kind
from pleura.outputs.dicom.writer import DicomWriter, Unwritten
from pleura.outputs.heatmap import FOLDER_NAME as HEATMAPS
from pleura.outputs.heatmap import HeatmapWriter
from pleura.outputs.json_lines import FILE_NAME as JSON_LINES
from pleura.outputs.json_lines import JsonLinesWriter
from pleura.outputs.overlay import FOLDER_NAME as OVERLAYS
from pleura.outputs.overlay import OverlayWriter
from pleura.outputs.submission import FILE_NAME as SUBMISSION_TABLE
from pleura.outputs.table import FILE_NAME as TABLE
from pleura.outputs.table import CsvWriter


class ResultWriter(Protocol):
    """What every format offers."""

    path: Path

    def write(self, result: Result) -> None:
        """Write one result."""

    def close(self) -> None:
        """Finish what is open."""


FORMATS: MappingProxyType[str, Callable[[Path], ResultWriter]] = MappingProxyType(
    {"json": JsonLinesWriter, "csv": CsvWriter, "png": OverlayWriter}
)
"""Those that every prediction can be written in."""
DICOM_FORMATS = tuple(kind.value for kind in Kind)
"""Those that only a prediction of a DICOM file can be written in."""
HEATMAP = "heatmap"
"""One more, for predictions that were made with `always_segment`."""
SUBMISSION = "submission"
"""And one whose writer the caller makes, because it needs to know more than the folder."""
_WRITERS: MappingProxyType[str, Callable[[Path], ResultWriter]] = MappingProxyType(
    {**FORMATS, HEATMAP: HeatmapWriter}
)


def places_in(folder: Path) -> tuple[Path, ...]:
    """Where results stand in an output folder, whichever formats a run asks for."""
    tables = (JSON_LINES, TABLE, SUBMISSION_TABLE)
    return tuple(folder / name for name in (*tables, OVERLAYS, HEATMAPS, *DICOM_FORMATS))


class OutputFolder:
    """A folder that takes results in several formats, one at a time.

    Use as a context manager. Tables of an earlier run are replaced, and pictures of the same names.

    Args:
        folder: made when it does not exist.
        formats: names out of `FORMATS` and `DICOM_FORMATS`, and `HEATMAP`.
        writers: further ones, already made.
        dicom: choices about DICOM objects; whether reports refer to segmentations follows from
            `formats`.

    Attributes:
        unwritten: predictions that no DICOM object could be made of.

    Raises:
        ValueError: a format is not known.
        OSError: the folder cannot be made or written to.
    """

    def __init__(
        self,
        folder: Path,
        formats: Iterable[str] = tuple(FORMATS),
        writers: Iterable[ResultWriter] = (),
        dicom: DicomOptions = DEFAULT_OPTIONS,
    ) -> None:
        names = tuple(dict.fromkeys(formats))
        known = (*_WRITERS, *DICOM_FORMATS)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(f"unknown format {unknown[0]!r}; known: {', '.join(known)}")
        self.unwritten = Unwritten()
        options = replace(dicom, seg_written=Kind.SEG in names)
        folder.mkdir(parents=True, exist_ok=True)
        made: list[ResultWriter] = list(writers)
        with ExitStack() as stack:
            # Last first: if the folder of the pictures cannot be made, no table was emptied; and a
            # result's line stands in the table when its picture is there.
            for name in reversed(names):
                writer = self._writer(name, folder, options)
                stack.callback(writer.close)
                made.append(writer)
            self._closing = stack.pop_all()
        self._writers = tuple(made)

    def _writer(self, name: str, folder: Path, options: DicomOptions) -> ResultWriter:
        if name in DICOM_FORMATS:
            return DicomWriter(folder, Kind(name), options, self.unwritten)
        return _WRITERS[name](folder)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files and folders that are written."""
        return tuple(writer.path for writer in reversed(self._writers))

    def write(self, result: Result) -> None:
        """Write one result in every format.

        Raises:
            ValueError: a heat map is wanted of a prediction whose segmenter was not run.
            OSError: a file cannot be written.
        """
        for writer in self._writers:
            writer.write(result)

    def close(self) -> None:
        """Close every format."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
