"""Removing images for good, while the same ones may be arriving.

An image is set aside, then the store is asked whether a job keeps it, then it is put back or
removed. Whoever takes an image writes its job first and then looks whether the file still lies in
its place. So either the remover sees the job, or the taker sees that the file is gone.
"""

from pathlib import Path

from pleura.service.files import FileStore
from pleura.service.store import JobStore


def remove_input(files: FileStore, jobs: JobStore, sha256: str) -> None:
    """Remove an image, unless a job keeps it.

    A process that dies in between leaves the image aside; `settle_removals` goes on from there.
    """
    aside = files.set_aside(sha256)
    if aside is not None:
        _settle(files, jobs, aside, sha256)


def settle_removals(files: FileStore, jobs: JobStore) -> None:
    """Bring removals to their end that were begun by processes that died."""
    for aside, sha256 in files.all_aside():
        _settle(files, jobs, aside, sha256)


def _settle(files: FileStore, jobs: JobStore, aside: Path, sha256: str) -> None:
    if jobs.keeps_input(sha256):
        files.put_back(aside)
    else:
        aside.unlink(missing_ok=True)
