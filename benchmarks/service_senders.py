"""Senders that do as a PACS does: send, write down what they were told, send again what was not
acknowledged."""

import re
import shutil
import subprocess
import threading
import time
import zipfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import httpx
from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity

SUCCESS = "success"
NO_ANSWER = "no answer"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"
_BATCH = 8
_TWICE = 25
"""Of so many images one is sent again although it was acknowledged, as happens."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 4.0
_SECONDS = 60.0
_TOLD = re.compile(r"Sending file: (\S+)|Received Store Response \((.*)\)")
# A file is sent as it lies on the disk.
_config.STORE_SEND_CHUNKED_DATASET = True

Told = dict[int, str]
"""What a sender was told of each image, by its number."""


class Ledger:
    """What senders were told: the truth about what was acknowledged.

    Attributes:
        acknowledged: how often, by number of the image.
        at: when for the first time, in seconds since 1970.
        answers: by channel and answer.
        count: images of the stream that were acknowledged.

    Args:
        end: the number after the last of the stream.
    """

    def __init__(self, end: int) -> None:
        self.count = 0
        self._end = end
        self.acknowledged: Counter[int] = Counter()
        self.at: dict[int, float] = {}
        self.answers: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def note(self, channel: str, told: Told) -> None:
        """Write down the answers to what was sent on a channel."""
        now = time.time()
        with self._lock:
            for number, answer in told.items():
                self.answers[channel, answer] += 1
                if answer == SUCCESS:
                    self.count += number < self._end and number not in self.acknowledged
                    self.acknowledged[number] += 1
                    self.at.setdefault(number, now)


class Stream:
    """Numbers of images, given out as far as they are released.

    Args:
        end: the number after the last.
    """

    def __init__(self, end: int) -> None:
        self._end = end
        self._released = self._next = 0
        self._changed = threading.Condition()

    def release(self, until: int) -> None:
        """The images below this number may be sent."""
        with self._changed:
            self._released = max(self._released, min(until, self._end))
            self._changed.notify_all()

    def stop(self) -> None:
        """Give out no more."""
        with self._changed:
            self._end = self._released = self._next
            self._changed.notify_all()

    def take(self, most: int = _BATCH) -> list[int]:
        """The next numbers, waited for; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._next < self._released or self._next >= self._end)
            taken = list(range(self._next, min(self._next + most, self._released)))
            self._next += len(taken)
            return taken


class Sender(ABC, threading.Thread):
    """Sends until the stream ends and everything was acknowledged.

    Args:
        stream: what to send.
        ledger: what was told.
        make: the file of a number.
        folder: for files on their way; its own.
    """

    channel = ""

    def __init__(
        self, stream: Stream, ledger: Ledger, make: Callable[[int], bytes], folder: Path
    ) -> None:
        super().__init__(daemon=True)
        self.error: Exception | None = None
        self._stream = stream
        self._ledger = ledger
        self._make = make
        self._folder = folder
        folder.mkdir()

    def run(self) -> None:
        """Send everything."""
        try:
            while numbers := self._stream.take():
                self._until_acknowledged(numbers)
        except Exception as error:  # a sender that broke must not pass for one that has sent
            self.error = error

    @abstractmethod
    def send(self, files: dict[int, Path]) -> Told:
        """Send some; returns what was told of each, and nothing of what was not sent."""

    def _until_acknowledged(self, numbers: Sequence[int]) -> None:
        files = {number: self._folder / f"{number}.dcm" for number in numbers}
        for number, path in files.items():
            path.write_bytes(self._make(number))
        twice = {number for number in numbers if number % _TWICE == 0}
        pause = _FIRST_PAUSE
        while files:
            told = self.send(files)
            self._ledger.note(self.channel, told)
            done = [number for number, answer in told.items() if answer == SUCCESS]
            for number in done:
                if number in twice:
                    twice.remove(number)
                else:
                    files.pop(number).unlink()
            if files:
                pause = _FIRST_PAUSE if done else min(2 * pause, _LONGEST_PAUSE)
                time.sleep(pause)


class StoreScu(Sender):
    """dcmtk's storescu, a process for each batch."""

    channel = "storescu"

    def __init__(
        self,
        stream: Stream,
        ledger: Ledger,
        make: Callable[[int], bytes],
        folder: Path,
        port: int,
    ) -> None:
        super().__init__(stream, ledger, make, folder)
        program = shutil.which("storescu")
        if program is None:
            raise SystemExit("dcmtk's storescu is not installed")
        times = ("-to", "10", "-ta", "30", "-td", str(_SECONDS))
        self._command = (program, "-v", *times, "-aec", "PLEURA", "-aet", "STORESCU")
        self._port = str(port)

    def send(self, files: dict[int, Path]) -> Told:
        """See `Sender`; it stops at the first that is not taken."""
        command = [*self._command, "127.0.0.1", self._port, *map(str, files.values())]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=10 * _SECONDS)
        told: Told = {}
        number = next(iter(files))
        for name, answer in _TOLD.findall(ended.stdout + ended.stderr):
            if name:
                number = int(Path(name).stem)
                told[number] = NO_ANSWER
            else:
                told[number] = SUCCESS if answer == "Success" else answer
        return told or {number: NO_ANSWER}


class Associating(Sender):
    """pynetdicom, an association for each batch."""

    channel = "association"

    def __init__(
        self,
        stream: Stream,
        ledger: Ledger,
        make: Callable[[int], bytes],
        folder: Path,
        port: int,
    ) -> None:
        super().__init__(stream, ledger, make, folder)
        self._port = port
        self._entity = ApplicationEntity("MODALITY")
        self._entity.add_requested_context(DX, EXPLICIT)
        self._entity.connection_timeout = 10
        self._entity.acse_timeout = 30
        self._entity.dimse_timeout = self._entity.network_timeout = _SECONDS

    def send(self, files: dict[int, Path]) -> Told:
        """See `Sender`."""
        association = self._entity.associate("127.0.0.1", self._port, ae_title="PLEURA")
        if not association.is_established:
            return {next(iter(files)): "rejected" if association.is_rejected else NO_ANSWER}
        told: Told = {}
        for number, path in files.items():
            try:
                answer = association.send_c_store(path)
            except RuntimeError:  # the association has ended
                told[number] = NO_ANSWER
                break
            told[number] = _in_words(answer.Status) if "Status" in answer else NO_ANSWER
            if told[number] != SUCCESS:
                break
        if association.is_established:
            association.release()
        return told


class Uploading(Sender):
    """The REST API: forms and zip archives by turns."""

    channel = "API"

    def __init__(
        self,
        stream: Stream,
        ledger: Ledger,
        make: Callable[[int], bytes],
        folder: Path,
        url: str,
        key: str,
    ) -> None:
        super().__init__(stream, ledger, make, folder)
        headers = {"authorization": f"Bearer {key}"}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=_SECONDS)
        self._zips = False

    def send(self, files: dict[int, Path]) -> Told:
        """See `Sender`."""
        self._zips = not self._zips
        try:
            if self._zips:
                answer = self._client.post("/v1/predictions", content=_zipped(files))
            else:
                form = [("files", (path.name, path.read_bytes())) for path in files.values()]
                answer = self._client.post("/v1/predictions", files=form)
        except httpx.TransportError:
            return dict.fromkeys(files, NO_ANSWER)
        if answer.status_code not in (200, 202):
            return dict.fromkeys(files, f"HTTP {answer.status_code}")
        told: Told = {}
        for item in answer.json()["items"]:
            rejected = item["state"] == "rejected"
            told[int(Path(item["name"]).stem)] = item["error"]["code"] if rejected else SUCCESS
        return told


def _zipped(files: dict[int, Path]) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path in files.values():
            archive.write(path, path.name)
    return stream.getvalue()


def _in_words(status: int) -> str:
    return SUCCESS if status == 0 else f"status {status:04X}"
