"""U-Net with an ImageNet encoder and, if wanted, an image-level head on the same encoder."""

from collections.abc import Sequence

from torch import Tensor

from pleura.models.blocks import ImageHead
from pleura.models.encoders import ENCODERS
from pleura.models.outputs import Network, NetworkOutput
from pleura.models.unet.decoder import UNetDecoder


class UNet(Network):
    """U-Net (Ronneberger et al., MICCAI 2015).

    Args:
        encoder: name of an encoder in `pleura.models.encoders.ENCODERS`.
        decoder_widths: channels of the decoder from stride 16 down to stride 1.
        output_stride: 1, 2 or 4 input pixels per pixel of the mask.
        image_head: add an image-level logit computed from the deepest features.
        dropout: before the linear layer of the image-level head.
    """

    def __init__(
        self,
        encoder: str = "efficientnetv2_b0",
        decoder_widths: Sequence[int] = (128, 64, 48, 32, 16),
        output_stride: int = 2,
        image_head: bool = True,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if encoder not in ENCODERS:
            raise ValueError(f"unknown encoder {encoder!r}; choose from {sorted(ENCODERS)}")
        self.output_stride = output_stride
        self.encoder = ENCODERS[encoder]()
        channels = self.encoder.channels
        self.decoder = UNetDecoder(channels, decoder_widths, output_stride)
        self.head = ImageHead(channels[-1], dropout=dropout) if image_head else None

    def forward(self, image: Tensor) -> NetworkOutput:
        """Map (n, 1, h, w), standardised, to an image logit and mask logits."""
        self.check_input(image)
        features = self.encoder(image)
        logit = None if self.head is None else self.head(features[-1])
        return NetworkOutput(logit=logit, mask_logits=self.decoder(features))
