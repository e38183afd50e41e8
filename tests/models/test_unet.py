import math

import pytest
import torch
from network_tester import NetworkTester

from pleura.models.blocks import LSE_SHARPNESS, POOLINGS, ImageHead
from pleura.models.joint import EVIDENCE_FLOOR, mask_evidence_logit
from pleura.models.unet import UNet

WIDTHS = {4: (32, 24, 16), 2: (32, 24, 16, 12), 1: (32, 24, 16, 12, 8)}


def _options(encoder, output_stride, image_head=True):
    return {
        "encoder": encoder,
        "decoder_widths": WIDTHS[output_stride],
        "output_stride": output_stride,
        "image_head": image_head,
    }


class TestTheEmbeddedModelsNetwork(NetworkTester):
    name = "unet"
    options = {
        "encoder": "efficientnetv2_b0",
        "decoder_widths": [128, 64, 48, 32],
        "output_stride": 2,
        "image_head": True,
        "mask_evidence": 0.67,
    }
    output_stride = 2
    parameters = 6_386_866


class TestEfficientNetAtAQuarter(NetworkTester):
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


class TestVGG19AtAQuarter(NetworkTester):
    name = "unet"
    options = _options("vgg19", 4, image_head=False)
    output_stride = 4
    image_logit = False
    parameters = 20_492_977


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
        ({"mask_evidence": 1.0}, "mask_evidence must lie in"),
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


def test_the_evidence_of_a_mask_is_the_mean_of_its_highest_probabilities():
    generator = torch.Generator().manual_seed(4)
    mask_logits = 3 * torch.randn(3, 1, 40, 50, generator=generator)
    evidence = mask_evidence_logit(mask_logits)
    assert evidence.shape == (3, 1)
    for image, given in zip(mask_logits.sigmoid(), evidence, strict=True):
        highest = sorted(image.flatten().tolist())[-6:]  # 0.3 % of 2,000
        mean = sum(highest) / 6
        assert given.item() == pytest.approx(math.log(mean / (1 - mean)), rel=1e-4)


def test_the_evidence_of_an_extreme_mask_is_finite():
    extreme = torch.stack([torch.full((1, 8, 8), value) for value in (-1e4, 1e4)])
    bound = math.log((1 - EVIDENCE_FLOOR) / EVIDENCE_FLOOR)
    torch.testing.assert_close(
        mask_evidence_logit(extreme), torch.tensor([[-bound], [bound]]), rtol=1e-3, atol=0
    )


def test_evidence_adds_to_the_head_and_leaves_the_mask_alone():
    torch.manual_seed(2)
    plain = UNet("mobilenet_v2", WIDTHS[2]).eval()
    weighing = UNet("mobilenet_v2", WIDTHS[2], mask_evidence=0.25).eval()
    weighing.load_state_dict(plain.state_dict())
    image = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        before, after = plain(image), weighing(image)
    assert torch.equal(before.mask_logits, after.mask_logits)
    expected = 0.75 * before.logit + 0.25 * mask_evidence_logit(before.mask_logits)
    torch.testing.assert_close(after.logit, expected)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_image_head_pools_as_its_name_says(pooling):
    torch.manual_seed(0)
    head = ImageHead(3, hidden=8, pooling=pooling).eval()
    features = torch.randn(2, 3, 4, 5)
    with torch.no_grad():
        logit = head(features)
        projected = head.project(features).flatten(2)
    assert logit.shape == (2, 1)
    mean, highest = projected.mean(2), projected.amax(2)
    if pooling == "attention":
        gate = head.attend(head.project(features)).flatten(2).softmax(2)
        pooled = (projected * gate).sum(2)
        assert (pooled <= highest + 1e-6).all()
    else:
        soft = torch.log(torch.exp(LSE_SHARPNESS * projected).mean(2)) / LSE_SHARPNESS
        pooled = {
            "mean": mean,
            "max": highest,
            "mean_max": torch.cat([mean, highest], dim=1),
            "lse": soft,
        }[pooling]
    torch.testing.assert_close(logit, head.linear(pooled))


def test_an_unknown_pooling_is_refused():
    with pytest.raises(ValueError, match="unknown pooling 'median'"):
        UNet(encoder="mobilenet_v2", pooling="median")
