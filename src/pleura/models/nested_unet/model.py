"""Nested U-Net with an ImageNet encoder and, if wanted, an image-level head."""

from collections.abc import Sequence
from typing import Any

from pleura.models.blocks import Pooling
from pleura.models.joint import JointNetwork
from pleura.models.nested_unet.decoder import NestedDecoder


class NestedUNet(JointNetwork):
    """Nested U-Net, U-Net++ (Zhou et al., DLMIA 2018; IEEE TMI 2020).

    MONAI's `BasicUNetPlusPlus` has an encoder of its own that starts at random; with some thousand
    radiographs an ImageNet encoder is worth more, so the nested paths stand on ours.

    Args:
        encoder: see `JointNetwork`, as for all that is not named here.
        decoder_widths: channels of the nodes at strides 16, 8, 4, 2.
        output_stride: 2 or 4 input pixels per pixel of the mask.
        image_head: see there.
        dropout: see there.
        pooling: see there.
        mask_evidence: see there.
        depth: number of the node in the first row that gives the mask, at most 4 at stride 2 and 3
            at stride 4; None for the deepest. Figure 2 of the 2018 paper calls them L1 to L4.
        deep_supervision: train the masks of the earlier nodes as well; needed to prune later.
    """

    def __init__(
        self,
        encoder: str = "efficientnetv2_b0",
        decoder_widths: Sequence[int] = (128, 64, 48, 32),
        output_stride: int = 2,
        image_head: bool = True,
        dropout: float = 0.2,
        pooling: Pooling = "mean_max",
        mask_evidence: float = 0.0,
        depth: int | None = None,
        deep_supervision: bool = True,
    ) -> None:
        super().__init__(
            encoder,
            lambda channels: NestedDecoder(
                channels, decoder_widths, output_stride, depth, deep_supervision
            ),
            output_stride,
            image_head,
            dropout,
            pooling,
            mask_evidence,
        )
        self._options: dict[str, Any] = {
            "encoder": encoder,
            "decoder_widths": tuple(decoder_widths),
            "output_stride": output_stride,
            "image_head": image_head,
            "dropout": dropout,
            "pooling": pooling,
            "mask_evidence": mask_evidence,
        }

    def pruned(self, depth: int) -> "NestedUNet":
        """A smaller network of the same weights, whose mask is that of node X^{0,depth}.

        The image-level head sees the deepest features as before; only the mask gets cheaper.

        Args:
            depth: from 1 to this network's own.

        Raises:
            ValueError: there is no such node, or its mask was not trained.
        """
        decoder = self.decoder
        if not isinstance(decoder, NestedDecoder):
            raise TypeError("the decoder is not nested")
        if depth == decoder.depth:
            return self
        if not 1 <= depth <= len(decoder.auxiliary_heads):
            raise ValueError(
                f"cannot prune to depth {depth}: of depths 1 to {decoder.depth}, "
                f"{len(decoder.auxiliary_heads)} earlier ones have a mask of their own"
            )
        smaller = NestedUNet(**self._options, depth=depth)
        own = self.state_dict()
        head = f"decoder.auxiliary_heads.{depth - 1}."
        smaller.load_state_dict(
            {name: own[name.replace("decoder.mask_head.", head)] for name in smaller.state_dict()}
        )
        return smaller.train(self.training)
