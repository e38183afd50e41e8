import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from scale_tools import fill, run

from tiny_model import write_model

SMALL = 150
SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """pytest's own, but in memory where there is room: runs synchronise every file they write."""
    roomy = SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > 1 << 30
    folder = Path(tempfile.mkdtemp(prefix="pleura-test-", dir=SHARED_MEMORY if roomy else None))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 radiographs and three files that are none."""
    return fill(tmp_path_factory.mktemp("inputs"), SMALL)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory, inputs: Path, model: Path) -> Path:
    """What the local engine says of `inputs`, in chunks of 8, undisturbed."""
    output = tmp_path_factory.mktemp("reference") / "out"
    run(inputs, output, "--model", model, "--chunk", "8", "--workers", "1", status=1)
    return output
