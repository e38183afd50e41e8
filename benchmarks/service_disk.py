"""A small disk that can be made full, and a database server of a bench's own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service_postgres import Cluster


class Disk:
    """A disk that can be made full.

    Args:
        folder: for the data of the service.
        kind: in words.
        ballast_bytes: that make it full; None for as many as it takes.
    """

    def __init__(self, folder: Path, kind: str, ballast_bytes: int | None) -> None:
        self.folder = folder
        self.kind = kind
        self._bytes = ballast_bytes
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Use up the space."""
        size = self._bytes or shutil.disk_usage(self.folder).free
        with self._ballast.open("wb") as stream:
            while size >= 1 << 12:
                try:
                    os.posix_fallocate(stream.fileno(), stream.seek(0, os.SEEK_END), size)
                except OSError:
                    size //= 2
                if self._bytes is not None:
                    break

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)


def own_mounts() -> None:
    """Start this program anew with mounts of its own, which end with it, however it ends."""
    unshare = ("unshare", "--mount", "--propagation", "private")
    mark = "PLEURA_BENCH_MOUNTS"
    if os.getuid() != 0 or mark in os.environ or shutil.which(unshare[0]) is None:
        return
    if subprocess.run((*unshare, "true"), capture_output=True).returncode == 0:
        os.execvpe(unshare[0], (*unshare, sys.executable, *sys.argv), os.environ | {mark: "1"})


@contextmanager
def small_disk(folder: Path, mib: int, reserve_mib: int) -> Iterator[tuple[Disk, float]]:
    """A disk of its own in memory where this process may mount one, else a part of the real one.

    Args:
        folder: in which it is made.
        mib: its size.
        reserve_mib: what the service shall hold back of it.

    Yields:
        The disk, and `storage.reserve_gib`.
    """
    place = folder / "disk"
    place.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=700", "pleura-bench", str(place))
    mounted = os.getuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0
    if not mounted:  # what is left of the real one above a reserve, which ballast uses up
        free = shutil.disk_usage(place).free
        reserve = (free - (mib << 20)) / (1 << 30)
        yield Disk(place, f"{mib} MiB above storage.reserve_gib", (mib + 1024) << 20), reserve
        return
    try:
        yield Disk(place, f"tmpfs of {mib} MiB", None), reserve_mib / 1024
    finally:
        subprocess.run(("umount", "--lazy", str(place)), check=True)


@contextmanager
def database(kind: str) -> Iterator[Cluster | None]:
    """A PostgreSQL server whose commits wait for the disk, or none."""
    if kind == "sqlite":
        yield None
        return
    cluster = Cluster(durable=True)
    try:
        yield cluster
    finally:
        cluster.remove()
