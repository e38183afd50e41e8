"""What has arrived becomes jobs: files as they are, archives member by member."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

from pleura.errors import NotAnImageError, PleuraError, TooLargeError
from pleura.io import Input, Limits, discover
from pleura.service.api.arrivals import Arrivals, Arrived, plain_name
from pleura.service.api.errors import OwnResultError, TooMuchSentError
from pleura.service.errors import BusyError, StoreError
from pleura.service.files import SpooledFile
from pleura.service.intake import Intake
from pleura.service.node.heading import read_heading
from pleura.service.settings.api import ApiSettings
from pleura.service.store import Job

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one image: a job, or the reason why there is none."""

    name: str
    job: Job | None = None
    error: PleuraError | None = None


class Taker:
    """Takes the files of one upload.

    Args:
        intake: where they go.
        settings: how much may be unpacked.
        source: who sent them.
    """

    def __init__(self, intake: Intake, settings: ApiSettings, source: str) -> None:
        self._intake = intake
        self._source = source
        self._most = settings.files
        self._limits = Limits(max_bytes=round(settings.file_mib * _MIB), max_members=settings.files)
        self._room = round(settings.request_mib * _MIB)
        self._stopped: PleuraError | None = None

    def take(self, arrivals: Arrivals) -> list[Taken]:
        """One entry for each image, in the order sent. Members of an archive stand in its place.

        Raises:
            TooMuchSentError: with those in archives there are too many images; none was taken.
            BusyError, StoreUnavailableError: no image could be taken.
        """
        steps = list(islice(self._steps(arrivals), self._most + 1))
        if len(steps) > self._most:
            raise TooMuchSentError(f"The upload has more than {self._most} images.")
        taken = [self._taken(name, step) for name, step in steps]
        if self._stopped is not None and all(one.error is self._stopped for one in taken):
            raise self._stopped
        return taken

    def _steps(self, arrivals: Arrivals) -> Iterator[tuple[str, Callable[[], Job]]]:
        """Names, and what is to be done for each; archives are listed and not yet unpacked."""
        for arrived in arrivals.files:
            if arrived.is_zip and arrived.error is None:
                yield from self._members(arrived)
            else:
                yield arrived.name, partial(self._file, arrived)

    def _members(self, arrived: Arrived) -> Iterator[tuple[str, Callable[[], Job]]]:
        empty = True
        for member in discover([arrived.file.path], limits=self._limits):
            empty = False
            name = plain_name(member.name.removeprefix(str(arrived.file.path)).removeprefix("#"))
            yield name or arrived.name, partial(self._member, member, name)
        if empty:
            yield arrived.name, _no_member

    def _file(self, arrived: Arrived) -> Job:
        if arrived.error is not None:
            raise arrived.error
        return self._job(arrived.file, arrived.name)

    def _member(self, member: Input, name: str) -> Job:
        content = member.read()
        self._room -= len(content)
        if self._room < 0:
            raise TooLargeError(
                "The archives of the upload unpack to more bytes than the settings allow.",
                "Send fewer images at a time, or raise api.request_mib.",
            )
        if not content:
            raise NotAnImageError("The file is empty.")
        with self._intake.open(len(content)) as file:
            file.write(content)
            return self._job(file, name)

    def _job(self, file: SpooledFile, name: str) -> Job:
        file.close()
        sop_instance_uid, study_instance_uid = _identity(file)
        return self._intake.take(
            file,
            name=name,
            source=self._source,
            sop_instance_uid=sop_instance_uid,
            study_instance_uid=study_instance_uid,
        )

    def _taken(self, name: str, step: Callable[[], Job]) -> Taken:
        if self._stopped is not None:  # what stopped one stops the next
            return Taken(name, error=self._stopped)
        try:
            return Taken(name, job=step())
        except (BusyError, StoreError) as error:
            self._stopped = error
        except PleuraError as error:
            return Taken(name, error=error)
        except OSError:
            self._stopped = BusyError("The disk takes no more.")
        return Taken(name, error=self._stopped)


def _identity(file: SpooledFile) -> tuple[str, str]:
    """SOP instance and study of a DICOM image; empty where there is none to be read.

    Raises:
        OwnResultError: it is a result of Pleura.
    """
    try:
        heading = read_heading(file.path)
    except PleuraError:  # no DICOM, or damaged: the worker says so
        return "", ""
    if heading.own:
        raise OwnResultError("This is a result of Pleura, not a radiograph.")
    return heading.sop_instance_uid, heading.study_instance_uid


def _no_member() -> Job:
    raise NotAnImageError("The archive holds no files.")
