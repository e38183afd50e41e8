"""CheXNet: a DenseNet-121 with one logit (Rajpurkar et al., 2017)."""

from pleura.models.chexnet.model import CheXNet

__all__ = ["CheXNet"]
