import torch
from network_tester import NetworkTester

from pleura.models.chexnet import CheXNet


class TestSmallDenseNet(NetworkTester):
    name = "chexnet"
    options = {"block_config": (2, 2, 2), "init_features": 16, "growth_rate": 8}
    stride = 16
    parameters = 20_353


def test_the_defaults_are_densenet_121():
    torch.manual_seed(0)
    network = CheXNet().eval()
    with torch.inference_mode():
        output = network(torch.randn(1, 1, 64, 96))
    assert output.logit.shape == (1, 1)
    assert output.mask_logits is None
    # torchvision's 7,978,856 less 999 classes of 1024 weights and a bias, and two input channels
    # of 64 kernels of 7 x 7
    assert sum(p.numel() for p in network.parameters()) == 7_978_856 - 999 * 1025 - 2 * 64 * 49
    assert network.stride == 32


def test_dropout_reaches_the_dense_layers():
    torch.manual_seed(0)
    network = CheXNet(block_config=(2, 2), init_features=8, growth_rate=4, dropout=0.5)
    assert sum(isinstance(m, torch.nn.Dropout2d) and m.p == 0.5 for m in network.modules()) == 4
