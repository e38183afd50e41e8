"""All of a Double U-Net behind its first encoder."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pleura.models.blocks import ConvNormAct, SqueezeExcite
from pleura.models.joint import Decoder

_REDUCTION = 8  # of squeeze-and-excitation, as in the authors' code
_RATES = (6, 12, 18)  # of the dilated convolutions, as in the authors' code
_STEPS = 4  # from stride 16 to stride 1


class SEBlock(nn.Sequential):
    """Two 3 x 3 convolutions, each with batch normalisation and ReLU, then squeeze-and-excitation.

    The paper's section III: "reduces redundant information and passes the most relevant".
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            ConvNormAct(inputs, outputs),
            ConvNormAct(outputs, outputs),
            SqueezeExcite(outputs, max(1, outputs // _REDUCTION), functional.relu),
        )


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al., 2017): context at several scales.

    A pooled, a plain and three dilated branches, joined by a 1 x 1 convolution.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pooled = ConvNormAct(inputs, outputs, kernel=1)
        self.plain = ConvNormAct(inputs, outputs, kernel=1)
        self.dilated = nn.ModuleList(ConvNormAct(inputs, outputs, dilation=r) for r in _RATES)
        self.join = ConvNormAct((2 + len(_RATES)) * outputs, outputs, kernel=1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, inputs, h, w) to (n, outputs, h, w)."""
        # Spread before it is normalised: one value a channel would leave nothing to normalise by.
        mean = features.mean((2, 3), keepdim=True).expand_as(features)
        branches = [self.pooled(mean), self.plain(features)]
        branches += [branch(features) for branch in self.dilated]
        joined: Tensor = self.join(torch.cat(branches, dim=1))
        return joined


class DoubleDecoder(Decoder):
    """First decoder, second encoder and second decoder; figure 1 of the paper.

    The first U-Net's mask, as a probability, multiplies the image; the second U-Net looks at the
    product, and its decoder sees the skip connections of both encoders. Training compares both
    masks with the true one; the second is the network's.

    Args:
        encoder_channels: of the image and the first encoder's blocks at strides 1, 2, 4, 8, 16.
        widths: channels of either decoder at strides 8, 4, 2, 1; the second encoder's blocks have
            them in reverse order.
        context: channels of the pyramid pooling.
    """

    def __init__(
        self, encoder_channels: Sequence[int], widths: Sequence[int], context: int
    ) -> None:
        super().__init__()
        if len(widths) != _STEPS:
            raise ValueError(f"a Double U-Net has {_STEPS} decoder widths, not {len(widths)}")
        _, *skips, deepest = encoder_channels
        self.skips = len(skips) + 1
        self.context_1 = ASPP(deepest, context)
        self.blocks_1 = _expanding(context, skips, widths)
        self.mask_head_1 = nn.Conv2d(widths[-1], 1, 1)
        second = list(reversed(widths))
        inputs = [encoder_channels[0], *second[:-1]]
        self.encoder_2 = nn.ModuleList(
            SEBlock(given, made) for given, made in zip(inputs, second, strict=True)
        )
        self.context_2 = ASPP(second[-1], context)
        both = [one + other for one, other in zip(skips, second, strict=True)]
        self.blocks_2 = _expanding(context, both, widths)
        self.mask_head = nn.Conv2d(widths[-1], 1, 1)

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Map the image and the first encoder's features to those that the mask head sees."""
        return self._second(features, self._first(features))

    def supervise(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The masks of the first and of the second U-Net."""
        first = self._first(features)
        return first, self.mask_head(self._second(features, first))

    def _first(self, features: Sequence[Tensor]) -> Tensor:
        """Mask logits of the first U-Net."""
        _, *skips, deepest = features
        mask_logits: Tensor = self.mask_head_1(
            _expand(self.blocks_1, self.context_1(deepest), skips)
        )
        return mask_logits

    def _second(self, features: Sequence[Tensor], first: Tensor) -> Tensor:
        """Last features of the second U-Net."""
        image, *skips, _ = features
        # In the standardised image 0 is mid-grey, so what the mask covers not at all turns grey.
        looked_at = image * torch.sigmoid(first)
        both = []
        for block, skip in zip(self.encoder_2, skips, strict=True):
            looked_at = block(looked_at)
            both.append(torch.cat([skip, looked_at], dim=1))
            looked_at = functional.max_pool2d(looked_at, 2)
        return _expand(self.blocks_2, self.context_2(looked_at), both)


def _expanding(inputs: int, skips: Sequence[int], widths: Sequence[int]) -> nn.ModuleList:
    blocks = nn.ModuleList()
    for skip, width in zip(reversed(skips), widths, strict=True):
        blocks.append(SEBlock(inputs + skip, width))
        inputs = width
    return blocks


def _expand(blocks: nn.ModuleList, features: Tensor, skips: Sequence[Tensor]) -> Tensor:
    """Double the resolution, bilinearly as in the paper, join the skip connection, convolve."""
    for block, skip in zip(blocks, reversed(skips), strict=True):
        features = functional.interpolate(features, scale_factor=2.0, mode="bilinear")
        features = block(torch.cat([features, skip], dim=1))
    return features
