"""Starting weights from small files with the key names of the real ones."""

import re
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from pleura.errors import ModelError
from pleura.models.chexnet import CheXNet
from pleura.models.chexnet.checkpoints import CheckpointKind, densenet_state
from pleura.models.double_unet import DoubleUNet
from pleura.models.encoders import ENCODERS, VGG19
from pleura.models.starting_weights import load_starting_weights
from pleura.models.unet import UNet
from pleura.models.weights import fill, grey_kernels, read_checkpoint

TINY = {"block_config": (2, 1), "init_features": 8, "growth_rate": 4}
MEAN, STD = 0.449, 0.226


class TorchvisionDenseNet(nn.Module):
    """torchvision's DenseNet, its names and its forward pass, as small as `TINY`."""

    def __init__(self, channels=3, classes=14):
        super().__init__()
        features = OrderedDict(
            conv0=nn.Conv2d(channels, 8, 7, stride=2, padding=3, bias=False),
            norm0=nn.BatchNorm2d(8),
            relu0=nn.ReLU(),
            pool0=nn.MaxPool2d(3, stride=2, padding=1),
            denseblock1=_DenseBlock(8, 2),
            transition1=nn.Sequential(
                OrderedDict(
                    norm=nn.BatchNorm2d(16),
                    relu=nn.ReLU(),
                    conv=nn.Conv2d(16, 8, 1, bias=False),
                    pool=nn.AvgPool2d(2, 2),
                )
            ),
            denseblock2=_DenseBlock(8, 1),
            norm5=nn.BatchNorm2d(12),
        )
        self.features = nn.Sequential(features)
        self.classifier = nn.Linear(12, classes)

    def forward(self, image):
        return functional.relu(self.features(image)).mean((2, 3))


class _DenseLayer(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, 16, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 4, 3, padding=1, bias=False)

    def forward(self, image):
        hidden = self.conv1(functional.relu(self.norm1(image)))
        return torch.cat([image, self.conv2(functional.relu(self.norm2(hidden)))], 1)


class _DenseBlock(nn.Sequential):
    def __init__(self, inputs, layers):
        super().__init__()
        for number in range(layers):
            self.add_module(f"denselayer{number + 1}", _DenseLayer(inputs + 4 * number))


def _reference(channels):
    torch.manual_seed(4)
    network = TorchvisionDenseNet(channels).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    return network


def _old_names(state):
    """As torch 0.3 wrote them, under the module names of the CheXNet reproduction."""
    return {
        "module.densenet121."
        + re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)\.", r"\1.\2.", name): tensor
        for name, tensor in state.items()
    }


def _features(network, image):
    """What the tiny CheXNet's last pooling gives."""
    with torch.inference_mode():
        return functional.relu(network.densenet.features(image)).mean((2, 3))


def _classless(names):
    return {name for name in names if not name.endswith("num_batches_tracked")}


def _check_report(report, network):
    """Every feature tensor is filled; only the two layers of the other classifier find no place."""
    names = _classless(network.densenet.state_dict())
    head = {name for name in names if name.startswith("class_layers")}
    assert _classless(report.loaded) == names - head
    assert set(report.missing) == head
    assert report.mismatched == ()
    assert all("classifier" in name for name in report.unused)
    assert len(report.unused) == 2


def test_torchvision_checkpoint(tmp_path):
    reference = _reference(3)
    torch.save(reference.state_dict(), tmp_path / "densenet.pth")
    network = CheXNet(**TINY).eval()
    report = load_starting_weights(network, tmp_path / "densenet.pth", None, MEAN, STD)
    assert report.source == "torchvision DenseNet checkpoint densenet.pth"
    _check_report(report, network)
    grey = torch.randn(2, 1, 32, 32)
    with torch.inference_mode():
        expected = reference(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(_features(network, grey), expected)


def test_original_chexnet_checkpoint(tmp_path):
    reference = _reference(3)
    state = _old_names(reference.state_dict())
    assert "module.densenet121.features.denseblock1.denselayer1.norm.1.weight" in state
    torch.save({"epoch": 3, "best_loss": 0.1, "state_dict": state}, tmp_path / "m-25012018.pth.tar")
    network = CheXNet(**TINY).eval()
    report = load_starting_weights(network, tmp_path / "m-25012018.pth.tar", None, MEAN, STD)
    assert report.source == "CheXNet checkpoint m-25012018.pth.tar"
    _check_report(report, network)
    grey = torch.randn(2, 1, 32, 32)
    with torch.inference_mode():
        expected = reference(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(_features(network, grey), expected)


def test_torchxrayvision_checkpoint_sees_its_own_input_range(tmp_path):
    """Equal features away from the rim, where the zero padding means another grey."""
    reference = _reference(1)
    with torch.no_grad():
        reference.features.conv0.weight.div_(1024)  # trained on pixels in [-1024, 1024]
    save_file(reference.state_dict(), tmp_path / "xrv.safetensors")
    network = CheXNet(**TINY).eval()
    report = load_starting_weights(network, tmp_path / "xrv.safetensors", None, MEAN, STD)
    assert report.source == "torchxrayvision DenseNet checkpoint xrv.safetensors"
    _check_report(report, network)
    pixels = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        expected = reference.features[:3]((2 * pixels - 1) * 1024)
        given = network.densenet.features[:3]((pixels - MEAN) / STD)
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(given[inside], expected[inside], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(given, expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ({"module.densenet121.features.conv0.weight": torch.zeros(1, 3, 7, 7)}, "CHEXNET"),
        ({"features.conv0.weight": torch.zeros(1, 3, 7, 7)}, "TORCHVISION"),
        ({"features.conv0.weight": torch.zeros(1, 1, 7, 7)}, "TORCHXRAYVISION"),
    ],
)
def test_a_checkpoint_is_told_by_its_keys(state, kind):
    renamed, told = densenet_state(state, MEAN, STD)
    assert told is CheckpointKind[kind]
    assert list(renamed) == ["features.conv0.weight"]
    assert renamed["features.conv0.weight"].shape == (1, 1, 7, 7)


@pytest.mark.parametrize("prefix", ["", "network."])
@pytest.mark.parametrize("make", [lambda: CheXNet(**TINY), lambda: UNet("mobilenet_v2")])
def test_a_network_takes_its_own_checkpoint_and_that_of_a_run(make, prefix, tmp_path):
    torch.manual_seed(1)
    trained = make()
    state = {prefix + name: tensor for name, tensor in trained.state_dict().items()}
    torch.save({"epoch": 2, "state_dict": state}, tmp_path / "best.ckpt")
    network = make()
    report = load_starting_weights(network, tmp_path / "best.ckpt")
    assert (report.missing, report.unused, report.mismatched) == ((), (), ())
    assert report.sha256 == sha256((tmp_path / "best.ckpt").read_bytes()).hexdigest()
    for name, tensor in trained.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name


SUMMED = ["efficientnetv2_b0", "mobilenet_v2"]  # encoders whose file is in RGB, as torchvision's


@pytest.mark.parametrize("name", SUMMED)
def test_imagenet_encoder_from_a_folder(name, tmp_path):
    torch.manual_seed(2)
    source, network = ENCODERS[name](), UNet(name)
    state = {key: tensor.half() for key, tensor in source.state_dict().items()}
    state[source.stem_key] = state[source.stem_key].repeat(1, 3, 1, 1)
    state["classifier.weight"] = torch.zeros(5, 7)
    save_file(state, tmp_path / f"{source.weights_file}.safetensors")
    decoder = {key: tensor.clone() for key, tensor in network.decoder.state_dict().items()}
    report = load_starting_weights(network, weights_folder=tmp_path)
    assert report.source == f"ImageNet weights {source.weights_file}.safetensors"
    assert (report.missing, report.mismatched) == ((), ())
    assert report.unused == ("classifier.weight",)
    stem = network.encoder.state_dict()[source.stem_key]
    assert stem.dtype == torch.float32
    torch.testing.assert_close(stem, 3 * source.state_dict()[source.stem_key], rtol=2e-3, atol=2e-3)
    for key, tensor in network.decoder.state_dict().items():
        assert torch.equal(tensor, decoder[key])


@pytest.fixture(scope="module")
def vgg_state():
    """torchvision's `vgg19`, its classifier made small."""
    torch.manual_seed(6)
    state = VGG19().state_dict()
    state["features.0.weight"] = torch.randn(64, 3, 3, 3)
    state["features.0.bias"] = torch.randn(64)
    return {**state, "classifier.0.weight": torch.zeros(2, 3), "classifier.0.bias": torch.zeros(2)}


@pytest.mark.parametrize("make", [DoubleUNet, lambda: UNet("vgg19")], ids=["double", "u-net"])
def test_torchvision_vgg19_checkpoint(make, vgg_state, tmp_path):
    torch.save(vgg_state, tmp_path / "vgg19-dcbb9e9d.pth")
    network = make()
    report = load_starting_weights(network, tmp_path / "vgg19-dcbb9e9d.pth")
    assert report.source == "encoder's checkpoint vgg19-dcbb9e9d.pth"
    assert set(report.loaded) == set(network.encoder.state_dict())
    assert set(report.unused) == {"classifier.0.weight", "classifier.0.bias"}
    assert (report.missing, report.mismatched) == ((), ())
    grey = torch.randn(1, 1, 8, 8)
    expected = functional.conv2d(
        grey.expand(-1, 3, -1, -1), vgg_state["features.0.weight"], vgg_state["features.0.bias"]
    )
    given = functional.conv2d(
        grey, network.encoder.features[0].weight, network.encoder.features[0].bias
    )
    torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(network.encoder.features[34].weight, vgg_state["features.34.weight"])


def test_partial_caffe_weights_of_vgg_answer_as_they_would_to_their_own_input(vgg_state, tmp_path):
    kept = {f"features.{n}.{kind}" for n in (0, 2, 5, 7, 10, 12, 14) for kind in ("weight", "bias")}
    state = {name: tensor for name, tensor in vgg_state.items() if name in kept}
    save_file(state, tmp_path / "vgg16_blocks1to3.safetensors")
    network = DoubleUNet()
    random = network.encoder.features[16].weight.clone()
    report = load_starting_weights(network, None, tmp_path, MEAN, STD)
    assert set(report.loaded) == kept
    assert {name.split(".")[1] for name in report.missing} == {
        "16",
        "19",
        "21",
        "23",
        "25",
        "28",
        "30",
        "32",
        "34",
    }
    assert torch.equal(network.encoder.features[16].weight, random)
    pixels = torch.rand(1, 1, 8, 8)
    caffe = torch.cat([255 * pixels - mean for mean in (103.939, 116.779, 123.68)], dim=1)
    stem = network.encoder.features[0]
    given = functional.conv2d((pixels - MEAN) / STD, stem.weight, stem.bias)
    expected = functional.conv2d(caffe, state["features.0.weight"], state["features.0.bias"])
    torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-2)


def test_without_a_file_the_run_says_random(tmp_path):
    report = load_starting_weights(UNet("mobilenet_v2"), weights_folder=tmp_path)
    assert (report.summary(), report.sha256) == ("random initialisation", "")
    assert load_starting_weights(CheXNet(**TINY), weights_folder=tmp_path).loaded == ()


def test_grey_kernels_answer_as_rgb_with_equal_channels():
    kernels = torch.randn(4, 3, 5, 5)
    grey = torch.randn(2, 1, 9, 9)
    torch.testing.assert_close(
        functional.conv2d(grey, grey_kernels(kernels)),
        functional.conv2d(grey.expand(-1, 3, -1, -1), kernels),
        rtol=1e-4,
        atol=1e-4,
    )
    assert torch.equal(grey_kernels(kernels[:, :1]), kernels[:, :1])


def test_fill_reports_every_key():
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    kept = module[1].weight.detach().clone()
    state = {"0.weight": torch.ones(3, 2), "0.bias": torch.ones(5), "9.weight": torch.ones(1)}
    report = fill(module, state, "a test")
    assert report.loaded == ("0.weight",)
    assert report.missing == ("1.weight", "1.bias")
    assert report.unused == ("9.weight",)
    assert report.mismatched == ("0.bias",)
    assert torch.equal(module[0].weight, torch.ones(3, 2))
    assert torch.equal(module[1].weight, kept)
    assert report.summary() == ("a test: 1 tensors loaded, 2 random, 1 unused, 1 of another shape")


@dataclass
class Payload:
    """Stands for a pickled network."""

    value: int = 1


@pytest.mark.parametrize("content", [Payload(), {"state_dict": Payload()}, [1, 2], {"a": "text"}])
def test_what_is_not_a_state_dict_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"model\.pt") as caught:
        read_checkpoint(tmp_path / "model.pt")
    assert "state_dict()" in caught.value.hint


def test_a_pickle_is_refused_without_being_executed(tmp_path):
    proof = tmp_path / "executed"

    class Trap:
        def __reduce__(self):
            return open, (str(proof), "w")

    torch.save({"state_dict": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(ModelError, match="cannot be read safely"):
        read_checkpoint(tmp_path / "trap.pt")
    assert not proof.exists()


@pytest.mark.parametrize("name", ["missing.pt", "missing.safetensors"])
def test_a_missing_checkpoint(name, tmp_path):
    with pytest.raises(ModelError, match="There is no checkpoint"):
        read_checkpoint(tmp_path / name)


@pytest.mark.parametrize("name", ["broken.pt", "broken.safetensors"])
def test_a_broken_checkpoint(name, tmp_path):
    (tmp_path / name).write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError, match="cannot be read safely"):
        read_checkpoint(tmp_path / name)


def test_a_checkpoint_of_another_architecture(tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "linear.pt")
    for network in (UNet("mobilenet_v2"), CheXNet(**TINY)):
        with pytest.raises(ModelError, match="No tensor of the checkpoint"):
            load_starting_weights(network, tmp_path / "linear.pt")
