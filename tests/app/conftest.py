"""Engines, films and servers for the tests of the page."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from app_server import Server, serving

from tiny_model import write_model

sys.path.append(str(Path(__file__).parents[1] / "io"))  # for its maker of DICOM files


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny model."""
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def tiny_engine(tiny_model: Path) -> Any:
    """An engine with the tiny model."""
    from pleura.app.engine import LocalEngine
    from pleura.app.settings import AppSettings

    return LocalEngine(AppSettings(model=str(tiny_model)))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's Chromium without a screen, as on a laptop; skipped by name without it."""
    from app_browser import headless_chromium

    with headless_chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def tiny_server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page with the tiny model, a folder to open, and a file for feedback."""
    folder = tmp_path_factory.mktemp("tiny-server")
    (folder / "root").mkdir()
    options = (
        "--model", str(tiny_model), "--root", str(folder / "root"),
        "--feedback", str(folder / "feedback.sqlite"), "--keep-images", "--max-files", "60",
    )  # fmt: skip
    with serving(folder, *options) as server:
        yield server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page with the embedded model."""
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running
