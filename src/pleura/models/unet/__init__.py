"""U-Net (Ronneberger et al., 2015) with a choice of encoders."""

from pleura.models.unet.model import UNet

__all__ = ["UNet"]
