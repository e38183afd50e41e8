"""`pleura serve` as a process: stopping, TLS, what cannot be listened on, and all parts at once."""

import io
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_process import ApiProcess, read_all, status_of
from api_service import png
from pydicom import dcmread
from service_images import dataset, image
from service_tools import free_port, until

from pleura.cli.main import main


def test_a_stop_lets_an_upload_end_and_then_exits(tmp_path: Path, tiny_model: Path) -> None:
    with ApiProcess(tmp_path / "api", tiny_model) as api, api.connect() as connection:
        content = image(1)
        begin_upload(api, connection, len(content))
        connection.sendall(content[:1000])
        api.process.terminate()
        until(lambda: refuses(api.address), what="no new connection is taken")
        connection.sendall(content[1000:])
        assert status_of(read_all(connection)) == 202
        assert api.process.wait(30) == 0
        assert len(list((api.data / "inputs").glob("??/*"))) == 1


def test_a_stop_does_not_wait_for_ever(tmp_path: Path, tiny_model: Path) -> None:
    with ApiProcess(tmp_path / "api", tiny_model, "stop_seconds = 1") as api:
        with api.connect() as connection:
            begin_upload(api, connection, 9999)
            began = time.monotonic()
            assert api.stop() == 0
            assert time.monotonic() - began < 15
        assert "Traceback" not in api.log


def begin_upload(api: ApiProcess, connection: socket.socket, length: int) -> None:
    """Send the head of an upload, and wait until the server asks for the body."""
    headers = (f"Content-Length: {length}", "Expect: 100-continue")
    connection.sendall(api.head("POST /v1/predictions HTTP/1.1", *headers))
    assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")


def refuses(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return True
    return False


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    made, key = folder / f"{name}.pem", folder / f"{name}.key"
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", str(key), "-out", str(made), "-days", "2", "-subj", f"/CN={name}"),
        *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
    )
    return made, key


def test_tls_with_certificates_on_both_sides(tmp_path: Path, tiny_model: Path) -> None:
    server, key = certificate(tmp_path, "server")
    client, client_key = certificate(tmp_path, "client")
    tls = f'[api.tls]\ncertificate = "{server}"\nkey = "{key}"\nca = "{client}"\n'
    with ApiProcess(tmp_path / "api", tiny_model, more=tls, scheme="https") as api:
        trusting = ssl.create_default_context(cafile=server)
        with pytest.raises(httpx.HTTPError), httpx.Client(verify=trusting) as stranger:
            stranger.get(f"{api.url}/health")
        trusting.load_cert_chain(client, client_key)
        with httpx.Client(verify=trusting, base_url=api.url, headers=api.headers()) as known:
            answer = known.get("/v1/jobs")
            assert answer.status_code == 200
            assert "max-age=" in answer.headers["strict-transport-security"]
            assert known.post("/v1/predictions", content=png(1)).status_code == 202
        # Plain HTTP on this port gets no answer, and the server lives.
        assert status_of(api.say(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")) in (0, 400)
        with httpx.Client(verify=trusting) as known:
            assert known.get(f"{api.url}/health").status_code == 200


def test_what_cannot_be_listened_on_is_said_with_exit_status_2(
    tmp_path: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PLEURA_STORAGE__FOLDER", str(tmp_path / "data"))
    monkeypatch.setenv("PLEURA_MODEL__MODEL", str(tiny_model))
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("no certificate")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for settings, said in (
            ({"PORT": port}, f"api.host and api.port: 127.0.0.1:{port}"),
            ({"HOST": "203.0.113.1"}, "cannot be listened on"),
            ({"TLS__CERTIFICATE": str(nothing), "TLS__KEY": str(nothing)}, "api.tls"),
            ({"HOST": "0.0.0.0", "REQUIRE_KEYS": "false"}, "loopback"),
        ):
            with pytest.MonkeyPatch.context() as patch:
                for name, value in settings.items():
                    patch.setenv(f"PLEURA_API__{name}", value)
                handlers = [signal.getsignal(number) for number in SIGNALS]
                try:
                    with pytest.raises(SystemExit) as ended:
                        main(["serve"])
                finally:
                    for number, handler in zip(SIGNALS, handlers, strict=True):
                        signal.signal(number, handler)
            assert ended.value.code == 2
            assert said in capsys.readouterr().err


SIGNALS = (signal.SIGTERM, signal.SIGINT)


def test_all_parts_under_one_parent(tmp_path: Path, tiny_model: Path) -> None:
    """Upload and answer through real workers; an API that is killed is replaced; no log names a
    patient; the end leaves nothing behind."""
    made = dataset(5)
    made.PatientName, made.PatientID, made.StudyDescription = "CANARY^JANE", "CANARY5", "CANARY"
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    files = [
        ("f", ("CANARY^JANE.dcm", stream.getvalue())),
        ("f", ("CANARY.png", png(1))),
        ("f", ("CANARY.txt", b"CANARY")),
    ]
    port, node_port = free_port(), free_port()
    node = f'[node]\nhost = "127.0.0.1"\nport = {node_port}\nany_peer = true\n'
    more = f'{node}[logs]\nlevel = "debug"\n'
    with ApiProcess(
        tmp_path / "api", tiny_model, arguments=("--all",), more=more, port=port
    ) as api:
        client: Any
        with httpx.Client(base_url=api.url, headers=api.headers(), timeout=120) as client:
            answer = client.post("/v1/predictions", params={"wait": 60}, files=files)
            assert answer.status_code == 200, answer.text
            items = answer.json()["items"]
            assert [item["state"] for item in items] == ["done", "done", "refused"]
            seg = dcmread(io.BytesIO(client.get(items[0]["job"]["links"]["seg"]).content))
            assert seg.PatientName == "CANARY^JANE"  # the object is the patient's
            assert client.get("/ready").status_code == 200
            socket.create_connection(("127.0.0.1", node_port), timeout=5).close()
            client.get("/CANARY?CANARY", headers={"authorization": "Bearer CANARY"})
            client.get("/v1/jobs", params={"source": "CANARY"})
            killed = child_of(api, "api")
            os.kill(killed, signal.SIGKILL)
        until(lambda: alive(api), seconds=60, what="another API answers")
        children = [int(found) for found in re.findall(r"(\d+) started", api.log)]
        assert killed in children
        stopped = threading.Thread(target=api.stop, args=(60,))
        stopped.start()
        stopped.join(60)
        assert api.process.returncode == 0
        for child in children:
            assert not Path(f"/proc/{child}").exists()
        assert "CANARY" not in api.log
        assert "2.25.7700" not in api.log
        assert "Traceback" not in api.log
        assert not any(secret in api.log for secret in api.secrets.values())


def child_of(api: ApiProcess, role: str) -> int:
    found = re.findall(rf"{role} (\d+) started", api.log)
    return int(found[-1])


def alive(api: ApiProcess) -> bool:
    try:
        return httpx.get(f"{api.url}/health").status_code == 200
    except httpx.HTTPError:
        return False
