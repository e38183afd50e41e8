"""An encoder, a decoder for the mask and, if wanted, an image-level head on the same encoder."""

import math
from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from pleura.models.blocks import ImageHead, Pooling
from pleura.models.encoders import ENCODERS, Encoder
from pleura.models.outputs import Network, NetworkOutput

EVIDENCE_SHARE: Final = 0.003
EVIDENCE_FLOOR: Final = 1e-4


class Decoder(nn.Module):
    """From the encoder's features, finest first, to mask logits.

    Attributes:
        mask_head: from what `decode` gives to mask logits.
        skips: how many of the encoder's features it uses beside the deepest, coarsest first.
    """

    mask_head: nn.Conv2d
    skips: int

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Map the features to those that the mask head sees, (n, c, h, w)."""
        raise NotImplementedError

    def supervise(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """All masks that training compares with the true one, (n, 1, h, w) each, the mask last."""
        return (self(features),)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map the features to mask logits (n, 1, h, w)."""
        mask_logits: Tensor = self.mask_head(self.decode(features))
        return mask_logits


class JointNetwork(Network):
    """Base of the networks that share an encoder between a mask and an image-level finding.

    Args:
        encoder: or the name of one in `pleura.models.encoders.ENCODERS`.
        decoder: makes the decoder from the encoder's channels.
        output_stride: input pixels per pixel of the mask.
        image_head: add an image-level logit computed from the deepest features.
        dropout: before the linear layer of the image-level head.
        pooling: of the image-level head; see `ImageHead`.
        mask_evidence: share of the image-level logit, in [0, 1), that comes from the mask
            (`mask_evidence_logit`) and not from the head; it needs the head, and adds no parameter.
    """

    def __init__(
        self,
        encoder: str | Encoder,
        decoder: Callable[[Sequence[int]], Decoder],
        output_stride: int,
        image_head: bool,
        dropout: float,
        pooling: Pooling,
        mask_evidence: float,
    ) -> None:
        super().__init__()
        if isinstance(encoder, str):
            if encoder not in ENCODERS:
                raise ValueError(f"unknown encoder {encoder!r}; choose from {sorted(ENCODERS)}")
            encoder = ENCODERS[encoder]()
        if not 0 <= mask_evidence < 1:
            raise ValueError(f"mask_evidence must lie in [0, 1), not {mask_evidence}")
        self.mask_evidence = mask_evidence
        self.output_stride = output_stride
        self.encoder = encoder
        channels = encoder.channels
        self.decoder = decoder(channels)
        self.head = (
            ImageHead(channels[-1], dropout=dropout, pooling=pooling) if image_head else None
        )

    def forward(self, image: Tensor) -> NetworkOutput:
        """Map (n, 1, h, w), standardised, to an image logit and mask logits."""
        self.check_input(image)
        features = self.encoder(image)
        if self.training:
            *auxiliary, mask_logits = self.decoder.supervise(features)
        else:
            auxiliary, mask_logits = [], self.decoder(features)
        logit = None
        if self.head is not None:
            logit = self.weigh(self.head(features[-1]), mask_logits)
        return NetworkOutput(logit, mask_logits, tuple(auxiliary))

    def weigh(self, head_logit: Tensor, mask_logits: Tensor) -> Tensor:
        """The image-level logit (n, 1) from the head's and the mask's evidence."""
        if self.mask_evidence == 0:
            return head_logit
        evidence = mask_evidence_logit(mask_logits)
        return (1 - self.mask_evidence) * head_logit + self.mask_evidence * evidence


def mask_evidence_logit(mask_logits: Tensor) -> Tensor:
    """What the mask says of the whole image: logit of the mean of its highest probabilities.

    The deepest features see the image at a 32nd of its resolution, where a thin rim of air has
    drowned; the mask sees it at `output_stride`. The mean over `EVIDENCE_SHARE` of the pixels, less
    than half of a median pneumothorax, keeps a single bright pixel from deciding.

    Args:
        mask_logits: (n, 1, h, w).

    Returns:
        (n, 1), within the logits of `EVIDENCE_FLOOR` and 1 - `EVIDENCE_FLOOR`.
    """
    probabilities = torch.sigmoid(mask_logits.float()).flatten(1)
    count = math.ceil(EVIDENCE_SHARE * probabilities.shape[1])
    highest = probabilities.topk(count, dim=1).values.mean(1, keepdim=True)
    highest = highest.clamp(EVIDENCE_FLOOR, 1 - EVIDENCE_FLOOR)
    return highest.log() - (1 - highest).log()
