from pathlib import Path

import pytest

from tiny_model import write_model


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny")
