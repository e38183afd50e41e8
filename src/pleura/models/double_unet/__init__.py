"""Double U-Net (Jha et al., 2020)."""

from pleura.models.double_unet.model import DoubleUNet

__all__ = ["DoubleUNet"]
