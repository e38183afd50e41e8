"""What a decoder may expect of an encoder."""

from typing import ClassVar

from torch import Tensor, nn


class Encoder(nn.Module):
    """Base of the encoders.

    Attributes:
        channels: number of channels of the features at strides 2, 4, 8, 16, 32.
        weights_file: stem of the ImageNet weights' file name, without `.safetensors`.
        stem_key: key of the first convolution, whose kernels are summed over RGB for grey input.
    """

    channels: ClassVar[tuple[int, int, int, int, int]]
    weights_file: ClassVar[str]
    stem_key: ClassVar[str]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Map (n, 1, h, w) to features at strides 2, 4, 8, 16 and 32."""
        raise TypeError("use one of the encoders in pleura.models.encoders")
