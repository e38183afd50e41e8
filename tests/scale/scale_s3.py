"""An S3-compatible server as a process of its own (moto)."""

import os
import subprocess
import sys
from typing import Any

import boto3
from scale_cluster import free_port
from scale_tools import end_with_the_tests, until

HOST = "127.0.0.1"


class S3Server:
    """A server that holds everything in memory; `environment` is what programs need to find it."""

    def __init__(self) -> None:
        self.port = free_port(HOST)
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://{HOST}:{self.port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "NO_PROXY": HOST,
            "AWS_MAX_ATTEMPTS": "1",
        }
        self.process: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(self.port)],
            env=os.environ | self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=end_with_the_tests,
        )
        until(self._answers, 60, "the S3 server starts")

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            region_name="us-east-1",
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)

    def _answers(self) -> bool:
        import socket

        try:
            socket.create_connection((HOST, self.port), 0.2).close()
        except OSError:
            return False
        return True
