"""A model folder as starting weights: from folded ONNX files back to a network that can learn.

In the files of a model folder each batch normalisation is folded into the convolution before it:
weights W and a bias b, and no statistics. To learn on, the network needs them back. With W in the
convolution, the mean m and variance v of its output are measured on training images, and the
normalisation gets the factor sqrt(v + eps) and the shift b + m. In evaluation mode the network then
says what the files say; in training mode a batch's own statistics stand near the measured ones, as
in a network that was never exported.

An image-level head of another kind, with another pooling say, starts at random where it differs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from pleura.errors import ModelError
from pleura.inference.manifest import Manifest, sha256_of
from pleura.inference.preprocess import prepare
from pleura.models import Network
from pleura.models.weights import LoadReport
from pleura.training.config import TrainingConfig
from pleura.training.examples import TrainingData, as_radiograph

MEASURED_IMAGES = 256
HEAD = "head."
_BATCH = 16
_INT16, _SCALE, _BIAS = "_int16", "_scale", "_bias"
_COUNT = "num_batches_tracked"


def load_released(network: Network, config: TrainingConfig, data: TrainingData) -> LoadReport:
    """Fill a network from the model folder that `network.checkpoint` names.

    Args:
        network: changed in place; of the architecture that was exported, but for its head.
        config: of the run.
        data: statistics are measured on the first of its training images, in random order.

    Raises:
        ModelError: the folder is damaged or belongs to another architecture.
    """
    folder = config.network.checkpoint
    if folder is None:
        raise ValueError("the configuration names no model folder")
    rng = np.random.default_rng(config.seed)
    chosen = rng.permutation(data.training[~data.examples.synthetic[data.training]])
    images = [
        torch.from_numpy(prepare(as_radiograph(data.examples.images[i]), config.preprocessing)[0])
        for i in chosen[:MEASURED_IMAGES]
    ]
    return restore(network, folder, torch.cat(images))


def restore(network: Network, folder: Path, images: Tensor) -> LoadReport:
    """Fill a network from a model folder, with statistics of these images.

    Args:
        network: changed in place; left in the mode that it was in.
        folder: with `manifest.json` and the two ONNX files that `pleura export` wrote.
        images: (n, 1, size, size), standardised.

    Raises:
        ModelError: the folder is damaged or belongs to another architecture.
    """
    manifest = Manifest.read(folder)
    stored = _stored(folder, manifest)
    pairs = _normalised(network, images[:1])
    fitted = _fitted(network, pairs, stored)
    own = network.state_dict()
    lacking = [name for name in own if name not in fitted and not name.endswith(_COUNT)]
    beyond_head = [name for name in lacking if not name.startswith(HEAD)]
    if beyond_head:
        raise ModelError(
            f"The model {manifest.name} {manifest.version} does not fit this network: it has no "
            f"{', '.join(beyond_head[:3])}{' and others' if len(beyond_head) > 3 else ''} of that "
            "shape.",
            "Give network.options of the network that was exported; it must be a U-Net.",
        )
    network.load_state_dict(own | fitted)
    _measure(network, [p for p in pairs if f"{p.normalisation}.bias" in fitted], images)
    return LoadReport(
        source=f"model folder {manifest.name} {manifest.version}",
        loaded=tuple(fitted),
        missing=tuple(name for name in lacking if name not in stored),
        mismatched=tuple(name for name in lacking if name in stored),
        sha256=sha256_of(folder / manifest.classifier.file),
    )


def _stored(folder: Path, manifest: Manifest) -> dict[str, Tensor]:
    """Weights by the network's own names; those stored in 16 bits made whole again."""
    if not manifest.is_onnx:
        raise ModelError(
            f"{manifest.name} {manifest.version} is a copy in 8-bit integers.",
            "Start from the model that it was made of.",
        )
    arrays: dict[str, NDArray[Any]] = {}
    for component in (manifest.segmenter, manifest.classifier):
        if component is None:
            continue
        path = folder / component.file
        if not path.is_file() or sha256_of(path) != component.sha256:
            raise ModelError(f"{component.file} is missing or not the one of the manifest.")
        for tensor in onnx.load(path).graph.initializer:
            arrays[tensor.name] = numpy_helper.to_array(tensor)
    stored: dict[str, Tensor] = {}
    for name, values in arrays.items():
        if name.endswith(_INT16):
            name = name.removesuffix(_INT16)
            values = values.astype(np.float32) * arrays[name + _SCALE]
        if values.dtype == np.float32:
            stored[_own_name(name)] = torch.from_numpy(values.copy())
    return stored


def _own_name(name: str) -> str:
    """Undo what `pleura.export.stages` puts before or takes from the names of a U-Net."""
    name = name.removeprefix("network.")
    return f"decoder.{name}" if name.startswith("mask_head.") else name


@dataclass(frozen=True)
class _Pair:
    """A convolution and the normalisation that takes its output."""

    convolution: str
    normalisation: str


def _normalised(network: Network, image: Tensor) -> list[_Pair]:
    """The pairs, found by watching one forward pass."""
    outputs: dict[int, tuple[str, Tensor]] = {}  # the tensor is kept, or its id would be reused
    pairs: list[_Pair] = []
    handles = []

    def remember(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            outputs[id(output)] = (name, output)

        return hook

    def match(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if id(inputs[0]) in outputs:
                pairs.append(_Pair(outputs[id(inputs[0])][0], name))

        return hook

    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(remember(name)))
        elif isinstance(module, nn.BatchNorm2d):
            handles.append(module.register_forward_pre_hook(match(name)))
    _run(network, image)
    for handle in handles:
        handle.remove()
    return pairs


def _fitted(network: Network, pairs: list[_Pair], stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights that have a place in the network; normalisations add the folded bias alone."""
    state = network.state_dict()
    modules = dict(network.named_modules())
    fitted = {
        name: stored[name]
        for name, parameter in network.named_parameters()
        if name in stored
        and stored[name].shape == parameter.shape
        and not isinstance(modules[name.rpartition(".")[0]], nn.BatchNorm2d)
    }
    for pair in pairs:
        name, module = pair.normalisation, modules[pair.normalisation]
        bias = stored.get(f"{pair.convolution}.weight{_BIAS}")
        if bias is None or bias.shape != state[f"{name}.bias"].shape:
            continue
        if not isinstance(module, nn.BatchNorm2d):
            raise TypeError(f"{name} is no batch normalisation")
        fitted[f"{name}.bias"] = bias
        fitted[f"{name}.weight"] = torch.ones_like(bias)
        fitted[f"{name}.running_mean"] = torch.zeros_like(bias)
        fitted[f"{name}.running_var"] = torch.full_like(bias, 1.0 - module.eps)
    return fitted


@torch.no_grad()
def _measure(network: Network, pairs: list[_Pair], images: Tensor) -> None:
    """Give each normalisation the statistics of what it takes, without changing what it gives."""
    modules = dict(network.named_modules())
    sums = {pair.normalisation: _Moments() for pair in pairs}
    handles = [
        modules[name].register_forward_pre_hook(moments.hook) for name, moments in sums.items()
    ]
    for batch in torch.split(images, _BATCH):
        _run(network, batch)
    for handle in handles:
        handle.remove()
    for name, moments in sums.items():
        module = modules[name]
        if not isinstance(module, nn.BatchNorm2d):
            raise TypeError(f"{name} is no batch normalisation")
        statistics = {
            "running_mean": moments.mean,
            "running_var": moments.variance,
            "weight": (moments.variance + module.eps).sqrt(),
            "bias": module.bias.double() + moments.mean,
        }
        module.load_state_dict(statistics, strict=False)  # as it was: the count of batches


class _Moments:
    """Mean and variance by channel of all (n, c, h, w) that pass."""

    def __init__(self) -> None:
        self._count = 0
        self._sum: Tensor | float = 0.0
        self._squares: Tensor | float = 0.0

    def hook(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].double()
        self._count += values.numel() // values.shape[1]
        self._sum = self._sum + values.sum((0, 2, 3))
        self._squares = self._squares + values.square().sum((0, 2, 3))

    @property
    def mean(self) -> Tensor:
        return torch.as_tensor(self._sum) / self._count

    @property
    def variance(self) -> Tensor:
        return (torch.as_tensor(self._squares) / self._count - self.mean.square()).clamp_min(0)


@torch.no_grad()
def _run(network: Network, images: Tensor) -> None:
    """A forward pass in evaluation mode; the mode is put back."""
    modes = {name: module.training for name, module in network.named_modules()}
    network.eval()
    network(images)
    for name, module in network.named_modules():
        module.training = modes[name]
