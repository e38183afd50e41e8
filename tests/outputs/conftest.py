import sys
from pathlib import Path

import pytest

from pleura import Predictor
from tiny_model import write_model

sys.path.append(str(Path(__file__).parents[1] / "io"))  # for its maker of DICOM files


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny")


@pytest.fixture(scope="session")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """The tiny model, loaded once for all tests that only ask it."""
    return Predictor.load(write_model(tmp_path_factory.mktemp("model") / "tiny"))
