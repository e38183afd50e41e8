"""A tar archive, packed or not, whose members' headers may not grow beyond bounds.

A member may be preceded by headers of any size (long names, pax records, maps of sparse files),
which `tarfile` reads into memory whole: a few hundred kilobytes of gzip unpack to gigabytes.
"""

import bz2
import gzip
import lzma
import tarfile
from io import BytesIO
from pathlib import Path
from typing import IO, Any, cast

from pleura.errors import TooLargeError

MAX_HEADER_BYTES = 64 * 1024
"""Most bytes of all headers of one member. Names end at 4 KB; the rest is extended attributes."""


class Tar(tarfile.TarFile):
    """A tar archive that is read member by member and keeps none that it has passed.

    Raises:
        TooLargeError: when it is opened or in `next`: headers beyond `MAX_HEADER_BYTES`.
        OSError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error: damaged.
    """

    def __init__(self, source: Path | bytes) -> None:
        self._reader = _Reader(_unpacked(source))
        try:
            super().__init__(fileobj=cast(Any, self._reader))
        except BaseException:
            self._reader.close()
            raise

    def next(self) -> tarfile.TarInfo | None:
        """The next member, or None behind the last one."""
        self._reader.room = MAX_HEADER_BYTES
        try:
            return super().next()
        finally:
            self._reader.room = None
            # TarFile keeps each member it passes; a long archive must not fill memory.
            cast(Any, self).members = []

    def close(self) -> None:
        """Close the archive and its file."""
        super().close()
        self._reader.close()


class _Reader:
    """The bytes of an archive; while `room` is a number, no more than that are read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.room: int | None = None
        self.seek, self.tell, self.close = stream.seek, stream.tell, stream.close

    def read(self, size: int) -> bytes:
        if self.room is not None:
            self.room -= size
            if self.room < 0:
                raise TooLargeError(
                    f"A header of the tar archive holds more than {MAX_HEADER_BYTES} bytes.",
                    "Unpack the archive, or pack its files anew without extended attributes.",
                )
        return self._stream.read(size)


def _unpacked(source: Path | bytes) -> IO[bytes]:
    """The bytes under the compression that the content shows."""
    stream: IO[bytes] = BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    with stream:
        head = stream.read(6)
    packed: Any = BytesIO(source) if isinstance(source, bytes) else source
    if head.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(packed))
    if head.startswith(b"BZh"):
        return bz2.open(packed)
    if head == b"\xfd7zXZ\x00":
        return lzma.open(packed)
    return packed if isinstance(source, bytes) else source.open("rb")
