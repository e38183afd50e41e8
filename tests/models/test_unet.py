import pytest
import torch
from network_tester import NetworkTester

from pleura.models.unet import UNet

WIDTHS = {4: (32, 24, 16), 2: (32, 24, 16, 12), 1: (32, 24, 16, 12, 8)}


def _options(encoder, output_stride, image_head=True):
    return {
        "encoder": encoder,
        "decoder_widths": WIDTHS[output_stride],
        "output_stride": output_stride,
        "image_head": image_head,
    }


class TestEfficientNetAtAQuarter(NetworkTester):
    """The embedded model's network."""

    name = "unet"
    options = {
        "encoder": "efficientnetv2_b0",
        "decoder_widths": [128, 64, 48],
        "output_stride": 4,
        "image_head": True,
    }
    output_stride = 4
    parameters = 6_359_106


class TestEfficientNetAtHalf(NetworkTester):
    name = "unet"
    options = _options("efficientnetv2_b0", 2, image_head=False)
    output_stride = 2
    image_logit = False
    parameters = 5_744_509


class TestEfficientNetAtFullSize(NetworkTester):
    name = "unet"
    options = _options("efficientnetv2_b0", 1)
    output_stride = 1
    parameters = 5_796_154


class TestMobileNetAtAQuarter(NetworkTester):
    name = "unet"
    options = _options("mobilenet_v2", 4, image_head=False)
    output_stride = 4
    image_logit = False
    parameters = 1_968_689


class TestMobileNetAtHalf(NetworkTester):
    name = "unet"
    options = _options("mobilenet_v2", 2)
    output_stride = 2
    parameters = 2_056_430


class TestMobileNetAtFullSize(NetworkTester):
    name = "unet"
    options = _options("mobilenet_v2", 1, image_head=False)
    output_stride = 1
    image_logit = False
    parameters = 1_974_953


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "vgg"}, "unknown encoder 'vgg'"),
        ({"output_stride": 8}, "output_stride must be 1, 2 or 4"),
        ({"output_stride": 1, "decoder_widths": (64, 32)}, "needs 5 decoder widths"),
    ],
)
def test_refuses_options_that_make_no_network(options, message):
    with pytest.raises(ValueError, match=message):
        UNet(**options)


def test_a_skip_connection_carries_what_the_bottleneck_has_lost():
    """Detail finer than the deepest features must change the mask through the skips."""
    torch.manual_seed(0)
    network = UNet("mobilenet_v2", WIDTHS[1], output_stride=1, image_head=False).eval()
    features = [
        torch.zeros(1, channels, 64 // stride, 64 // stride)
        for channels, stride in zip(network.encoder.channels, (2, 4, 8, 16, 32), strict=True)
    ]
    with torch.inference_mode():
        plain = network.decoder(features)
        for level in range(5):
            changed = [f + 1 if number == level else f for number, f in enumerate(features)]
            assert not torch.equal(network.decoder(changed), plain), f"level {level} has no effect"
