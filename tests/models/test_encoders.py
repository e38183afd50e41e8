import numpy as np
import pytest
import torch
from torch.nn import functional

from pleura.models.blocks import ImageHead, SamePadConv2d, SqueezeExcite
from pleura.models.double_unet import DoubleUNet
from pleura.models.encoders import ENCODERS
from pleura.models.starting_weights import load_starting_weights
from pleura.models.unet import UNet
from pleura.models.weights import read_checkpoint


@pytest.mark.parametrize("name", ENCODERS)
def test_features_have_the_promised_strides_and_channels(name):
    encoder = ENCODERS[name]().eval()
    with torch.inference_mode():
        features = encoder(torch.zeros(1, 1, 64, 96))
    shapes = [tuple(f.shape[1:]) for f in features]
    assert shapes == [
        (channels, 64 // stride, 96 // stride)
        for channels, stride in zip(encoder.channels, (2, 4, 8, 16, 32), strict=True)
    ]


def _same_convolution(image, kernels, stride):
    """TensorFlow's 'SAME', from its definition: out = ceil(in / stride), less padding in front."""
    _, _, side, _ = image.shape
    kernel = kernels.shape[-1]
    out = -(-side // stride)
    total = max((out - 1) * stride + kernel - side, 0)
    padded = np.pad(image, ((0, 0), (0, 0), *[(total // 2, total - total // 2)] * 2))
    result = np.zeros((image.shape[0], kernels.shape[0], out, out))
    for row in range(out):
        for column in range(out):
            patch = padded[
                :,
                :,
                row * stride : row * stride + kernel,
                column * stride : column * stride + kernel,
            ]
            result[:, :, row, column] = np.einsum("ncij,ocij->no", patch, kernels)
    return result


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_same_padding_is_that_of_tensorflow(kernel, stride):
    torch.manual_seed(0)
    layer = SamePadConv2d(2, 3, kernel, stride)
    image = torch.randn(1, 2, 8, 8)
    expected = _same_convolution(image.numpy(), layer.weight.detach().numpy(), stride)
    np.testing.assert_allclose(layer(image).detach().numpy(), expected, atol=1e-5)


def test_same_padding_is_not_that_of_pytorch():
    """The two agree on the shape, so only the values tell."""
    layer = SamePadConv2d(1, 1, 3, 2)
    image = torch.arange(64.0).reshape(1, 1, 8, 8)
    symmetric = functional.conv2d(image, layer.weight, stride=2, padding=1)
    assert layer(image).shape == symmetric.shape
    assert not torch.allclose(layer(image), symmetric)


def test_squeeze_and_excite_scales_each_channel_by_one_gate():
    torch.manual_seed(0)
    block = SqueezeExcite(4, 2)
    features = torch.rand(2, 4, 5, 5) + 0.5
    gates = (block(features) / features).detach()
    assert torch.allclose(gates, gates.mean((2, 3), keepdim=True).expand_as(gates), atol=1e-5)
    assert (gates > 0).all()
    assert (gates < 1).all()


def test_the_image_head_sees_a_single_bright_place():
    torch.manual_seed(0)
    head = ImageHead(8, hidden=16).eval()
    features = torch.zeros(1, 8, 8, 8)
    spot = features.clone()
    spot[..., 3, 5] = 20.0
    with torch.inference_mode():
        moved = torch.roll(spot, (2, 1), (2, 3))
        assert not torch.allclose(head(features), head(spot))
        torch.testing.assert_close(head(spot), head(moved))


COMPLETE = [name for name in ENCODERS if name != "vgg19"]  # of that there are three blocks


@pytest.mark.real_data
@pytest.mark.parametrize("name", COMPLETE)
def test_the_imagenet_file_fills_every_tensor(name, real_data):
    network = UNet(name)
    report = load_starting_weights(network, weights_folder=real_data / "weights")
    own = {k for k in network.encoder.state_dict() if not k.endswith("num_batches_tracked")}
    assert own <= set(report.loaded)
    assert (report.missing, report.mismatched) == ((), ())
    heads = ("conv_head.", "bn2.", "classifier.", "features.18.")
    assert [key for key in report.unused if not key.startswith(heads)] == []
    assert network.encoder.weights_file in report.source


@pytest.mark.real_data
@pytest.mark.parametrize("name", COMPLETE)
def test_real_weights_answer_a_grey_picture_as_they_would_its_rgb_copy(name, real_data):
    network = UNet(name)
    load_starting_weights(network, weights_folder=real_data / "weights")
    encoder = network.encoder.eval()
    kernels = read_checkpoint(real_data / "weights" / f"{encoder.weights_file}.safetensors")[
        encoder.stem_key
    ].float()
    grey = torch.randn(1, 1, 64, 64)
    padding = (0, 1, 0, 1) if name == "efficientnetv2_b0" else (1, 1, 1, 1)
    rgb = functional.pad(grey.expand(-1, 3, -1, -1), padding)
    expected = functional.conv2d(rgb, kernels, stride=2)
    stem = encoder.get_submodule(encoder.stem_key.removesuffix(".weight"))
    torch.testing.assert_close(stem(grey), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.real_data
def test_the_first_blocks_of_vgg19_find_their_weights_and_the_rest_is_random(real_data):
    network = DoubleUNet()
    report = load_starting_weights(network, weights_folder=real_data / "weights")
    assert len(report.loaded) == 14
    assert (report.unused, report.mismatched) == ((), ())
    assert all(int(name.split(".")[1]) >= 16 for name in report.missing)
