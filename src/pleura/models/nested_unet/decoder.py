"""The nested, dense skip paths of a U-Net++."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pleura.models.blocks import ConvNormAct
from pleura.models.joint import Decoder


class Node(nn.Sequential):
    """X^{i,j} of the paper: two convolutions over its row's earlier nodes and the one below."""

    def __init__(self, earlier: int, below: int, outputs: int) -> None:
        super().__init__(ConvNormAct(earlier + below, outputs), ConvNormAct(outputs, outputs))

    def join(self, earlier: Sequence[Tensor], below: Tensor) -> Tensor:
        """Map nodes of the row (n, c, h, w) and one of the next, (n, b, h / 2, w / 2)."""
        below = functional.interpolate(below, scale_factor=2.0, mode="nearest")
        joined: Tensor = self(torch.cat([*earlier, below], dim=1))
        return joined


class NestedDecoder(Decoder):
    """From features at strides 2 to 32 to mask logits at `output_stride`.

    Row i holds the features of one stride, finest first; X^{i,0} are the encoder's, and X^{i,j}
    takes X^{i,0} to X^{i,j-1} and X^{i+1,j-1}. The mask comes from X^{0,depth}. Each X^{0,j}
    before it gives a mask, too, which training supervises, so that the network can be pruned.

    Args:
        encoder_channels: channels at strides 2, 4, 8, 16, 32.
        widths: channels of the nodes at strides 16, 8, 4, 2; the last ones are used, as many as
            `output_stride` asks for.
        output_stride: 2 or 4, where the encoder has features of its own to begin a row with.
        depth: number of the last node in the first row; None for the deepest.
        deep_supervision: whether the earlier nodes of the first row give masks in training.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        widths: Sequence[int],
        output_stride: int,
        depth: int | None = None,
        deep_supervision: bool = True,
    ) -> None:
        super().__init__()
        if output_stride not in (2, 4):
            raise ValueError(f"output_stride must be 2 or 4, not {output_stride}")
        self.skips = {2: 4, 4: 3}[output_stride]
        if len(widths) < self.skips:
            raise ValueError(f"output_stride {output_stride} needs {self.skips} decoder widths")
        self.depth = self.skips if depth is None else depth
        if not 1 <= self.depth <= self.skips:
            raise ValueError(f"depth must lie in 1 to {self.skips}, not {depth}")
        channels = list(encoder_channels)[-self.skips - 1 :]
        width = list(reversed(widths[: self.skips]))  # of row 0, 1, ...
        self.nodes = nn.ModuleDict()
        for j in range(1, self.depth + 1):
            for i in range(self.depth - j + 1):
                below = channels[i + 1] if j == 1 else width[i + 1]
                self.nodes[f"{i}_{j}"] = Node(channels[i] + (j - 1) * width[i], below, width[i])
        self.mask_head = nn.Conv2d(width[0], 1, 1)
        count = self.depth - 1 if deep_supervision else 0
        self.auxiliary_heads = nn.ModuleList(nn.Conv2d(width[0], 1, 1) for _ in range(count))

    def first_row(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Map features at strides 2 to 32, or those that are used, to X^{0,1} to X^{0,depth}."""
        used = list(features)[-self.skips - 1 :][: self.depth + 1]
        rows = [[feature] for feature in used]
        for j in range(1, self.depth + 1):
            for i in range(self.depth - j + 1):
                node = self.nodes[f"{i}_{j}"]
                if not isinstance(node, Node):
                    raise TypeError(f"X^{{{i},{j}}} is no node")
                rows[i].append(node.join(rows[i][:j], rows[i + 1][j - 1]))
        return rows[0][1:]

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Map features at strides 2 to 32 to those that the mask head sees, (n, c, h, w)."""
        return self.first_row(features)[-1]

    def supervise(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The masks of X^{0,1} to X^{0,depth}; the last one alone without deep supervision."""
        *earlier, last = self.first_row(features)
        masks = [head(node) for head, node in zip(self.auxiliary_heads, earlier, strict=False)]
        return (*masks, self.mask_head(last))
