"""Clients that mean no good, against `pleura serve` as a process: each is answered or cut.

Tried, with short limits, on real sockets; how often is in each test:
- paths and ids that lead out of the folder; file names that do, in forms and archives
- bodies that are too large, by their length or by what comes, or that never end
- bodies that drip or stand still, heads that drip (slowloris), answers that nobody reads
- more connections than may be; thousands of headers; heads that do not end
- what is no HTTP, two lengths, a length and chunks, broken chunks, pipelines
- forms without boundary, end, or name, with damaged heads, and 150 random mutations of a good form

At the end of each test the server lives: it answers /health, takes an image, has counted no answer
of status 5xx, and its log has no traceback and nothing that a sender wrote.
"""

import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from api_process import ApiProcess, closed_within, read_all, status_of
from api_service import png
from service_tools import until

CANARY = "DOE^JANE"
HEAD, STALL, WHOLE = 2.0, 2.0, 4.0
LIMITS = f"""
file_mib = 1
request_mib = 4
files = 20
head_seconds = {HEAD}
stall_seconds = {STALL}
request_seconds = {WHOLE}
keep_alive_seconds = 5
connections = 60
uploads = 8
wait_seconds = 1
wrong_keys_per_minute = 100000
"""
UPLOAD = "POST /v1/predictions HTTP/1.1"
FORM = "Content-Type: multipart/form-data; boundary=limit"
MIB = 1 << 20
ANSWERED = (200, 202, 400, 401, 404, 405, 408, 413, 415, 422)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[ApiProcess]:
    with ApiProcess(tmp_path_factory.mktemp("hostile") / "api", tiny_model, LIMITS) as running:
        yield running


@pytest.fixture
def api(server: ApiProcess) -> Iterator[ApiProcess]:
    """The server, which lives at the end."""
    yield server
    lives(server)


_images = iter(range(1, 60_000))


def lives(server: ApiProcess) -> None:
    assert server.process.poll() is None
    with httpx.Client(base_url=server.url, headers=server.headers(), timeout=30) as client:
        assert client.get("/health").status_code == 200
        taken = client.post("/v1/predictions", content=png(next(_images)))
        assert taken.status_code == 202, taken.text
        metrics = client.get("/metrics").text
    assert not re.search(r'pleura_http_requests_total\{[^}]*status="5', metrics)
    assert "Traceback" not in server.log
    assert "unexpected error" not in server.log
    assert CANARY not in server.log
    assert CANARY not in metrics


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def form(*parts: tuple[str, bytes], end: bytes = b"--limit--\r\n") -> bytes:
    body = b"".join(b"--limit\r\n%s\r\n\r\n%s\r\n" % (head.encode(), data) for head, data in parts)
    return body + end


def part(name: str) -> str:
    return f'Content-Disposition: form-data; name="f"; filename="{name}"'


def test_paths_and_ids_that_lead_out_of_the_folder(api: ApiProcess) -> None:
    """18 paths on 4 places each: none is answered with a file."""
    ways = (
        "../../../../../etc/passwd",
        "..%2f..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "....//....//etc/passwd",
        "..\\..\\..\\windows\\win.ini",
        "..%5c..%5cwindows%5cwin.ini",
        "%252e%252e%252fetc%252fpasswd",
        "/etc/passwd",
        "//etc/passwd",
        "%00",
        "0" * 32 + "%00.dcm",
        "0" * 32 + "/../../pleura.sqlite",
        "0" * 31,
        "0" * 33,
        "A" * 32,
        "%c0%ae%c0%ae/etc/passwd",
        f"{CANARY}",
        "pleura.sqlite",
    )
    for way in ways:
        for place in ("/v1/jobs/{}", "/v1/jobs/{}/prediction", "/v1/jobs/{}/seg.dcm", "/{}"):
            answer = api.say(api.head(f"GET {place.format(way)} HTTP/1.1", "Connection: close"))
            assert status_of(answer) in (400, 404, 422), (place, way)
            assert b"root:" not in answer
            assert b"SQLite" not in answer
            assert CANARY.encode() not in answer


def test_file_names_that_lead_out_of_the_folder_become_no_paths(api: ApiProcess) -> None:
    """10 names in one form: the images are taken, and nothing lies where the names point."""
    target = api.folder.parent / "escaped.png"
    names = (
        f"../../{target.name}",
        str(target),
        "..\\..\\escaped.png",
        f"../../../../../../../..{target}",
        "a/b/c.png",
        ".",
        "..",
        "x" * 5000,
        "con\x01trol\x7f.png",
        f"{CANARY}.png",
    )
    body = form(*((part(name), png(next(_images))) for name in names))
    long = part("x" * 3000)
    body = body.replace(part("x" * 5000).encode(), long.encode())
    answer = api.say(api.head(UPLOAD, FORM, f"Content-Length: {len(body)}"), body)
    assert status_of(answer) == 202
    assert answer.count(b'"state":"received"') == 2 * len(names)  # of the item, and of its job
    assert not target.exists()
    assert {path.name for path in api.folder.iterdir()} == {"data", "log", "pleura.toml"}
    made = {path.name for path in api.data.rglob("*") if path.is_file()}
    assert all(re.fullmatch(r"[0-9a-f]{64}|pleura\.sqlite.*", name) for name in made)


def test_bodies_that_are_too_large(api: ApiProcess) -> None:
    """By a declared length 3 times, by what comes 3 times: 413, and little of it is kept."""
    for length in (6 * MIB, 10**12, 10**18):
        answer = api.say(api.head(UPLOAD, f"Content-Length: {length}"), b"\0" * 1000)
        assert status_of(answer) == 413
    for head, piece in (
        (api.head(UPLOAD, "Transfer-Encoding: chunked"), b"\0" * 100_000),
        (
            api.head(UPLOAD, FORM, "Transfer-Encoding: chunked"),
            b"--limit\r\nContent-Disposition: form-data; name=x\r\n\r\n" + b"\0" * 100_000,
        ),
        (
            api.head(UPLOAD, FORM, "Transfer-Encoding: chunked"),
            form((part("a.png"), b"\0" * 100_000), end=b""),
        ),
    ):
        answer = api.say(head, *[chunked(piece)] * 60)
        assert status_of(answer) == 413
    # The other routes take small bodies alone.
    rank = f"PUT /v1/worklist/{'0' * 32}/rank HTTP/1.1"
    headers = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    answer = api.say(api.head(rank, *headers), *[chunked(b" " * 50_000)] * 4)
    assert status_of(answer) == 413
    assert list((api.data / "spool").iterdir()) == []


def test_a_body_that_never_ends_is_answered_and_then_cut(api: ApiProcess) -> None:
    """A sender that goes on for as long as it can, on 4 connections at once, with and without a
    key, and where nobody reads a body: cut within seconds after the answer."""
    heads = (
        api.head(UPLOAD, "Transfer-Encoding: chunked"),
        b"POST /v1/predictions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        api.head("GET /health HTTP/1.1", "Transfer-Encoding: chunked"),
        api.head(f"POST /v1/jobs/{'0' * 32}/requeue HTTP/1.1", "Content-Length: 10000000000"),
    )
    ended: list[float] = []

    def send(head: bytes) -> None:
        with api.connect() as connection:
            began = time.monotonic()
            connection.sendall(head)
            piece = chunked(b"\0" * 50_000)
            try:
                while time.monotonic() - began < 40:
                    connection.sendall(piece)
            except OSError:
                ended.append(time.monotonic() - began)

    threads = [threading.Thread(target=send, args=(head,)) for head in heads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ended) == len(heads)
    assert max(ended) < 30


def test_slow_clients_are_cut_and_others_are_served(api: ApiProcess) -> None:
    """At once: 20 heads that drip, 4 bodies that drip, 4 that stand still, 8 connections that say
    nothing, 4 answers that nobody reads; and a client in between."""
    with httpx.Client(base_url=api.url, headers=api.headers(), timeout=30) as client:
        content = random.Random(1).randbytes(MIB - 1000)
        (item,) = client.post("/v1/predictions", content=content).json()["items"]
        fetch = f"GET /v1/jobs/{item['job']['id']}/input HTTP/1.1"
        dripping_heads = [api.connect() for _ in range(20)]
        dripping_bodies = [api.connect() for _ in range(4)]
        still = [api.connect() for _ in range(4)]
        silent = [api.connect() for _ in range(8)]
        deaf = [api.connect(receive_buffer=4096) for _ in range(4)]
        for connection in dripping_heads:
            connection.sendall(b"GET /health HTTP/1.1\r\nX: ")
        for connection in dripping_bodies + still:
            connection.sendall(api.head(UPLOAD, "Content-Length: 100000"))
        for connection in deaf:
            connection.sendall(api.head(fetch) * 20)  # 20 MB, more than any buffer of a socket
        began = time.monotonic()
        dripping = dripping_heads + dripping_bodies
        while dripping and time.monotonic() - began < 4 * WHOLE:
            dripping = [connection for connection in dripping if dripped(connection)]
            time.sleep(0.1)
        assert not dripping, f"{len(dripping)} still open after {4 * WHOLE} s"
        for connection in still:
            assert status_of(read_all(connection, silence=10)) == 408
        for connection in silent:
            assert closed_within(connection, 10)
        for connection in deaf:
            assert cut_within(connection, 20)
        assert client.get("/v1/jobs").status_code == 200
        for connection in [*dripping_heads, *dripping_bodies, *still, *silent, *deaf]:
            connection.close()


def dripped(connection: socket.socket) -> bool:
    """Send one more byte; False when the other side has had enough."""
    try:
        connection.sendall(b"x")
        connection.settimeout(0.001)
        return bool(connection.recv(4096))
    except TimeoutError:
        return True
    except OSError:
        return False


def cut_within(connection: socket.socket, seconds: float) -> bool:
    """Whether the other side resets the connection; nothing is read."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0:
            return True
        try:
            connection.send(b"x")
        except OSError:
            return True
        time.sleep(0.1)
    return False


def test_more_connections_than_may_be(api: ApiProcess) -> None:
    """150 that ask and stay, where 60 may be: the first are served, the others told 503 as JSON or
    cut. 150 that say nothing: above twice as many, cut at once. Then all is as before."""
    ask = api.head("GET /health HTTP/1.1")
    crowd = []
    for _ in range(150):
        connection = api.connect()
        crowd.append(connection)
        with suppress(OSError):  # cut already
            connection.sendall(ask)
    answers = [read_all(connection, silence=0.01) for connection in crowd]
    assert all(not one or b'"crowded"' in one or b'"ok"' in one for one in answers)
    statuses = [status_of(answer) for answer in answers]
    assert statuses[0] == 200
    assert statuses.count(200) >= 40
    assert statuses.count(503) >= 20
    crowd += [api.connect() for _ in range(150)]
    until(lambda: "too many connections" in api.log, what="connections are cut")
    for connection in crowd:
        connection.close()
    until(lambda: status_of(api.say(ask)) == 200, what="the crowd has gone")


def test_heads_beyond_reason(api: ApiProcess) -> None:
    """10,000 headers, one of 1 MB, a target of 100 KB, a head that never ends: 400, 431, or cut."""
    many = [f"X-{number}: {CANARY}" for number in range(10_000)]
    for head in (
        api.head("GET /health HTTP/1.1", *many),
        api.head("GET /health HTTP/1.1", "X: " + "y" * MIB),
        api.head(f"GET /{'z' * 100_000} HTTP/1.1"),
        b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 200_000,
        b"G" * MIB,
    ):
        assert status_of(api.say(head)) in (0, 400, 431)


def test_what_is_no_http(api: ApiProcess) -> None:
    """18 openings that break the rules, and 60 of random bytes: refused or cut, if not understood
    all the same (a version of HTTP that does not exist, say)."""
    body = b"POST /v1/predictions HTTP/1.1\r\nHost: x\r\n"
    openings = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET /health\r\n\r\n",
        b"GET  /health  HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n" * 1000,
        b"GET /health HTTP/1.1\r\nHost: x\r\nno colon here\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",  # no host
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
        body + b"Content-Length: -1\r\n\r\n",
        body + b"Content-Length: 1e3\r\n\r\n",
        body + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        body + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        body + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        body + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + CANARY.encode(),
        body + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffffff\r\n",
    ]
    source = random.Random(2)
    openings += [source.randbytes(source.randrange(1, 2000)) for _ in range(60)]
    for opening in openings:
        status = status_of(api.say(opening, hang_up=True))
        assert status in (0, 400, 401) or opening.startswith(b"GET /health"), opening[:80]
        assert status < 500


def test_a_broken_chunk_in_the_midst_of_an_upload(api: ApiProcess) -> None:
    """On 10 connections, at different places; nothing of it is left lying."""
    for count in range(10):
        head = api.head(UPLOAD, "Transfer-Encoding: chunked")
        answer = api.say(head, *[chunked(b"\0" * 1000)] * count, b"no chunk\r\n")
        assert status_of(answer) in (0, 400)
    for _ in range(10):  # and a sender that is gone
        with api.connect() as connection:
            connection.sendall(api.head(UPLOAD, "Content-Length: 5000") + b"\0" * 1000)
    end = time.monotonic() + 20
    while list((api.data / "spool").iterdir()):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_pipeline_of_requests_is_answered_one_by_one(api: ApiProcess) -> None:
    """300 requests in one write."""
    answer = api.say(api.head("GET /health HTTP/1.1") * 300)
    assert answer.count(b"HTTP/1.1 200 OK") == 300


def test_bodies_declared_as_what_they_are_not(api: ApiProcess) -> None:
    """12 content types: 415 where it cannot hold an image; what can is looked at by its content."""
    content = png(next(_images))
    for kind, status in (
        ("text/plain", 415),
        ("application/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/mixed; boundary=limit", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        ("multipart/form-data; boundary=" + "b" * 300, 400),
        (f"{CANARY}/{CANARY}; {CANARY}", 415),
        (";;;;;", 415),
        ("application/octet-stream; charset=utf-7", 202),
        ("image/jpeg", 202),
        ("application/zip", 202),
    ):
        length = f"Content-Length: {len(content)}"
        head = api.head(UPLOAD, f"Content-Type: {kind}", length, "Connection: close")
        answer = api.say(head, content)
        assert status_of(answer) == status, kind
        assert CANARY.encode() not in answer


def test_malformed_forms(api: ApiProcess) -> None:
    """14 forms that are wrong each in its own way: 400, 413 or 422, and nothing is taken."""
    picture = png(next(_images))
    good = form((part("a.png"), picture))
    crowd = form(*[(part(f"{number}.png"), picture) for number in range(21)])
    bodies = {
        "nothing": b"",
        "no boundary in it": picture,
        "another boundary": good.replace(b"limit", b"other"),
        "no end": form((part("a.png"), picture), end=b""),
        "cut in the picture": good[: len(good) // 2],
        "cut in a header": good[:30],
        "no part": b"--limit--\r\n",
        "no disposition": form(("X: y", picture)),
        "no file name": form(('Content-Disposition: form-data; name="f"', picture)),
        "a header without end": b"--limit\r\n" + b"x" * 100_000,
        "a value without end": b"--limit\r\nX: " + b"x" * 100_000,
        "a thousand headers": form(("\r\n".join(["X: y"] * 1000), picture)),
        "a colon too few": form(("no colon", picture)),
        "more files than may be": crowd,
    }
    for name, body in bodies.items():
        head = api.head(UPLOAD, FORM, f"Content-Length: {len(body)}", "Connection: close")
        answer = api.say(head, body)
        assert status_of(answer) in (400, 413, 422), (name, answer[-300:])
    assert list((api.data / "spool").iterdir()) == []


def test_random_mutations_of_a_good_form(api: ApiProcess) -> None:
    """150: bytes changed, left out, doubled, in body or head; each is answered or cut."""
    source = random.Random(3)
    good = form((part("a.png"), png(next(_images))[:400]), (part("b.png"), b"x" * 50))
    seen = set()
    for _ in range(150):
        body = bytearray(good)
        for _ in range(source.randrange(1, 6)):
            place = source.randrange(len(body))
            kind = source.randrange(3)
            if kind == 0:
                body[place] = source.randrange(256)
            elif kind == 1:
                del body[place : place + source.randrange(1, 20)]
            else:
                body[place:place] = body[place : place + source.randrange(1, 20)]
        head = api.head(UPLOAD, FORM, f"Content-Length: {len(body)}", "Connection: close")
        status = status_of(api.say(head, bytes(body)))
        assert status in ANSWERED
        seen.add(status)
    assert seen >= {202, 400}


def test_memory_stayed_small(server: ApiProcess) -> None:
    """After all of the above; without any of it the process holds about 140 MiB."""
    assert server.peak_mib() < 250
