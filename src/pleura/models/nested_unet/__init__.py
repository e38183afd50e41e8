"""Nested U-Net, U-Net++ (Zhou et al., 2018)."""

from pleura.models.nested_unet.model import NestedUNet

__all__ = ["NestedUNet"]
