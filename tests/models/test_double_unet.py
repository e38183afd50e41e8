import pytest
import torch
from network_tester import NetworkTester
from torch.nn import functional

from pleura.models.double_unet import DoubleUNet
from pleura.models.double_unet.decoder import ASPP

SMALL = {"decoder_widths": (64, 48, 40, 32), "context": 16}


class TestAsPublished(NetworkTester):
    name = "double_unet"
    options = {}
    stride = 16
    output_stride = 1
    image_logit = False
    parameters = 29_287_158


class TestSmallWithAnImageHead(NetworkTester):
    name = "double_unet"
    options = {**SMALL, "image_head": True, "mask_evidence": 0.5}
    stride = 16
    output_stride = 1
    parameters = 21_888_160


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return DoubleUNet(**SMALL).eval()


def _image(count=1, side=64):
    return torch.randn(count, 1, side, side, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_stride": 2}, "output_stride must be 1"),
        ({"decoder_widths": (8, 8, 8)}, "has 4 decoder widths, not 3"),
        ({"mask_evidence": 1.0}, "mask_evidence must lie in"),
    ],
)
def test_refuses_options_that_make_no_network(options, message):
    with pytest.raises(ValueError, match=message):
        DoubleUNet(**options)


def test_the_second_network_sees_the_image_where_the_first_has_pointed(network):
    """Figure 1: the input of the second encoder is the image times the first mask."""
    image, seen = _image(), []
    handle = network.decoder.encoder_2[0].register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0])
    )
    with torch.inference_mode():
        first, second = network.decoder.supervise(network.encoder(image))
    handle.remove()
    torch.testing.assert_close(seen[0], image * torch.sigmoid(first))
    with torch.inference_mode():
        assert torch.equal(network(image).mask_logits, second)


def test_both_masks_are_trained(network):
    network.train()
    try:
        output = network(_image(2))
    finally:
        network.eval()
    (first,) = output.auxiliary_mask_logits
    assert first.shape == output.mask_logits.shape == (2, 1, 64, 64)
    assert not torch.equal(first, output.mask_logits)
    assert network(_image()).auxiliary_mask_logits == ()


@pytest.mark.parametrize("level", range(1, 6))
def test_each_feature_of_the_first_encoder_reaches_either_mask(network, level):
    with torch.inference_mode():
        features = list(network.encoder(_image()))
        plain = network.decoder.supervise(features)
        features[level] = features[level] + 1
        changed = network.decoder.supervise(features)
    for one, other in zip(plain, changed, strict=True):
        assert not torch.equal(one, other)


def test_the_second_decoder_sees_the_skip_connections_of_both_encoders(network):
    first = network.encoder.channels[1:5]
    second = (32, 40, 48, 64)
    for block, below, one, other in zip(
        network.decoder.blocks_2, (16, 64, 48, 40), first[::-1], second[::-1], strict=True
    ):
        assert block[0][0].in_channels == below + one + other


def test_pyramid_pooling_joins_five_views_of_the_features():
    torch.manual_seed(0)
    pyramid = ASPP(6, 4).eval()
    features = torch.randn(2, 6, 10, 12)

    def branch(module, given, rate=None):
        padding, dilation = (rate, rate) if rate else (0, 1)
        made = functional.conv2d(given, module[0].weight, padding=padding, dilation=dilation)
        return functional.relu(module[1](made))

    with torch.inference_mode():
        views = [
            branch(pyramid.pooled, features.mean((2, 3), keepdim=True)).expand(-1, -1, 10, 12),
            branch(pyramid.plain, features),
            *(branch(m, features, r) for m, r in zip(pyramid.dilated, (6, 12, 18), strict=True)),
        ]
        torch.testing.assert_close(pyramid(features), branch(pyramid.join, torch.cat(views, dim=1)))


def test_one_image_alone_can_be_trained_on(network):
    """Batch normalisation of a pooled branch would find one value a channel."""
    network.train()
    try:
        assert torch.isfinite(network(_image(1)).mask_logits).all()
    finally:
        network.eval()
