"""CheXNet (Rajpurkar et al., arXiv:1711.05225): DenseNet-121 (Huang et al., 2017), one logit."""

from collections.abc import Sequence

from monai.networks.nets.densenet import DenseNet
from torch import Tensor

from pleura.models.outputs import Network, NetworkOutput


class CheXNet(Network):
    """MONAI's DenseNet-121 with grey input and one logit.

    The defaults are DenseNet-121's; smaller ones make a quick network of the same key names.

    Args:
        block_config: layers of each dense block.
        init_features: channels of the first convolution.
        growth_rate: channels that each dense layer adds.
        dropout: inside the dense layers.
    """

    def __init__(
        self,
        block_config: Sequence[int] = (6, 12, 24, 16),
        init_features: int = 64,
        growth_rate: int = 32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.stride = 2 ** (len(block_config) + 1)
        self.densenet = DenseNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=1,
            init_features=init_features,
            growth_rate=growth_rate,
            block_config=tuple(block_config),
            dropout_prob=dropout,
        )

    def forward(self, image: Tensor) -> NetworkOutput:
        """Map (n, 1, h, w), standardised, to an image logit."""
        self.check_input(image)
        return NetworkOutput(logit=self.densenet(image))
