"""Radiographs of real size, sent at a given rate over associations that stay open."""

import queue
import random
import threading
import time
from dataclasses import replace
from io import BytesIO

import pydicom
from pydicom.uid import UID
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association

from pleura import Prediction, Predictor
from pleura.phantom import draw, spec_for, to_dicom
from service_senders import DX, EXPLICIT, NO_ANSWER, SUCCESS, Ledger
from service_verdict import Expected

_ROOT = "2.25.7701"
_FIRST = 1_000_000_000
_SEEDS = (3, 4, 7, 8)  # odd ones have a pneumothorax
_SECONDS = 60.0


class Radiographs:
    """Phantoms under many names: each number has UIDs and a few pixels of its own.

    Args:
        side: rows and columns.
        predictor: says what must come of each.
    """

    def __init__(self, side: int, predictor: Predictor) -> None:
        self._files = [_base(seed, side) for seed in _SEEDS]
        judged = [predictor.predict(file) for file in self._files]
        self._present = [one.present if isinstance(one, Prediction) else None for one in judged]
        self._codes = ["" if isinstance(one, Prediction) else one.code for one in judged]

    def file(self, number: int) -> bytes:
        """The file of a number below 10**9."""
        file = self._files[number % len(_SEEDS)]
        named = file.replace(str(_FIRST).encode(), str(_FIRST + number).encode())
        return named[:-4] + number.to_bytes(4, "little")  # the last four pixels

    def expected(self, number: int) -> Expected:
        """What must come of it."""
        one = number % len(_SEEDS)
        return Expected(_uid(1, number), _uid(2, number), self._present[one], self._codes[one])


class Traffic:
    """Sends what it is offered, as soon as an association is free; nothing is sent again.

    Args:
        radiographs: by number.
        port: of the node.
        ledger: of what was told.
        associations: at the same time.
    """

    def __init__(
        self, radiographs: Radiographs, port: int, ledger: Ledger, associations: int = 4
    ) -> None:
        self.seconds: dict[int, float] = {}  # from request to answer, by number
        self.next = self._withdrawn = 0
        self._radiographs = radiographs
        self._port = port
        self._ledger = ledger
        self._offers: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._open = True
        self._threads = [
            threading.Thread(target=self._send_all, daemon=True) for _ in range(associations)
        ]
        for thread in self._threads:
            thread.start()

    def offer(self) -> None:
        """One more image."""
        self._offers.put(self.next)
        self.next += 1

    def by_chance(self, per_second: float, seconds: float, chance: random.Random) -> None:
        """Offer images as a Poisson process."""
        end = time.monotonic() + seconds
        due = time.monotonic() + chance.expovariate(per_second)
        while due < end:
            time.sleep(max(due - time.monotonic(), 0))
            self.offer()
            due += chance.expovariate(per_second)

    def withdraw(self) -> int:
        """Take back what was offered and not sent yet; returns how many."""
        count = 0
        while True:
            try:
                self._offers.get_nowait()
            except queue.Empty:
                self._withdrawn += count
                return count
            count += 1

    @property
    def is_idle(self) -> bool:
        """Whether everything that was offered has its answer."""
        return len(self.seconds) + self._withdrawn == self.next

    def close(self) -> None:
        """Release the associations."""
        self._open = False
        for thread in self._threads:
            thread.join(_SECONDS)

    def _send_all(self) -> None:
        entity = ApplicationEntity("MODALITY")
        entity.add_requested_context(DX, EXPLICIT)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _SECONDS
        association: Association | None = None
        while self._open:
            try:
                number = self._offers.get(timeout=0.2)
            except queue.Empty:
                continue
            if association is None or not association.is_established:
                association = entity.associate("127.0.0.1", self._port, ae_title="PLEURA")
            dataset = pydicom.dcmread(BytesIO(self._radiographs.file(number)))
            begun = time.perf_counter()
            answer = _answer(association, dataset)
            self.seconds[number] = time.perf_counter() - begun
            self._ledger.note("association", {number: answer})
        if association is not None and association.is_established:
            association.release()


def _answer(association: Association, dataset: pydicom.Dataset) -> str:
    try:
        answer = association.send_c_store(dataset)
    except RuntimeError:  # the association has ended
        return NO_ANSWER
    if "Status" not in answer:
        return NO_ANSWER
    return SUCCESS if answer.Status == 0 else f"status {answer.Status:04X}"


def _base(seed: int, side: int) -> bytes:
    spec = replace(spec_for(seed, pneumothorax=seed % 2 == 1), rows=side, columns=side)
    made = pydicom.dcmread(BytesIO(to_dicom(draw(spec))))
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = UID(_uid(1, 0))
    made.StudyInstanceUID = UID(_uid(2, 0))
    made.SeriesInstanceUID = UID(_uid(3, 0))
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    file = stream.getvalue()
    assert len(made.PixelData) == side * side
    assert file.endswith(made.PixelData)
    return file


def _uid(kind: int, number: int) -> str:
    return f"{_ROOT}.{kind}.{_FIRST + number}"
