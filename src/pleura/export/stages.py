"""A network cut in two: first the finding, then, where it matters, the place.

The classifier gives the image-level logit, an embedding that says what the picture is like, and the
features that the segmenter needs; the segmenter goes on from there, so that nothing is computed
twice and a clear negative costs the encoder alone. Where the mask is evidence for the logit, the
classifier holds the decoder as well and gives the mask itself, and there is no segmenter. CheXNet
draws no mask; its class activation map, which says where it looks, takes that place.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from pleura.errors import ModelError
from pleura.models import Network
from pleura.models.blocks import ImageHead
from pleura.models.chexnet import CheXNet
from pleura.models.joint import JointNetwork

IMAGE, LOGIT, MASK_LOGITS = "image", "logit", "mask_logits"
FEATURES, EMBEDDING = "features", "embedding"


class ClassifierStage(nn.Module):
    """Image -> logit, embedding, and the features at the strides that the decoder uses.

    Args:
        network: with an image-level head.

    Raises:
        ModelError: the network has none.
    """

    def __init__(self, network: JointNetwork) -> None:
        super().__init__()
        self.encoder, self.head = network.encoder, _head_of(network)
        # A decoder that ends at a coarser stride needs no skip connection from the finer ones.
        names = network.encoder.feature_names
        self.unused: int = len(names) - 1 - network.decoder.skips
        self.feature_names: tuple[str, ...] = names[self.unused :]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map (n, 1, h, w) to logit (n, 1), embedding (n, d), and features, finest first."""
        features = self.encoder(image)
        return self.head(features[-1]), embedding_of(features[-1]), *features[self.unused :]


class SegmenterStage(nn.Module):
    """Features, finest first -> mask logits."""

    def __init__(self, network: JointNetwork) -> None:
        super().__init__()
        self.decoder = network.decoder

    def forward(self, *features: Tensor) -> Tensor:
        """Map the features that `ClassifierStage` gives to (n, 1, h, w)."""
        mask_logits: Tensor = self.decoder(features)
        return mask_logits


class EvidenceClassifierStage(nn.Module):
    """Image -> logit, for which the mask is evidence, embedding, and mask logits.

    Args:
        network: with an image-level head.

    Raises:
        ModelError: the network has none.
    """

    feature_names = (MASK_LOGITS,)

    def __init__(self, network: JointNetwork) -> None:
        super().__init__()
        self.network, self.head = network, _head_of(network)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map (n, 1, h, w) to logit (n, 1), embedding (n, d), and mask logits (n, 1, h', w')."""
        features = self.network.encoder(image)
        mask_logits = self.network.decoder(features)
        logit = self.network.weigh(self.head(features[-1]), mask_logits)
        return logit, embedding_of(features[-1]), mask_logits


class CheXNetStage(nn.Module):
    """Image -> logit, embedding, and the features that it is the mean of."""

    def __init__(self, network: CheXNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (n, 1, h, w) to the logit (n, 1), the embedding (n, d) and the last features."""
        features = self.network.features(image)
        return self.network.judge(features), embedding_of(features), features


class ActivationMapStage(nn.Module):
    """CheXNet's last features -> class activation map."""

    def __init__(self, network: CheXNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> Tensor:
        """Map what `CheXNetStage` gives to (n, 1, h, w)."""
        return self.network.activation_map(features)


@dataclass(frozen=True)
class Stages:
    """The two stages, in evaluation mode, and the names of what passes between them.

    Without a segmenter the classifier gives the mask logits itself.
    """

    classifier: nn.Module
    segmenter: nn.Module | None
    features: tuple[str, ...]


def embedding_of(features: Tensor) -> Tensor:
    """The deepest features, averaged over the places: (n, d, h, w) -> (n, d)."""
    return features.mean((2, 3))


def cut(network: Network) -> Stages:
    """Cut a network into its two stages, which share its weights.

    Raises:
        ModelError: the network has not both an image-level logit and a mask or a map.
    """
    if isinstance(network, CheXNet):
        return Stages(CheXNetStage(network).eval(), ActivationMapStage(network).eval(), (FEATURES,))
    if not isinstance(network, JointNetwork):
        raise ModelError(
            f"{type(network).__name__} is not a joint network with a logit and a mask.",
            "Export CheXNet, or another network with an image-level head.",
        )
    if network.mask_evidence > 0:
        evidence = EvidenceClassifierStage(network).eval()
        return Stages(evidence, None, evidence.feature_names)
    classifier = ClassifierStage(network).eval()
    return Stages(classifier, SegmenterStage(network).eval(), classifier.feature_names)


def _head_of(network: JointNetwork) -> ImageHead:
    if network.head is None:
        raise ModelError(
            "This network has no image-level head and cannot judge on its own.",
            "Train it with network.options.image_head: true.",
        )
    return network.head
