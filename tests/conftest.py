"""Fixtures that several rooms share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real radiographs named by PLEURA_REAL_DATA; the test is skipped without it."""
    named = os.environ.get("PLEURA_REAL_DATA", "")
    if not named:
        pytest.skip("PLEURA_REAL_DATA is not set: no real radiographs to test on")
    folder = Path(named)
    if not (folder / "index.csv").is_file():
        pytest.fail(f"PLEURA_REAL_DATA={named} holds no index.csv")
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny data set that a network is trained on in seconds."""
    from tiny_run import write_data  # needs pandas, which most tests do without

    root = tmp_path_factory.mktemp("data")
    write_data(root)
    return root
