import pytest
import tiny_run


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Folder of the tiny data set."""
    root = tmp_path_factory.mktemp("data")
    tiny_run.write_data(root)
    return root
