"""Small blocks that several networks share."""

import math
from collections.abc import Callable
from typing import Final, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, dilation: int = 1) -> None:
        padding = kernel // 2 * dilation
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class SamePadConv2d(nn.Conv2d):
    """Convolution with TensorFlow's 'same' padding, for inputs whose size the stride divides.

    A 3 x 3 kernel at stride 2 pads one row below and one column to the right where PyTorch's
    symmetric padding would pad on both sides; ImageNet weights from TensorFlow need the former.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        padding = 0 if stride > 1 else kernel // 2
        super().__init__(
            inputs, outputs, kernel, stride=stride, padding=padding, groups=groups, bias=False
        )
        total = max(kernel - stride, 0) if stride > 1 else 0
        self._pad = (total // 2, total - total // 2) * 2

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (n, c, h, w)."""
        if any(self._pad):
            input = functional.pad(input, self._pad)
        return super().forward(input)


class SqueezeExcite(nn.Module):
    """Channel attention (Hu et al., 2018): mean over space, bottleneck, gate.

    Args:
        channels: of the features.
        reduced: channels of the bottleneck.
        activation: in the bottleneck; EfficientNet has SiLU, the paper ReLU.
    """

    def __init__(
        self,
        channels: int,
        reduced: int,
        activation: Callable[[Tensor], Tensor] = functional.silu,
    ) -> None:
        super().__init__()
        self._activation = activation
        self.conv_reduce = nn.Conv2d(channels, reduced, 1)
        self.conv_expand = nn.Conv2d(reduced, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Scale each channel of (n, c, h, w) by its gate in (0, 1)."""
        pooled = features.mean((2, 3), keepdim=True)
        gate = torch.sigmoid(self.conv_expand(self._activation(self.conv_reduce(pooled))))
        return features * gate


Pooling = Literal["mean_max", "mean", "max", "lse", "attention"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
LSE_SHARPNESS: Final = 5.0


class ImageHead(nn.Module):
    """Image-level logit from the deepest features: projection, pooling over space, linear layer.

    Args:
        channels: of the features.
        hidden: channels that are pooled.
        dropout: before the linear layer.
        pooling: `mean` keeps the gradient dense; `max` lets a small apical finding speak;
            `mean_max` gives the linear layer both; `lse` lies between them, log-sum-exp with
            sharpness 5 (Pinheiro and Collobert, CVPR 2015); `attention` is the mean with weights
            that the features themselves give by a gate (Ilse et al., ICML 2018).

    Raises:
        ValueError: there is no such pooling.
    """

    def __init__(
        self,
        channels: int,
        hidden: int = 256,
        dropout: float = 0.2,
        pooling: Pooling = "mean_max",
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"unknown pooling {pooling!r}; choose from {', '.join(POOLINGS)}")
        self.pooling = pooling
        self.project = ConvNormAct(channels, hidden, kernel=1)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(2 * hidden if pooling == "mean_max" else hidden, 1)
        if pooling == "attention":
            self.attend = nn.Sequential(
                nn.Conv2d(hidden, hidden // 4, 1), nn.Tanh(), nn.Conv2d(hidden // 4, 1, 1)
            )

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, c, h, w) to (n, 1)."""
        logit: Tensor = self.linear(self.dropout(self._pool(self.project(features))))
        return logit

    def _pool(self, projected: Tensor) -> Tensor:
        """Map (n, hidden, h, w) to what the linear layer sees."""
        if self.pooling == "mean":
            return projected.mean((2, 3))
        if self.pooling == "max":
            return projected.amax((2, 3))
        if self.pooling == "lse":
            places = projected.shape[2] * projected.shape[3]
            summed: Tensor = torch.logsumexp(LSE_SHARPNESS * projected, (2, 3))
            return (summed - math.log(places)) / LSE_SHARPNESS
        if self.pooling == "attention":
            weights: Tensor = self.attend(projected).flatten(2).softmax(2)
            return (projected.flatten(2) * weights).sum(2)
        return torch.cat([projected.mean((2, 3)), projected.amax((2, 3))], dim=1)
