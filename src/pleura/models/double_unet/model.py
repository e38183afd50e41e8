"""Double U-Net: two U-Nets in a row, the second looking where the first has pointed."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from pleura.models.blocks import Pooling
from pleura.models.double_unet.decoder import DoubleDecoder
from pleura.models.encoders import VGG19
from pleura.models.joint import JointNetwork


class VGG19AndImage(VGG19):
    """The image itself, then VGG-19's blocks at strides 1, 2, 4, 8 and 16."""

    channels = (1, 64, 128, 256, 512, 512)
    feature_names = ("grey", "stride_1", "stride_2", "stride_4", "stride_8", "stride_16")

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map (n, 1, h, w) to the image and five features."""
        return (image, *self.blocks(image))


class DoubleUNet(JointNetwork):
    """Double U-Net (Jha et al., "DoubleU-Net: A Deep Convolutional Neural Network for Medical Image
    Segmentation", CBMS 2020; figure 1).

    As published: VGG-19 as the first encoder ("lightweight as compared to other pre-trained
    models, and similar to U-Net"), pyramid pooling between encoders and decoders, squeeze-and-
    excitation in every other block, masks at full resolution. The widths are those of the authors'
    code. The image-level head is ours, and left out unless asked for.

    Args:
        decoder_widths: channels of either decoder at strides 8, 4, 2, 1.
        context: channels of the pyramid pooling.
        image_head: see `JointNetwork`, as for all that is not named here.
        dropout: see there.
        pooling: see there.
        mask_evidence: see there.
        output_stride: 1; the first U-Net's mask must fit the image that it multiplies.
    """

    stride = 16

    def __init__(
        self,
        decoder_widths: Sequence[int] = (256, 128, 64, 32),
        context: int = 64,
        image_head: bool = False,
        dropout: float = 0.2,
        pooling: Pooling = "mean_max",
        mask_evidence: float = 0.0,
        output_stride: Literal[1] = 1,
    ) -> None:
        if output_stride != 1:
            raise ValueError(f"output_stride must be 1, not {output_stride}")
        super().__init__(
            VGG19AndImage(),
            lambda channels: DoubleDecoder(channels, decoder_widths, context),
            output_stride,
            image_head,
            dropout,
            pooling,
            mask_evidence,
        )
