import pytest
import torch
from network_tester import NetworkTester

from pleura.models.nested_unet import NestedUNet

WIDTHS = (32, 24, 16, 12)
# Numbers of parameters: those of the encoder, and of each node with `inputs` and `width`
# 9 * inputs * width + 9 * width^2 + 4 * width; of each mask head width + 1.


def _options(encoder, output_stride, **others):
    return {
        "encoder": encoder,
        "decoder_widths": WIDTHS,
        "output_stride": output_stride,
        **others,
    }


class TestEfficientNetAtHalf(NetworkTester):
    name = "nested_unet"
    options = _options("efficientnetv2_b0", 2, mask_evidence=0.5)
    output_stride = 2
    parameters = 5_894_885


class TestMobileNetAtAQuarter(NetworkTester):
    name = "nested_unet"
    options = _options("mobilenet_v2", 4, image_head=False)
    output_stride = 4
    image_logit = False
    parameters = 2_033_459


class TestPrunedMobileNetWithoutDeepSupervision(NetworkTester):
    name = "nested_unet"
    options = _options("mobilenet_v2", 2, depth=2, deep_supervision=False)
    output_stride = 2
    parameters = 1_916_286


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_stride": 1}, "output_stride must be 2 or 4"),
        ({"output_stride": 2, "decoder_widths": (8, 8, 8)}, "needs 4 decoder widths"),
        ({"output_stride": 4, "depth": 4}, "depth must lie in 1 to 3"),
        ({"depth": 0}, "depth must lie in 1 to 4"),
    ],
)
def test_refuses_options_that_make_no_network(options, message):
    with pytest.raises(ValueError, match=message):
        NestedUNet("mobilenet_v2", **options)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return NestedUNet(**_options("mobilenet_v2", 2)).eval()


def _features(network, side=64):
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(1, channels, side // stride, side // stride, generator=generator)
        for channels, stride in zip(network.encoder.channels, (2, 4, 8, 16, 32), strict=True)
    ]


def test_there_is_a_node_for_every_pair_of_the_papers_triangle(network):
    assert set(network.decoder.nodes) == {f"{i}_{j}" for j in range(1, 5) for i in range(5 - j)}


def test_each_node_sees_its_whole_row_and_the_one_below(network):
    """Figure 1a of the paper: X^{i,j} from X^{i,0} to X^{i,j-1} and X^{i+1,j-1}."""
    features = _features(network)
    nodes = {(i, 0): feature for i, feature in enumerate(features)}
    for j in range(1, 5):
        for i in range(5 - j):
            up = nodes[i + 1, j - 1].repeat_interleave(2, 2).repeat_interleave(2, 3)
            row = torch.cat([*(nodes[i, k] for k in range(j)), up], dim=1)
            with torch.inference_mode():
                nodes[i, j] = network.decoder.nodes[f"{i}_{j}"](row)
    with torch.inference_mode():
        first = network.decoder.first_row(features)
    assert len(first) == 4
    for j, node in enumerate(first, start=1):
        torch.testing.assert_close(node, nodes[0, j])


def test_training_gives_a_mask_for_each_node_of_the_first_row_and_evaluation_the_last(network):
    image = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(5))
    evaluated = network(image)
    assert evaluated.auxiliary_mask_logits == ()
    network.train()
    try:
        trained = network(image)
    finally:
        network.eval()
    assert [mask.shape for mask in trained.auxiliary_mask_logits] == [(2, 1, 32, 32)] * 3
    plain = NestedUNet(**_options("mobilenet_v2", 2, deep_supervision=False)).train()
    assert plain(image).auxiliary_mask_logits == ()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_pruned_it_gives_the_mask_that_was_supervised_at_that_depth(network, depth):
    image = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(5))
    smaller = network.pruned(depth)
    assert not smaller.training
    with torch.inference_mode():
        features = network.encoder(image)
        expected = network.decoder.supervise(features)[depth - 1]
        given = smaller(image)
        assert torch.equal(given.mask_logits, expected)
        assert torch.equal(given.logit, network(image).logit)
    assert _size(smaller.decoder) < _size(network.decoder)
    assert _size(smaller.pruned(1).decoder) <= _size(smaller.decoder)


def test_pruned_to_its_own_depth_it_is_itself(network):
    assert network.pruned(4) is network


@pytest.mark.parametrize("depth", [0, 5])
def test_cannot_be_pruned_to_a_node_that_is_not_there(network, depth):
    with pytest.raises(ValueError, match=f"cannot prune to depth {depth}"):
        network.pruned(depth)


def test_without_deep_supervision_no_earlier_mask_was_trained():
    network = NestedUNet(**_options("mobilenet_v2", 2, deep_supervision=False))
    with pytest.raises(ValueError, match="0 earlier ones have a mask"):
        network.pruned(2)


def _size(module):
    return sum(parameter.numel() for parameter in module.parameters())
