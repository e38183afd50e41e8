"""Archives that mean no good, as uploads to `pleura serve` as a process, and in the reader itself.

Each of the archives below is sent once: members that unpack to far more than they take, that lie
about their size, lie on top of each other, hold archives, are encrypted or packed in ways that are
not read, a window of 4 GiB, a directory of 150,000 members, one that is larger than the file, cut
and mixed-up files; and 60 random mutations of a good one. Each is answered in its item; a good
image in the same form is taken each time; the server's memory stays small, and it lives.
"""

import io
import random
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_process import ApiProcess
from api_service import png

from pleura.errors import TooLargeError
from pleura.io import Limits, discover

MIB = 1 << 20
LIMITS = "file_mib = 2\nrequest_mib = 8\nfiles = 50\nwrong_keys_per_minute = 100000\n"
_images = iter(range(1, 60_000))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[ApiProcess]:
    with ApiProcess(tmp_path_factory.mktemp("archives") / "api", tiny_model, LIMITS) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: ApiProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=server.headers(), timeout=60) as made:
        yield made


def packed(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytearray:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return bytearray(stream.getvalue())


def directory_of(archive: bytes) -> int:
    """Where the directory begins (APPNOTE 4.3.16)."""
    return int(struct.unpack("<L", archive[-6:-2])[0])


def lying(declared: int) -> bytearray:
    """A member that unpacks to a megabyte and says that it is smaller."""
    archive = packed({"a.dcm": bytes(MIB)})
    start = directory_of(archive)
    archive[22:26] = archive[start + 24 : start + 28] = struct.pack("<L", declared)
    return archive


def encrypted() -> bytearray:
    archive = packed({"a.dcm": png(1)})
    start = directory_of(archive)
    archive[6] |= 1
    archive[start + 8] |= 1
    return archive


def packed_by(method: int) -> bytearray:
    """A member that says it is packed in this way."""
    archive = packed({"a.dcm": png(1)})
    start = directory_of(archive)
    archive[8:10] = archive[start + 10 : start + 12] = struct.pack("<H", method)
    return archive


def wide_window() -> bytearray:
    """LZMA with a dictionary of 4 GiB, of which a reader may believe that it needs it."""
    archive = packed({"a.dcm": png(2)}, zipfile.ZIP_LZMA)
    place = 30 + len("a.dcm") + 4 + 1  # local header, name, LZMA's version and size, its lc/lp/pb
    archive[place : place + 4] = b"\xff\xff\xff\xff"
    return archive


def on_top_of_each_other(count: int) -> bytearray:
    """Many members of the directory that are one and the same in the file."""
    archive = packed({"a.dcm": bytes(MIB)})
    start = directory_of(archive)
    entry = archive[start:-22]
    return _with_directory(archive[:start], bytes(entry) * count, count)


def crowded(count: int) -> bytearray:
    """A directory of many members, all empty."""
    archive = packed({"a": b""})
    start = directory_of(archive)
    return _with_directory(archive[:start], bytes(archive[start:-22]) * count, count)


def _with_directory(files: bytearray, directory: bytes, count: int) -> bytearray:
    short = min(count, 0xFFFF)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, short, short, len(directory), len(files), 0)
    return files + directory + end


def larger_than_the_file() -> bytearray:
    archive = packed({"a.dcm": png(3)})
    archive[-10:-6] = struct.pack("<L", 0x7FFFFFFF)
    return archive


def in_each_other(depth: int) -> bytearray:
    """Ten in each, so that all of them would unpack to petabytes."""
    inner = packed({"a": bytes(MIB)})
    for _ in range(depth):
        inner = packed({f"{number}.zip": bytes(inner) for number in range(10)})
    return inner


ARCHIVES: dict[str, tuple[Any, list[str | None]]] = {
    # What it is: how it is made, and the codes of its items; None for one that is taken.
    "a bomb in one member": (lambda: packed({"a.dcm": bytes(100 * MIB)}), ["too_large"]),
    "a bomb in many members": (
        lambda: packed({str(number): bytes(2 * MIB) for number in range(20)}),
        [None] * 4 + ["too_large"] * 16,
    ),
    "archives in archives": (lambda: in_each_other(3), [None] * 10),
    "says less than it is": (lambda: lying(1000), ["truncated"]),
    "says more than it is": (lambda: lying(MIB + 1000), ["truncated"]),
    "says 4 GiB": (lambda: lying(0xFFFFFFFE), ["too_large"]),
    "encrypted": (encrypted, ["not_found"]),
    "packed in an unknown way": (lambda: packed_by(97), ["unsupported_syntax"]),
    "packed in another way than it says": (lambda: packed_by(12), ["not_found"]),
    "a window of 4 GiB": (wide_window, [None]),
    "40 on top of each other": (lambda: on_top_of_each_other(40), [None] * 8 + ["too_large"] * 32),
    "a directory of 150,000": (lambda: crowded(150_000), ["too_large"]),
    "a directory larger than the file": (larger_than_the_file, ["truncated"]),
    "cut": (lambda: packed({"a": png(4)})[:-30], ["truncated"]),
    "no directory": (lambda: packed({"a": png(4)})[:60], ["truncated"]),
    "only its end": (lambda: packed({}), ["not_an_image"]),
    "only its beginning": (lambda: bytearray(b"PK\x03\x04" + bytes(200)), ["truncated"]),
    "names that lead out": (
        lambda: packed({name: png(5) for name in ("../a", "/etc/passwd", "C:\\a", "a\x01b")}),
        [None] * 4,
    ),
    "a name of 60,000 characters": (lambda: packed({"n" * 60_000: png(6)}), [None]),
    "folders alone": (lambda: packed({f"{number}/": b"" for number in range(9)}), ["not_an_image"]),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_that_mean_no_good(client: httpx.Client, name: str) -> None:
    make, codes = ARCHIVES[name]
    files = [("f", ("evil.zip", bytes(make()))), ("f", ("good.png", png(next(_images))))]
    answer = client.post("/v1/predictions", files=files)
    assert answer.status_code == 202, answer.text
    items = answer.json()["items"]
    assert [item["error"] and item["error"]["code"] for item in items] == [*codes, None]


def test_random_mutations_of_a_good_archive(client: httpx.Client) -> None:
    source = random.Random(4)
    good = packed({"a.png": png(7), "b/c.png": png(8)[:300]})
    seen = set()
    for _ in range(60):
        archive = bytearray(good)
        for _ in range(source.randrange(1, 8)):
            archive[source.randrange(4, len(archive))] = source.randrange(256)
        answer = client.post("/v1/predictions", content=bytes(archive))
        assert answer.status_code in (200, 202, 413), answer.text
        if answer.status_code != 413:
            items = answer.json()["items"]
            seen |= {item["error"]["code"] if item["error"] else "taken" for item in items}
    assert seen >= {"taken", "truncated"}


def test_the_server_lives_and_its_memory_stayed_small(
    server: ApiProcess, client: httpx.Client
) -> None:
    assert client.get("/health").status_code == 200
    assert client.post("/v1/predictions", content=png(next(_images))).status_code == 202
    assert 'status="5' not in client.get("/metrics").text
    assert "Traceback" not in server.log
    assert server.peak_mib() < 250
    assert list((server.data / "spool").iterdir()) == []


def test_a_directory_is_not_read_when_it_is_too_large(tmp_path: Path) -> None:
    """`zipfile` alone takes 750 MB and 15 s for two million members in 94 MB."""
    path = tmp_path / "a.zip"
    path.write_bytes(crowded(20_000))
    limits = Limits(max_members=100)
    (found,) = discover([path], limits=limits)
    with pytest.raises(TooLargeError, match="directory"):
        found.read()
    # One that is full to its limit, with long names, is read.
    full = packed({f"{'1.2.840.10008.' * 10}/{number}": b"x" for number in range(100)})
    path.write_bytes(full)
    assert len(list(discover([path], limits=limits))) == 100
    # And so is one with the longest comment.
    path.write_bytes(full[:-2] + b"\xff\xff" + bytes(0xFFFF))
    assert len(list(discover([path], limits=limits))) == 100
