"""What every network returns."""

from typing import NamedTuple

from torch import Tensor, nn


class NetworkOutput(NamedTuple):
    """Logits of one forward pass; a part that the network does not have is None.

    Attributes:
        logit: (n, 1), the image-level logit of pneumothorax.
        mask_logits: (n, 1, h / output_stride, w / output_stride).
        auxiliary_mask_logits: earlier masks of the same shape that training supervises, too; only
            in training mode.
    """

    logit: Tensor | None = None
    mask_logits: Tensor | None = None
    auxiliary_mask_logits: tuple[Tensor, ...] = ()


class Network(nn.Module):
    """Base of the networks.

    Attributes:
        stride: rows and columns of the input must be divisible by it.
        output_stride: input pixels per pixel of `mask_logits`, along each axis.
    """

    stride: int = 32
    output_stride: int = 1

    def check_input(self, image: Tensor) -> None:
        """Refuse an input that the network would silently misalign.

        Raises:
            ValueError: not (n, 1, h, w), or h or w not divisible by `stride`.
        """
        if image.ndim != 4 or image.shape[1] != 1:
            raise ValueError(f"expected an image of shape (n, 1, h, w), not {tuple(image.shape)}")
        rows, columns = image.shape[-2:]
        if rows % self.stride or columns % self.stride:
            raise ValueError(f"{rows} x {columns} pixels are not divisible by {self.stride}")
