"""An authority with certificates for a server and a client, and one that nobody trusts."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificate:
    certificate: Path
    key: Path


@dataclass(frozen=True)
class Certificates:
    ca: Path
    server: Certificate
    client: Certificate
    stranger: Certificate


def make_certificates(folder: Path) -> Certificates:
    """Made by openssl; the test is skipped where it is missing."""
    authority = _signed(folder / "ca", "Test authority", None)
    other = _signed(folder / "other-ca", "Another authority", None)
    return Certificates(
        authority.certificate,
        _signed(folder / "server", "localhost", authority),
        _signed(folder / "client", "modality", authority),
        _signed(folder / "stranger", "stranger", other),
    )


def _signed(stem: Path, name: str, by: Certificate | None) -> Certificate:
    """A certificate of a new key; signed by itself, as an authority, without `by`."""
    made = Certificate(stem.with_suffix(".pem"), stem.with_suffix(".key"))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext"]
    if by is None:
        command += ["basicConstraints=critical,CA:TRUE"]
        command += ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    else:
        command += ["subjectAltName=DNS:localhost,IP:127.0.0.1"]
        command += ["-addext", "basicConstraints=CA:FALSE"]
        command += ["-CA", str(by.certificate), "-CAkey", str(by.key)]
    command += ["-keyout", str(made.key), "-out", str(made.certificate)]
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return made
