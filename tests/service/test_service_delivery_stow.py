"""Delivery to a DICOMweb server: what is sent, and what its answers mean."""

import json
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from service_certificates import make_certificates
from service_images import dataset, image
from service_receivers import Answer, Asked, read, stow_answer, web_server
from service_tools import free_port

from pleura.service.delivery.stow import StowSender
from pleura.service.errors import (
    DeliveryError,
    NeverTakenError,
    NotAdmittedError,
    NotTakenError,
    UnreachableError,
)
from pleura.service.settings.destinations import StowDestination
from pleura.service.settings.tls import ClientTls

Send = Callable[..., list[Asked]]


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """STOW-RS does not care what is in them."""
    folder = tmp_path_factory.mktemp("objects")
    contents = {"seg": b"\r\n--not the boundary", "sr": bytes(range(256)) * 50, "sc": b"\r\n\r\n"}
    for name, content in contents.items():
        (folder / f"{name}.dcm").write_bytes(content)
    return [folder / f"{name}.dcm" for name in contents]


def send(objects: list[Path], answer: Answer, **login: Any) -> Asked:
    with web_server(lambda asked: answer) as server:
        sender = StowSender(destination(server.url, **login))
        try:
            sender.send(objects)
        finally:
            sender.close()
    (asked,) = server.asked
    return asked


def destination(url: str, **options: Any) -> StowDestination:
    options = {"connect_seconds": 2, "response_seconds": 2} | options
    return StowDestination(name="web", kind="stow", url=url, **options)


def test_the_objects_go_out_byte_for_byte_in_one_request(objects: list[Path]) -> None:
    asked = send(objects, stow_answer(200, 3))
    assert (asked.method, asked.path) == ("POST", "/dicom-web/studies")
    assert asked.parts == [path.read_bytes() for path in objects]
    assert asked.headers["content-type"].startswith(
        'multipart/related; type="application/dicom"; boundary='
    )
    assert asked.headers["accept"] == "application/dicom+json"


@pytest.mark.parametrize(
    ("login", "headers"),
    [
        ({}, {}),
        (
            {"username": "pleura", "password": "secret"},
            {"authorization": "Basic cGxldXJhOnNlY3JldA=="},
        ),
        ({"token": "abc"}, {"authorization": "Bearer abc"}),
        ({"headers": {"X-Tenant": SecretStr("7")}}, {"x-tenant": "7"}),
    ],
)
def test_logins(
    objects: list[Path],
    login: dict[str, Any],
    headers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A password for the host in ~/.netrc is nobody's business."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password wrong\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    asked = send(objects, stow_answer(200, 3), **login)
    assert asked.headers.get("authorization") == headers.get("authorization")
    assert headers.items() <= asked.headers.items()


@pytest.mark.parametrize(
    "answer",
    [
        stow_answer(200, 3),
        (200, {}, b""),  # "all were stored", without naming them
        (200, {"Content-Type": "application/dicom+xml"}, b"<NativeDicomModel/>"),
        (200, {}, json.dumps([json.loads(stow_answer(200, 3)[2])]).encode()),
        stow_answer(202, 3),  # taken with warnings
    ],
)
def test_what_counts_as_taken(objects: list[Path], answer: Answer) -> None:
    send(objects, answer)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (stow_answer(202, 2, (0xA700,)), NotTakenError, "2 of 3 | HTTP 202, reason A700"),
        (stow_answer(200, 2, (0x0110,)), NotTakenError, "2 of 3 | HTTP 200, reason 0110"),
        (stow_answer(200, 2), NotTakenError, "2 of 3 | HTTP 200"),
        (stow_answer(202, 0), NotTakenError, "0 of 3 | HTTP 202"),
        (stow_answer(409, 0, (0xC000,) * 3), NotTakenError, "0 of 3 | HTTP 409, reason C000"),
        (stow_answer(409, 0), NotTakenError, "0 of 3"),
        (stow_answer(202, 2, (0x0122,)), NeverTakenError, "2 of 3 | HTTP 202, reason 0122"),
        (stow_answer(202, 1, (0x0122, 0xA700)), NotTakenError, "1 of 3"),
        (stow_answer(202, 2, (0,)), NotTakenError, "2 of 3"),
        ((400, {}, b""), NotTakenError, "HTTP 400"),
        ((500, {}, b"error"), NotTakenError, "HTTP 500"),
        ((302, {"Location": "http://example.org"}, b""), NotTakenError, "HTTP 302"),
        ((401, {}, b""), NotAdmittedError, "HTTP 401"),
        ((403, {}, b""), NotAdmittedError, "HTTP 403"),
        ((202, {}, b"{broken"), NotTakenError, "0 of 3"),
        ((202, {}, b'{"00081198": 7, "00081199": {"Value": "x"}}'), NotTakenError, "0 of 3"),
        ((200, {"Content-Length": "1000"}, b"{"), UnreachableError, "breaks off"),
        ((200, {}, b" " * 3_000_000), UnreachableError, "more than"),
    ],
)  # fmt: skip
def test_what_does_not(
    objects: list[Path], answer: Answer, error: type[DeliveryError], said: str
) -> None:
    with pytest.raises(error) as raised:
        send(objects, answer)
    assert all(words in raised.value.message for words in said.split(" | "))
    assert raised.value.final is (error is NeverTakenError)


def test_nobody_there(objects: list[Path]) -> None:
    url = f"http://127.0.0.1:{free_port()}/secret-path"
    with pytest.raises(UnreachableError) as raised:
        StowSender(destination(url)).send(objects)
    assert "secret-path" not in str(raised.value)


def test_a_server_that_does_not_answer_in_time(objects: list[Path]) -> None:
    release = threading.Event()

    def answer(asked: Asked) -> Answer:
        release.wait(20)
        return stow_answer(200, 3)

    with web_server(answer) as server:
        with pytest.raises(UnreachableError):
            StowSender(destination(server.url, response_seconds=0.2)).send(objects)
        release.set()


def test_certificates_of_both_sides(objects: list[Path], tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=made.ca)
    context.load_cert_chain(made.server.certificate, made.server.key)
    context.verify_mode = ssl.CERT_REQUIRED
    own = {"certificate": made.client.certificate, "key": made.client.key}
    with web_server(lambda asked: stow_answer(200, 3), context) as server:
        trusted = ClientTls(ca=made.ca, **own)
        StowSender(destination(server.url, tls=trusted)).send(objects)
        for tls in (ClientTls(**own), ClientTls(ca=made.ca), None):
            with pytest.raises(UnreachableError):
                StowSender(destination(server.url, tls=tls)).send(objects)
    assert len(server.asked) == 1


def test_read_gives_back_what_was_sent() -> None:
    """The helper of other tests, held against a file."""
    assert read(image(1)) == dataset(1)
