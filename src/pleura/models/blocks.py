"""Small blocks that several networks share."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
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
    """Channel attention (Hu et al., 2018): mean over space, bottleneck, gate."""

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, reduced, 1)
        self.conv_expand = nn.Conv2d(reduced, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Scale each channel of (n, c, h, w) by its gate in (0, 1)."""
        pooled = features.mean((2, 3), keepdim=True)
        gate = torch.sigmoid(self.conv_expand(functional.silu(self.conv_reduce(pooled))))
        return features * gate


class ImageHead(nn.Module):
    """Image-level logit from the deepest features: mean and maximum over space, then linear.

    The maximum lets a small apical finding speak; the mean keeps the gradient dense.
    """

    def __init__(self, channels: int, hidden: int = 256, dropout: float = 0.2) -> None:
        super().__init__()
        self.project = ConvNormAct(channels, hidden, kernel=1)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(2 * hidden, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, c, h, w) to (n, 1)."""
        projected = self.project(features)
        pooled = torch.cat([projected.mean((2, 3)), projected.amax((2, 3))], dim=1)
        logit: Tensor = self.linear(self.dropout(pooled))
        return logit
