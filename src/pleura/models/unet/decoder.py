"""The expanding path of a U-Net."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pleura.models.blocks import ConvNormAct
from pleura.models.joint import Decoder


class UpBlock(nn.Module):
    """Double the resolution, join the skip connection, convolve twice."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            ConvNormAct(inputs + skip, outputs), ConvNormAct(outputs, outputs)
        )

    def forward(self, features: Tensor, skip: Tensor | None) -> Tensor:
        """Map (n, c, h, w) and a skip of (n, s, 2h, 2w) to (n, outputs, 2h, 2w)."""
        features = functional.interpolate(features, scale_factor=2.0, mode="nearest")
        if skip is not None:
            features = torch.cat([features, skip], dim=1)
        upsampled: Tensor = self.convolutions(features)
        return upsampled


class UNetDecoder(Decoder):
    """From features at strides 2 to 32 to mask logits at `output_stride`.

    Args:
        encoder_channels: channels at strides 2, 4, 8, 16, 32.
        widths: channels after each doubling, from stride 16 down to stride 1; the first ones are
            used, as many as `output_stride` asks for.
        output_stride: 1, 2 or 4. What a full-size decoder costs is mostly its last two stages.
    """

    def __init__(
        self, encoder_channels: Sequence[int], widths: Sequence[int], output_stride: int
    ) -> None:
        super().__init__()
        if output_stride not in (1, 2, 4):
            raise ValueError(f"output_stride must be 1, 2 or 4, not {output_stride}")
        steps = {4: 3, 2: 4, 1: 5}[output_stride]
        if len(widths) < steps:
            raise ValueError(f"output_stride {output_stride} needs {steps} decoder widths")
        self.skips = min(steps, len(encoder_channels) - 1)
        skips = [*reversed(encoder_channels[:-1]), 0]
        inputs = encoder_channels[-1]
        self.blocks = nn.ModuleList()
        for skip, width in zip(skips[:steps], widths[:steps], strict=True):
            self.blocks.append(UpBlock(inputs, skip, width))
            inputs = width
        self.mask_head = nn.Conv2d(inputs, 1, 1)

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Map features at strides 2 to 32 to those that the mask head sees, (n, c, h, w)."""
        skips: list[Tensor | None] = [*reversed(features[:-1]), None]
        decoded = features[-1]
        for block, skip in zip(self.blocks, skips, strict=False):
            decoded = block(decoded, skip)
        return decoded
