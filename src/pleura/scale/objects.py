"""Object stores and other file systems behind URLs, through fsspec: typed errors, lazy listing."""

import os
import re
import time
from collections.abc import Callable, Iterator
from errno import EINVAL
from functools import partial
from typing import Any, TypeVar

from pleura.errors import MissingDependencyError, NotFoundError, StoreError

TRIES = 3
FIRST_PAUSE_S = 0.5
T = TypeVar("T")
_ABSENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class DeniedError(NotFoundError):
    """An object that may not be read; when all are, it is not the objects' fault."""


def is_url(place: str) -> bool:
    """Whether a place is named by a URL, and not by a path of this machine."""
    return re.match(r"(?!file:)[a-z][a-z0-9+.:-]*://", place) is not None


def path_of(place: str) -> str:
    """The absolute path that a place of this machine has, named by a path or a URL of `file`."""
    return os.path.abspath(place.removeprefix("file://"))  # noqa: PTH100 - links stay


class ObjectStore:
    """One file system behind URLs.

    Addresses and credentials are those of the protocol's own environment and configuration.

    Args:
        url: of anything in it; its protocol decides.

    Attributes:
        root: the URL's place in the file system, without a slash at the end.

    Raises:
        MissingDependencyError: fsspec, or the package of the protocol, is not installed.
        StoreError: there is no such protocol, or it cannot be set up.
    """

    def __init__(self, url: str) -> None:
        try:
            import fsspec

            # A cache of listings would hold the names of all objects.
            self.fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            raise MissingDependencyError(
                f"URLs of this kind need a package that is not installed: {error}.",
                "Run: pip install 'pleura[scale]'",
            ) from None
        except Exception as error:
            raise StoreError(f"The URL cannot be opened ({type(error).__name__}).") from None
        self.root = str(root).rstrip("/")
        self._protocol = url.partition("://")[0]
        self._pages_keys = hasattr(self.fs, "call_s3")

    def path_of(self, url: str) -> str:
        """The place of another URL in this file system."""
        return str(self.fs._strip_protocol(url))

    def url_of(self, path: str) -> str:
        """The URL of a place in the file system."""
        return path if is_url(path) else f"{self._protocol}://{path}"

    def read(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """Bytes of one object, or a part of them.

        Raises:
            NotFoundError: there is no such object, or it may not be read.
            StoreError: the store did not answer.
        """

        def read() -> bytes:
            try:
                return bytes(self.fs.cat_file(path, start=start, end=end))
            except OSError as error:
                # S3 has no first byte of an empty object, and answers 416.
                if error.errno == EINVAL and start == 0 and self.fs.info(path)["size"] == 0:
                    return b""
                raise

        return attempt(read)

    def write(self, path: str, content: bytes) -> None:
        """Make or replace one object, in a single request.

        Raises:
            NotFoundError: it may not be written, or its bucket does not exist.
            StoreError: the store did not answer.
        """

        def write() -> None:
            try:
                self.fs.pipe_file(path, content)
            except FileNotFoundError:
                if self._pages_keys:
                    raise
                self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                self.fs.pipe_file(path, content)

        attempt(write)

    def exists(self, path: str) -> bool:
        """Whether there is such an object."""
        try:
            attempt(lambda: self.fs.info(path))
        except NotFoundError:
            return False
        return True

    def is_file(self, path: str) -> bool:
        """Whether this is an object, and not a folder of them."""
        try:
            return bool(attempt(lambda: self.fs.info(path))["type"] == "file")
        except NotFoundError:
            return False

    def below(self, folder: str) -> Iterator[str]:
        """Paths of all objects below a folder, by their code points, as they are asked for.

        S3 is listed by pages of 1000 keys. Elsewhere one folder is held in memory at a time, with
        those above it. Names that end in a slash stand for folders and are left out.

        Raises:
            NotFoundError: there is no such bucket, or it may not be listed.
            StoreError: the store did not answer.
        """
        return self._pages(folder) if self._pages_keys else self._walked(folder)

    def _pages(self, folder: str) -> Iterator[str]:
        bucket, prefix, _ = self.fs.split_path(folder)
        wanted = {"Bucket": bucket, "Prefix": prefix.rstrip("/") + "/" if prefix else ""}
        after = ""
        while True:
            request = wanted | ({"StartAfter": after} if after else {})
            page = attempt(partial(self.fs.call_s3, "list_objects_v2", **request))
            for found in page.get("Contents", ()):
                after = found["Key"]
                if not after.endswith("/"):
                    yield f"{bucket}/{after}"
            if not page.get("IsTruncated"):
                return

    def _walked(self, folder: str) -> Iterator[str]:
        try:
            found: list[dict[str, Any]] = attempt(lambda: self.fs.ls(folder, detail=True))
        except NotFoundError:
            return
        names = sorted(item["name"] + "/" * (item["type"] == "directory") for item in found)
        for name in names:
            if name.endswith("/"):
                yield from self._walked(name[:-1])
            elif name != folder:
                yield name


def attempt(work: Callable[[], T], tries: int = TRIES) -> T:
    """Do something in a store, again after a pause when it fails.

    Raises:
        NotFoundError: what is asked for does not exist or is not permitted; there is no second try.
        StoreError: it failed each time. The message names the kind of error alone, because its text
            may quote the request.
    """
    for further in range(tries, 0, -1):
        try:
            return work()
        except _ABSENT:
            raise NotFoundError("There is no such object.") from None
        except PermissionError:
            raise DeniedError("The object store does not permit it.") from None
        except Exception as error:  # each protocol has its own
            if further == 1:
                kind = type(error).__name__
                raise StoreError(f"The object store failed {tries} times ({kind}).") from None
            time.sleep(FIRST_PAUSE_S * 2 ** (tries - further))
    raise ValueError("tries must be at least 1")
