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
