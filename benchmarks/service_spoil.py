"""Damage to files that the service holds, while they wait and while they arrive."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from dicom_peer import RawPeer, c_store_rq, p_data
from service_tools import until

from pleura.service.settings import Settings
from pleura.service.store import Job, JobStore, State
from pleura.service.store.engine import open_as_it_is
from service_bench import Bench
from service_senders import NO_ANSWER, SUCCESS, Ledger

CHANNEL = "byte by byte"
_PIECE = 1 << 14
_SPOILT = 20_000
"""A byte that stands in the pixel data, and has been written when half of an object has."""
_PATIENCE = 120.0


class Spoiler:
    """Damages files.

    Args:
        bench: the service.
        ledger: where is written what it was told of images that it sends itself.
        make: the file of a number.
        uid_of: the SOP Instance UID of a number.
        first: number from which on images are its own.
    """

    def __init__(
        self,
        bench: Bench,
        ledger: Ledger,
        make: Callable[[int], bytes],
        uid_of: Callable[[int], str],
        first: int,
    ) -> None:
        self.damaged: set[int] = set()
        self.next = first
        self._bench = bench
        self._ledger = ledger
        self._make = make
        self._uid_of = uid_of

    def damage_waiting(self) -> None:
        """Change a byte of an image that waits; nobody may be judging."""
        job = until(lambda: waiting(self._bench.settings), _PATIENCE, "a job waits")
        assert job is not None
        sha256 = job.received.sha256
        folder = self._bench.settings.storage.folder
        _flip(folder / "inputs" / sha256[:2] / sha256, job.received.size // 2)
        self.damaged.add(int(job.received.sop_instance_uid.rpartition(".")[2]))

    def damage_arriving(self) -> None:
        """Change a byte of an image while the rest of it arrives; it is acknowledged all the same:
        what arrived was right, and what lies on the disk is not."""
        number = self._fresh()
        self._send_until_taken(number, lambda path: _flip(path, _SPOILT))
        self.damaged.add(number)

    def remove_arriving(self) -> None:
        """Remove a file from the spool while the rest of it arrives, then send the image again."""
        number = self._fresh()
        self._send(number, Path.unlink)
        self._send_until_taken(number, None)

    def send_one(self) -> int:
        """Send an image once, whatever it is told; returns its number, for `send_again`."""
        number = self._fresh()
        self._send(number, None)
        return number

    def send_again(self, number: int) -> None:
        """Send an image until it is acknowledged."""
        self._send_until_taken(number, None)

    def _fresh(self) -> int:
        self.next += 1
        return self.next - 1

    def _send_until_taken(self, number: int, spoil: Callable[[Path], None] | None) -> None:
        end = time.monotonic() + _PATIENCE
        while self._send(number, spoil) != SUCCESS:
            if time.monotonic() > end:
                raise AssertionError(f"image {number} was not taken within {_PATIENCE} s")
            time.sleep(0.5)

    def _send(self, number: int, spoil: Callable[[Path], None] | None) -> str:
        try:
            answer = self._told(number, spoil)
        except (OSError, AssertionError):  # the node was killed a moment ago
            answer = NO_ANSWER
        self._ledger.note(CHANNEL, {number: answer})
        return answer

    def _told(self, number: int, spoil: Callable[[Path], None] | None) -> str:
        uid = self._uid_of(number)
        data = _data_set(self._make(number))
        pieces = [data[start : start + _PIECE] for start in range(0, len(data), _PIECE)]
        with RawPeer(self._bench.node_port) as peer:
            peer.associate()
            peer.send(p_data(c_store_rq(instance=uid), 3))
            for piece in pieces[:-1]:
                peer.send(p_data(piece, 0))
            if spoil is not None:
                path = until(lambda: self._spooled(uid), 10, "the object in the spool")
                assert path is not None
                spoil(path)
            peer.send(p_data(pieces[-1], 2))
            kind, answer = peer.receive()
        return _status(answer) if kind == 4 else NO_ANSWER

    def _spooled(self, uid: str) -> Path | None:
        """The file that an object arrives in, when most of it has been written."""
        for path in (self._bench.settings.storage.folder / "spool").iterdir():
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue
            if uid.encode() in content[:1024] and len(content) > _SPOILT:
                return path
        return None


def waiting(settings: Settings) -> Job | None:
    """The newest job that waits; None for none."""
    engine = open_as_it_is(settings.storage)
    try:
        found = JobStore(engine, settings.worker).find(states=[State.RECEIVED], limit=1)
    finally:
        engine.dispose()
    return found[0] if found else None


def _flip(path: Path, offset: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte[0] ^ 0xFF]))


def _data_set(file: bytes) -> bytes:
    """Without preamble and file meta information (PS3.10 7.1)."""
    return file[144 + int.from_bytes(file[140:144], "little") :]


def _status(answer: bytes) -> str:
    """Status (0000,0900) of a response."""
    _, _, value = answer.partition(b"\x00\x00\x00\x09\x02\x00\x00\x00")
    status = int.from_bytes(value[:2], "little")
    return SUCCESS if status == 0 else f"status {status:04X}"
