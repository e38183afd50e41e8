import pytest

from pleura.errors import ConfigError
from pleura.models import NETWORKS, Network, create_network


def test_every_name_makes_a_network():
    small = {
        "unet": {"encoder": "mobilenet_v2"},
        "nested_unet": {"encoder": "mobilenet_v2"},
        "double_unet": {"decoder_widths": (8, 8, 8, 8), "context": 8},
        "chexnet": {"block_config": (1, 1)},
    }
    assert set(small) == set(NETWORKS)
    for name, options in small.items():
        assert isinstance(create_network(name, **options), Network)


def test_an_unknown_name_is_told_the_known_ones():
    with pytest.raises(ConfigError, match="no network 'resnet'") as caught:
        create_network("resnet")
    assert "unet" in caught.value.hint


@pytest.mark.parametrize("options", [{"depth": 3}, {"encoder": "vgg"}, {"output_stride": 3}])
def test_options_that_a_network_does_not_take(options):
    with pytest.raises(ConfigError, match="'unet' refuses its options"):
        create_network("unet", **options)
