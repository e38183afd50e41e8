"""A network cut in two: first the finding, then, where it matters, the place.

The classifier gives the image-level logit and the features that the segmenter needs; the segmenter
goes on from there, so that nothing is computed twice and a clear negative costs the encoder alone.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from pleura.errors import ModelError
from pleura.models import Network
from pleura.models.unet import UNet

IMAGE, LOGIT, MASK_LOGITS = "image", "logit", "mask_logits"
_STRIDES = (2, 4, 8, 16, 32)


class ClassifierStage(nn.Module):
    """Image -> logit and the features at the strides that the decoder uses.

    Args:
        network: with an image-level head.

    Raises:
        ModelError: the network has no image-level head.
    """

    def __init__(self, network: UNet) -> None:
        super().__init__()
        if network.head is None:
            raise ModelError(
                "This U-Net has no image-level head and cannot judge on its own.",
                "Train it with network.options.image_head: true.",
            )
        self.encoder, self.head = network.encoder, network.head
        # A decoder that ends at a coarser stride needs no skip connection from the finer ones.
        self.unused: int = max(0, len(_STRIDES) - 1 - len(network.decoder.blocks))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features in the ONNX files, finest first."""
        return tuple(f"stride_{stride}" for stride in _STRIDES[self.unused :])

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map (n, 1, h, w) to the logit (n, 1) and the features, finest first."""
        features = self.encoder(image)
        return self.head(features[-1]), *features[self.unused :]


class SegmenterStage(nn.Module):
    """Features, finest first -> mask logits."""

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.decoder = network.decoder

    def forward(self, *features: Tensor) -> Tensor:
        """Map the features that `ClassifierStage` gives to (n, 1, h, w)."""
        mask_logits: Tensor = self.decoder(features)
        return mask_logits


@dataclass(frozen=True)
class Stages:
    """The two stages, in evaluation mode, and the names of what passes between them."""

    classifier: nn.Module
    segmenter: nn.Module
    features: tuple[str, ...]


def cut(network: Network) -> Stages:
    """Cut a joint network into its two stages, which share its weights.

    Raises:
        ModelError: the network has not both an image-level logit and a mask.
    """
    if not isinstance(network, UNet):
        raise ModelError(
            f"{type(network).__name__} is not a joint network with a logit and a mask.",
            "Export a U-Net with an image-level head.",
        )
    classifier = ClassifierStage(network).eval()
    return Stages(classifier, SegmenterStage(network).eval(), classifier.feature_names)
