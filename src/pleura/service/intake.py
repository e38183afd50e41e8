"""The one way in: what arrives is on the disk and in the store before anybody is told so."""

from collections.abc import Sequence

from pleura.service.errors import BusyError
from pleura.service.files import FileStore, SpooledFile
from pleura.service.removal import remove_input
from pleura.service.store import Job, JobStore, Received, Recipe

_UID_LENGTH = 64  # PS3.5 6.2
_NAME_LENGTH = 1024


class Intake:
    """Takes images for the node, the REST API and whoever else hands some in.

    Args:
        files: where images go.
        jobs: where jobs go.
        recipe: what images are judged with.
        destinations: names of those that get every result.
    """

    def __init__(
        self, files: FileStore, jobs: JobStore, recipe: Recipe, destinations: Sequence[str] = ()
    ) -> None:
        self.files = files
        self.jobs = jobs
        self.recipe = recipe
        self.destinations = tuple(destinations)

    def open(self, coming: int = 0) -> SpooledFile:
        """A file to write into what arrives; use it as a context manager.

        Args:
            coming: bytes that are expected, if known.

        Raises:
            BusyError: the disk is nearly full; nothing should be taken.
        """
        self.files.check_space(coming)
        return self.files.spooled()

    def take(
        self,
        spooled: SpooledFile,
        *,
        name: str,
        source: str,
        sop_instance_uid: str = "",
        study_instance_uid: str = "",
    ) -> Job:
        """Everything has arrived: make it a job. When this returns, it may be acknowledged.

        Args:
            spooled: from `open`, written to its end.
            name: as the sender named it.
            source: who sent it, see `Received`.
            sop_instance_uid: of a DICOM image.
            study_instance_uid: of a DICOM image.

        Raises:
            BusyError: too many jobs wait; nothing was taken.
            StoreUnavailableError: the database cannot be reached; nothing may be acknowledged.
            OSError: the disk took it not; nothing was taken.
        """
        sha256, size = self.files.take(spooled)
        received = Received(
            sha256,
            size,
            _storable(name)[:_NAME_LENGTH],
            source,
            _uid(sop_instance_uid),
            _uid(study_instance_uid),
        )
        try:
            job = self.jobs.submit(received, self.recipe, self.destinations)
        except BusyError:
            remove_input(self.files, self.jobs, sha256)
            raise
        if not self.files.input_path(sha256).exists():
            raise BusyError("The same image was being removed at the same moment.")
        return job


def _storable(text: str) -> str:
    """Without what a database cannot hold: null characters and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _uid(text: str) -> str:
    """A UID as it may be searched for; none where it is longer than UIDs are."""
    uid = _storable(text)
    return uid if len(uid) <= _UID_LENGTH else ""
