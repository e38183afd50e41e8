"""The REST API on a real socket in this process, its keys, and a worker beside it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from service_tools import until

from pleura.service.api.server import listener_of, server_of, url_of
from pleura.service.judge import Judge
from pleura.service.keys import KeyStore, Role
from pleura.service.recipe import load_predictor
from pleura.service.settings import Settings
from pleura.service.settings.api import ApiSettings
from pleura.service.settings.storage import StorageSettings
from pleura.service.settings.work import ModelSettings, WorkerSettings
from pleura.service.wiring import Service, open_service


@dataclass
class Served:
    """A running API.

    Attributes:
        secrets: one key for each role, named after it.
        stop: ask it to stop; what is open may end.
    """

    service: Service
    url: str
    secrets: dict[Role, str]
    stop: Any
    _clients: list[httpx.Client] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        url = httpx.URL(self.url)
        return url.host, url.port or 0

    def client(self, role: Role | None = Role.ADMIN) -> httpx.Client:
        """A client with a key of this role; closed with the API."""
        headers = {} if role is None else {"authorization": f"Bearer {self.secrets[role]}"}
        client = httpx.Client(base_url=self.url, headers=headers, timeout=30)
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()


def settings_for(folder: Path, model: Path, **changes: Any) -> Settings:
    """Settings on a free port; `changes` are sections by name."""
    sections: dict[str, Any] = {
        "storage": StorageSettings(folder=folder / "data", reserve_gib=0.01),
        "model": ModelSettings(model=str(model), threads=1),
        "worker": WorkerSettings(retry_seconds=0.05, poll_seconds=0.02),
        "api": ApiSettings(port=0),
    }
    return Settings(**(sections | changes))


@contextmanager
def served(settings: Settings) -> Iterator[Served]:
    """Run the API in a thread, on a real socket; a key for each role is made."""
    service = open_service(settings)
    store = KeyStore(service.engine)
    secrets = {role: store.make(role.value, role) for role in Role}
    server = server_of(service)
    with listener_of(settings.api) as listener:
        url = url_of(settings.api, listener)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until(lambda: server.started or not thread.is_alive(), what="the API listens")

        def stop() -> None:
            server.should_exit = True

        running = Served(service, url, secrets, stop)
        try:
            yield running
        finally:
            running.close()
            stop()
            thread.join(20)
            assert not thread.is_alive(), "the API does not stop"
            service.close()


@contextmanager
def working(service: Service) -> Iterator[None]:
    """Judge what comes, in a thread."""
    predictor = load_predictor(service.settings.model)
    worker = service.settings.worker
    judge = Judge(predictor, service.recipe, service.files, service.jobs, worker, "test")
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            if judge.work() is None:
                ended.wait(0.01)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(20)


def run_all(service: Service) -> int:
    """Judge, in this thread, every job that is due; returns how many."""
    predictor = load_predictor(service.settings.model)
    worker = service.settings.worker
    judge = Judge(predictor, service.recipe, service.files, service.jobs, worker, "test")
    done = 0
    while judge.work() is not None:
        done += 1
    return done


def png(value: int = 0, side: int = 224) -> bytes:
    """A grey picture as PNG; each value below 60,000 has its own bytes and is negative."""
    import cv2
    import numpy as np

    pixels = np.zeros((side, side), np.uint8)
    pixels[::2, ::2] = 5
    pixels[0, :3] = (value % 40, value // 40 % 40, value // 1600)
    return bytes(cv2.imencode(".png", pixels)[1])
