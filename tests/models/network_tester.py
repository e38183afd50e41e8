"""What every network must do; each architecture adds a short subclass."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pleura.models import Network, NetworkOutput, create_network


class NetworkTester:
    """Set `name`, and per subclass what the architecture promises."""

    name: str
    options: dict
    stride = 32
    output_stride: int | None = None  # None: the network gives no mask
    image_logit = True
    parameters: int
    sizes = ((64, 64), (96, 64), (32, 128))
    size = 64

    @pytest.fixture(scope="class")
    @classmethod
    def network(cls) -> Network:
        """One network with random weights and lively batch statistics, in evaluation mode."""
        torch.manual_seed(7)
        network = create_network(cls.name, **cls.options)
        _enliven(network)
        return network.eval()

    def image(self, rows: int | None = None, columns: int | None = None, count: int = 2) -> Tensor:
        generator = torch.Generator().manual_seed(3)
        shape = (count, 1, rows or self.size, columns or self.size)
        return torch.randn(shape, generator=generator)

    def test_forward_gives_the_promised_shapes(self, network):
        for rows, columns in self.sizes:
            with torch.inference_mode():
                output = network(self.image(rows, columns))
            assert isinstance(output, NetworkOutput)
            if self.image_logit:
                assert output.logit.shape == (2, 1)
            else:
                assert output.logit is None
            if self.output_stride is None:
                assert output.mask_logits is None
            else:
                grid = (rows // self.output_stride, columns // self.output_stride)
                assert output.mask_logits.shape == (2, 1, *grid)
            assert all(torch.isfinite(part).all() for part in _parts(output))

    def test_says_its_strides(self, network):
        assert network.stride == self.stride
        if self.output_stride is not None:
            assert network.output_stride == self.output_stride

    @pytest.mark.parametrize("shape", [(0, 1), (1, 0)])
    def test_refuses_a_size_that_its_stride_does_not_divide(self, network, shape):
        rows, columns = (self.size + self.stride // 2 * odd for odd in shape)
        with pytest.raises(ValueError, match=f"divisible by {self.stride}"):
            network(self.image(rows, columns))

    @pytest.mark.parametrize("shape", [(1, 3, 64, 64), (1, 64, 64)])
    def test_refuses_what_is_not_one_grey_channel(self, network, shape):
        with pytest.raises(ValueError, match=r"shape \(n, 1, h, w\)"):
            network(torch.zeros(shape))

    def test_gradients_reach_every_parameter(self):
        torch.manual_seed(1)
        network = create_network(self.name, **self.options).train()
        output = network(self.image(count=3))
        # random weights instead of a sum: batch normalisation hides a plain sum from what precedes
        torch.stack(
            [(part * torch.randn_like(part)).sum() for part in _parts(output)]
        ).sum().backward()
        without = [
            name
            for name, parameter in network.named_parameters()
            if parameter.grad is None or not parameter.grad.abs().sum() > 0
        ]
        assert without == []

    def test_number_of_parameters(self, network):
        assert sum(parameter.numel() for parameter in network.parameters()) == self.parameters

    def test_evaluation_is_deterministic_and_does_not_mix_images(self, network):
        image = self.image(count=3)
        with torch.inference_mode():
            first, second, alone = network(image), network(image), network(image[1:2])
        for a, b, single in zip(_parts(first), _parts(second), _parts(alone), strict=True):
            assert torch.equal(a, b)
            torch.testing.assert_close(a[1:2], single, rtol=1e-4, atol=1e-4)

    def test_the_seed_decides_the_logits(self):
        outputs = []
        for seed in (5, 5, 6):
            torch.manual_seed(seed)
            network = create_network(self.name, **self.options).eval()
            with torch.inference_mode():
                outputs.append(
                    torch.cat([part.flatten() for part in _parts(network(self.image()))])
                )
        assert torch.equal(outputs[0], outputs[1])
        assert not torch.equal(outputs[0], outputs[2])

    def test_channels_last_gives_the_same_result(self, network):
        image = self.image()
        with torch.inference_mode():
            plain = network(image)
            other = create_network(self.name, **self.options).eval()
            other.load_state_dict(network.state_dict())
            other.to(memory_format=torch.channels_last)
            last = other(image.contiguous(memory_format=torch.channels_last))
        for a, b in zip(_parts(plain), _parts(last), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)

    def test_saved_and_loaded_it_is_the_same(self, network, tmp_path: Path):
        path = tmp_path / "network.safetensors"
        save_file(network.state_dict(), path)
        torch.manual_seed(99)
        other = create_network(self.name, **self.options).eval()
        other.load_state_dict(load_file(path), strict=True)
        with torch.inference_mode():
            for a, b in zip(
                _parts(network(self.image())), _parts(other(self.image())), strict=True
            ):
                assert torch.equal(a, b)

    @pytest.mark.filterwarnings(
        "ignore::DeprecationWarning",
        "ignore::torch.jit.TracerWarning",
        "ignore:Constant folding:UserWarning",
    )
    def test_onnx_runtime_gives_the_same_logits_at_any_batch_size(self, network, tmp_path: Path):
        path = tmp_path / "network.onnx"
        torch.onnx.export(
            _Tuple(network).eval(),
            (self.image(),),
            str(path),
            input_names=["image"],
            dynamic_axes={"image": {0: "n"}},
            dynamo=False,
        )
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        for count in (1, 3):
            image = self.image(count=count)
            with torch.inference_mode():
                expected = _parts(network(image))
            given = session.run(None, {"image": image.numpy()})
            assert len(given) == len(expected)
            for a, b in zip(given, expected, strict=True):
                np.testing.assert_allclose(a, b.numpy(), rtol=1e-3, atol=1e-3)


class _Tuple(nn.Module):
    """ONNX has no place for an output that is None."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(_parts(self.network(image)))


def _parts(output: NetworkOutput) -> list[Tensor]:
    single = [part for part in (output.logit, output.mask_logits) if part is not None]
    return [*single, *output.auxiliary_mask_logits]


def _enliven(network: Network) -> None:
    """Batch statistics other than 0 and 1, or half of the arithmetic would go untested."""
    generator = torch.Generator().manual_seed(11)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(0.1 * torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))
