"""Whatever a peer sends or does not send ends its own association and nothing else."""

import random
import struct
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from dicom_peer import (
    DX,
    RawPeer,
    associate_rq,
    associated,
    c_store_rq,
    echo_works,
    encoded,
    files_of,
    node_settings,
    p_data,
    pdu,
    store_bytes,
)
from pydicom.uid import DeflatedExplicitVRLittleEndian
from service_images import dataset
from service_tools import until

from pleura.service.node import Node
from pleura.service.settings.node import NodeSettings
from pleura.service.store import State
from pleura.service.wiring import Service

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # of UIDs that are none

IMPATIENT: dict[str, Any] = {
    "association_seconds": 0.5,
    "idle_seconds": 0.5,
    "object_seconds": 1.0,
    "grace_seconds": 0,
}
# Made once: a socket for each would be slow.
RANDOM = random.Random(7)
COMMAND = p_data(c_store_rq(), 3)


@pytest.fixture
def node(service: Service) -> Iterator[Node]:
    """One that has little patience; at the end it works, and nothing is left of the peers."""
    with Node(node_settings(**IMPATIENT), service.intake) as started:
        yield started
        until(lambda: echo_works(started.port), what="an echo")
        until(lambda: not files_of(service.files.spool), what="spool is empty")
        until(lambda: not acceptors(), what="threads have ended")
        assert not service.jobs.find(states=[State.RECEIVED])


def acceptors() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "Acceptor" in thread.name]


def long_pdu(kind: int) -> bytes:
    return struct.pack(">BBL", kind, 0, 0xFFFFFFFF)


BEFORE = {
    "garbage": bytes(RANDOM.randrange(256) for _ in range(2000)),
    "zeroes": bytes(4000),
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "a request of 4 GiB": long_pdu(1) + bytes(100_000),
    "data before the association": p_data(c_store_rq(), 3),
    "data of 4 GiB before the association": long_pdu(4) + bytes(100_000),
    "release before the association": pdu(5, bytes(4)),
    "an answer instead of a request": pdu(2, associate_rq()[6:]),
    "a request with an item that is too long": pdu(1, associate_rq()[6:74] + b"\x10\0\xff\xffabc"),
    "a request of noise": pdu(1, bytes(RANDOM.randrange(256) for _ in range(300))),
}


@pytest.mark.parametrize("name", BEFORE)
def test_what_is_no_association_request_is_cut_off(node: Node, name: str) -> None:
    with RawPeer(node.port) as peer:
        peer.send(BEFORE[name])
        assert peer.closed()


@pytest.mark.parametrize("sent", [b"", b"\1", associate_rq()[:40]])
def test_who_says_nothing_or_half_is_cut_off_in_time(node: Node, sent: bytes) -> None:
    began = time.monotonic()
    with RawPeer(node.port) as peer:
        peer.send(sent)
        assert peer.closed()
    assert time.monotonic() - began < 10


def nested(depth: int) -> bytes:
    return b"\x08\0\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * depth


AFTER = {
    "garbage": bytes(RANDOM.randrange(256) for _ in range(2000)),
    "data of 4 GiB": long_pdu(4) + bytes(100_000),
    "data longer than was negotiated": pdu(4, bytes(300_000)),
    "an empty PDU": pdu(4, b""),
    "an empty value": pdu(4, struct.pack(">LB", 1, 1)),
    "a value longer than its PDU": pdu(4, struct.pack(">LBB", 5000, 1, 3) + b"abc"),
    "a context that was not negotiated": p_data(c_store_rq(), 3, context=99),
    "a command of noise": p_data(bytes(RANDOM.randrange(256) for _ in range(200)), 3),
    "a command without an end": p_data(bytes(60_000), 1) * 2,
    "an unknown command": p_data(c_store_rq(field=0x7777), 3),
    "a query of endless length": p_data(c_store_rq(field=0x20), 3) + p_data(bytes(60_000), 0) * 2,
    "a class that is no UID": p_data(c_store_rq(sop_class="x" * 80), 3) + p_data(b"ab", 2),
    "an instance that is no UID": p_data(c_store_rq(instance="9" * 900), 3) + p_data(b"ab", 2),
    "data without a command": p_data(bytes(1000), 0),
    "requests ahead of their answers": (COMMAND + p_data(b"ab", 2)) * 2000,
    "a second association request": associate_rq(),
}


@pytest.mark.parametrize("name", AFTER)
def test_what_breaks_the_protocol_ends_the_association(node: Node, name: str) -> None:
    with RawPeer(node.port) as peer:
        peer.associate()
        try:
            peer.send(AFTER[name])
        except OSError:
            return  # cut off while it was sending
        until(lambda: peer.receive()[0] in (None, 7), what="an abort, or the end")


@pytest.mark.parametrize("end", ["abort", "close", "reset", "silence"])
def test_an_object_that_breaks_off_leaves_nothing(node: Node, service: Service, end: str) -> None:
    content = encoded(dataset(1))[:20_000]
    with RawPeer(node.port) as peer:
        peer.associate()
        peer.send(COMMAND + p_data(content, 0))
        until(lambda: files_of(service.files.spool))
        if end == "abort":
            peer.send(pdu(7, bytes(4)))
        elif end == "reset":
            peer.socket.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER: a reset
        if end in ("close", "reset"):
            peer.socket.close()
        else:
            until(lambda: peer.receive()[0] is None, what="the end")


def test_an_object_that_trickles_in_is_cut_off(node: Node) -> None:
    began = time.monotonic()
    with RawPeer(node.port) as peer:
        peer.associate()
        peer.send(COMMAND)
        trickle(peer, (p_data(b"ab", 0) for _ in range(400)))
    assert time.monotonic() - began < 15


def test_a_pdu_that_trickles_in_is_cut_off(node: Node) -> None:
    began = time.monotonic()
    with RawPeer(node.port) as peer:
        peer.associate()
        trickle(peer, (bytes((value,)) for value in COMMAND * 4))
    assert time.monotonic() - began < 15


def trickle(peer: RawPeer, pieces: Iterable[bytes]) -> None:
    """Send slowly until the connection is cut."""
    try:
        for piece in pieces:
            peer.send(piece)
            time.sleep(0.05)
    except OSError:  # a broken pipe, or a reset
        return
    pytest.fail("was not cut off")


def test_silent_connections_keep_nobody_out_for_long(service: Service) -> None:
    settings = NodeSettings(
        host="127.0.0.1", port=0, any_peer=True, max_associations=3, **IMPATIENT
    )
    with Node(settings, service.intake) as node:
        silent = [RawPeer(node.port) for _ in range(20)]
        assert silent[-1].closed()  # beyond the limit: at once
        assert until(lambda: echo_works(node.port))
        for peer in silent:
            peer.socket.close()


def test_the_node_lives_through_a_thousand_pieces_of_noise(
    node: Node,
    service: Service,
    run_jobs: Callable[[Service], int],
    record_property: Callable[[str, object], None],
) -> None:
    """Requests and commands with bytes exchanged, cut, and doubled, by a fixed seed."""
    chance = random.Random(11)
    good = [associate_rq(), COMMAND, p_data(encoded(dataset(1))[:4000], 2), pdu(5, bytes(4))]
    tried = 0
    while tried < 1000:
        with RawPeer(node.port) as peer:
            try:
                if chance.random() < 0.6:
                    peer.associate()
                for _ in range(20):
                    peer.send(mutated(chance, chance.choice(good)))
                    tried += 1
            except (OSError, AssertionError):
                continue
    record_property("tried", tried)
    run_jobs(service)  # some of it is a header that can be read
    assert service.jobs.counts()[State.FAILED] == 0


def mutated(chance: random.Random, content: bytes) -> bytes:
    found = bytearray(content)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(found))
        match chance.randrange(4):
            case 0:
                found[at] = chance.randrange(256)
            case 1:
                del found[at : at + chance.randrange(1, 50)]
                found = found or bytearray(b"\0")
            case 2:
                found[at:at] = found[at : at + 30]
            case 3:
                found[at : at + 2] = b"\xff\xff"
    return bytes(found)


def test_many_objects_that_break_off_leave_nothing(node: Node, service: Service) -> None:
    content = encoded(dataset(1))
    for _ in range(20):
        with RawPeer(node.port) as peer:
            peer.associate()
            peer.send(COMMAND + p_data(content[:3000], 0))


def test_headers_that_are_bombs_are_answered(node: Node) -> None:
    with associated(node.port) as peer:
        for content in (nested(200), nested(30_000), bytes(100_000)):
            assert store_bytes(peer, content).Status == 0xC000


def test_a_deflated_bomb_is_answered_in_bounded_memory(node: Node) -> None:
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = squeezer.compress(bytes(64 << 20)) + squeezer.flush()
    assert len(bomb) < 100_000
    with associated(node.port, (DX, DeflatedExplicitVRLittleEndian)) as peer:
        tracemalloc.start()
        assert store_bytes(peer, bomb).Status == 0xC000
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 60 << 20
