"""What a decoder may expect of an encoder."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from pleura.models.weights import grey_kernels


class Encoder(nn.Module):
    """Base of the encoders.

    Attributes:
        channels: number of channels of each of the features.
        feature_names: what the features are called in exported files, finest first.
        weights_file: stem of the ImageNet weights' file name, without `.safetensors`.
        stem_key: key of the first convolution, whose kernels are summed over RGB for grey input.
    """

    channels: ClassVar[tuple[int, ...]]
    feature_names: ClassVar[tuple[str, ...]] = (
        "stride_2",
        "stride_4",
        "stride_8",
        "stride_16",
        "stride_32",
    )
    weights_file: ClassVar[str]
    stem_key: ClassVar[str]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map (n, 1, h, w) to features at strides 2, 4, 8, 16 and 32."""
        raise TypeError("use one of the encoders in pleura.models.encoders")

    def from_imagenet(
        self, state: Mapping[str, Tensor], mean: float, std: float
    ) -> dict[str, Tensor]:
        """The weights of `weights_file` for one grey channel.

        Args:
            state: as stored.
            mean: of the network's standardisation of pixels in [0, 1].
            std: likewise.
        """
        return {**state, self.stem_key: grey_kernels(state[self.stem_key])}
