"""Losses: pure functions, and thin modules that hold their weights."""

from pleura.losses.cl_dice import cl_dice_loss
from pleura.losses.combo import ComboLoss, combo_loss
from pleura.losses.dice import soft_dice_loss
from pleura.losses.focal import focal_loss_with_logits
from pleura.losses.image import ImageLoss, image_bce
from pleura.losses.lovasz import lovasz_hinge

__all__ = [
    "ComboLoss",
    "ImageLoss",
    "cl_dice_loss",
    "combo_loss",
    "focal_loss_with_logits",
    "image_bce",
    "lovasz_hinge",
    "soft_dice_loss",
]
