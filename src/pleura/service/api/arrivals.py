"""The files of one upload, on the disk and not in memory; gone again unless they are taken."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Self

from pleura.errors import NotAnImageError, PleuraError, TooLargeError
from pleura.service.api.errors import TooMuchSentError
from pleura.service.errors import BusyError
from pleura.service.files import SpooledFile
from pleura.service.intake import Intake
from pleura.service.settings.api import ApiSettings

_MIB = 1 << 20
_HEAD = 132
_LONGEST_NAME = 255


@dataclass(slots=True)
class Arrived:
    """One file of an upload.

    Attributes:
        name: as the sender gave it, without what cannot be printed.
        file: where its bytes are.
        head: its first bytes.
        error: why it cannot be taken.
    """

    name: str
    file: SpooledFile
    head: bytearray = field(default_factory=bytearray)
    error: PleuraError | None = None

    @property
    def is_zip(self) -> bool:
        """A zip archive by its content; a DICOM file is one whatever its preamble holds."""
        return self.head.startswith((b"PK\x03\x04", b"PK\x05\x06")) and self.head[128:] != b"DICM"


class Arrivals:
    """What arrives; use as a context manager. Not for several threads at once.

    Args:
        intake: where it goes.
        settings: how much of it.
    """

    def __init__(self, intake: Intake, settings: ApiSettings) -> None:
        self.files: list[Arrived] = []
        self._intake = intake
        self._removal = ExitStack()
        self._file_bytes = round(settings.file_mib * _MIB)
        self._most = settings.files

    def begin(self, name: str) -> None:
        """Another file begins.

        Raises:
            BusyError: the disk is nearly full.
            TooMuchSentError: there are more files than may be.
        """
        if len(self.files) >= self._most:
            raise TooMuchSentError(f"The upload has more than {self._most} files.")
        file = self._removal.enter_context(self._intake.open())
        self.files.append(Arrived(plain_name(name), file))

    def write(self, data: bytes) -> None:
        """The file goes on; what is beyond the limit for an image is not kept.

        Raises:
            BusyError: the disk takes no more.
        """
        arrived = self.files[-1]
        if arrived.error is not None:
            return
        if len(arrived.head) < _HEAD:
            arrived.head += data[: _HEAD - len(arrived.head)]
        if arrived.file.size + len(data) > self._file_bytes and not arrived.is_zip:
            arrived.error = TooLargeError(
                f"The file has more than {self._file_bytes} bytes.",
                "Give the image at its original size, or raise api.file_mib.",
            )
            return
        try:
            self._intake.files.check_space(len(data))
            arrived.file.write(data)
        except OSError as error:
            raise BusyError("The disk takes no more.") from error

    def end(self) -> None:
        """The file is complete.

        Raises:
            BusyError: the disk takes no more.
        """
        arrived = self.files[-1]
        if arrived.error is not None:
            return
        if arrived.file.size == 0:
            arrived.error = NotAnImageError("The file is empty.")
        try:
            arrived.file.close()
        except OSError as error:
            raise BusyError("The disk takes no more.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._removal.close()


def plain_name(name: str) -> str:
    """A sender's name for a file, fit for every database and screen; it never becomes a path."""
    return "".join(char for char in name if char.isprintable())[:_LONGEST_NAME]
