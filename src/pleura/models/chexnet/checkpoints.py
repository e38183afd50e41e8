"""DenseNet-121 checkpoints of other projects -> the parameter names of MONAI's DenseNet."""

import re
from collections.abc import Mapping
from enum import StrEnum

import torch
from torch import Tensor

from pleura.models.weights import grey_kernels


class CheckpointKind(StrEnum):
    """Whose checkpoint it is, told by its keys."""

    TORCHVISION = "torchvision DenseNet"
    CHEXNET = "CheXNet"
    TORCHXRAYVISION = "torchxrayvision DenseNet"


_CHEXNET_PREFIX = "module.densenet121."
_OLD_NAME = re.compile(r"\.(norm|conv|relu)\.(\d)\.")  # torch < 0.4 wrote `norm.1` for `norm1`
_DENSE_LAYER = re.compile(r"(denselayer\d+)\.(norm|conv)")
_FIRST_KERNEL = "features.conv0.weight"
_FIRST_NORM_MEAN = "features.norm0.running_mean"
_XRV_HALF_RANGE = 1024.0  # torchxrayvision scales pixels to [-1024, 1024]


def densenet_state(
    state: Mapping[str, Tensor], mean: float, std: float
) -> tuple[dict[str, Tensor], CheckpointKind]:
    """Rename keys, bring the first layer to one grey channel and to this project's input range.

    The classifier layers keep names that no layer here has: their outputs are other findings.

    Args:
        state: as read from the file.
        mean: this network's standardisation of pixels in [0, 1].
        std: likewise.

    Returns:
        The state for MONAI's DenseNet, and whose checkpoint it was.
    """
    kind = _kind_of(state)
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        key = _OLD_NAME.sub(r".\1\2.", name.removeprefix(_CHEXNET_PREFIX).removeprefix("module."))
        renamed[_DENSE_LAYER.sub(r"\1.layers.\2", key)] = tensor
    if _FIRST_KERNEL in renamed:
        renamed[_FIRST_KERNEL] = grey_kernels(renamed[_FIRST_KERNEL])
        if kind is CheckpointKind.TORCHXRAYVISION:
            _fold_input_range(renamed, mean, std)
    return renamed, kind


def _kind_of(state: Mapping[str, Tensor]) -> CheckpointKind:
    if any(name.startswith(_CHEXNET_PREFIX) for name in state):
        return CheckpointKind.CHEXNET
    first = state.get(_FIRST_KERNEL)
    if first is not None and first.shape[1] == 1:
        return CheckpointKind.TORCHXRAYVISION
    return CheckpointKind.TORCHVISION


def _fold_input_range(state: dict[str, Tensor], mean: float, std: float) -> None:
    """Let the first layer take (p - mean) / std where it was trained on (2 p - 1) * 1024.

    With p = std * x + mean the trained input is a x + b, a = 2048 std, b = 1024 (2 mean - 1). The
    kernels take a; b adds a constant to each channel, which the batch normalisation's running mean
    takes up (exact but for the zero padding at the image's rim).
    """
    kernels = state[_FIRST_KERNEL].to(torch.float32)
    offset = kernels.sum((1, 2, 3)) * _XRV_HALF_RANGE * (2 * mean - 1)
    state[_FIRST_KERNEL] = kernels * (2 * _XRV_HALF_RANGE * std)
    if _FIRST_NORM_MEAN in state:
        state[_FIRST_NORM_MEAN] = state[_FIRST_NORM_MEAN].to(torch.float32) - offset
