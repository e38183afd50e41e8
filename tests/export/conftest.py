import pytest

from pleura.training.run import train
from tiny_run import config

JOINT = (
    "network.name=unet",
    "network.options={encoder: mobilenet_v2, decoder_widths: [16, 12, 8, 8], output_stride: 2}",
    "schedule.sizes=[[0, 64]]",
    "schedule.epochs=1",
    "preprocessing.size=64",
    "schedule.batch_size=4",
)


@pytest.fixture(scope="session")
def joint():
    """Overrides for a joint U-Net that is trained for one epoch."""
    return JOINT


@pytest.fixture(scope="session")
def run(data, tmp_path_factory):
    """Run folder of a joint U-Net that was trained for one epoch, fold 0 held out."""
    return train(config(data, tmp_path_factory.mktemp("runs") / "joint", *JOINT))
