"""U-Net with an ImageNet encoder and, if wanted, an image-level head on the same encoder."""

from collections.abc import Sequence

from pleura.models.blocks import Pooling
from pleura.models.joint import JointNetwork
from pleura.models.unet.decoder import UNetDecoder


class UNet(JointNetwork):
    """U-Net (Ronneberger et al., MICCAI 2015).

    Args:
        encoder: see `JointNetwork`, as for all that is not named here.
        decoder_widths: channels of the decoder from stride 16 down to stride 1.
        output_stride: 1, 2 or 4 input pixels per pixel of the mask.
        image_head: see there.
        dropout: see there.
        pooling: see there.
        mask_evidence: see there.
    """

    def __init__(
        self,
        encoder: str = "efficientnetv2_b0",
        decoder_widths: Sequence[int] = (128, 64, 48, 32, 16),
        output_stride: int = 2,
        image_head: bool = True,
        dropout: float = 0.2,
        pooling: Pooling = "mean_max",
        mask_evidence: float = 0.0,
    ) -> None:
        super().__init__(
            encoder,
            lambda channels: UNetDecoder(channels, decoder_widths, output_stride),
            output_stride,
            image_head,
            dropout,
            pooling,
            mask_evidence,
        )
