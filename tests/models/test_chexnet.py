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


SMALL = {"block_config": (2, 2), "init_features": 8, "growth_rate": 4}


def _with_map():
    torch.manual_seed(0)
    network = CheXNet(**SMALL, class_activation_map=True).eval()
    return network, torch.randn(2, 1, 64, 96)


def test_the_mean_of_the_class_activation_map_is_the_logit():
    network, image = _with_map()
    with torch.inference_mode():
        output = network(image)
        whole = network.densenet(image)
    assert output.mask_logits.shape == (2, 1, 64 // network.stride, 96 // network.stride)
    assert network.output_stride == network.stride
    torch.testing.assert_close(output.mask_logits.mean((2, 3)), output.logit)
    torch.testing.assert_close(output.logit, whole, atol=1e-6, rtol=1e-6)


def test_the_map_is_grad_cam_up_to_bias_and_scale():
    """Grad-CAM by its own definition: features weighted by the mean gradient, then cut at zero."""
    network, image = _with_map()
    features = network.features(image).detach().requires_grad_()
    network.judge(features).sum().backward()
    weights = features.grad.mean((2, 3), keepdim=True)
    grad_cam = (weights * features).sum(1, keepdim=True).relu()
    with torch.no_grad():
        ours = network.activation_map(features) - network.densenet.class_layers.out.bias
    places = features.shape[2] * features.shape[3]
    torch.testing.assert_close(grad_cam * places, ours.relu())


def test_dropout_reaches_the_dense_layers():
    torch.manual_seed(0)
    network = CheXNet(block_config=(2, 2), init_features=8, growth_rate=4, dropout=0.5)
    assert sum(isinstance(m, torch.nn.Dropout2d) and m.p == 0.5 for m in network.modules()) == 4
