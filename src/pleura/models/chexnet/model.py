"""CheXNet (Rajpurkar et al., arXiv:1711.05225): DenseNet-121 (Huang et al., 2017), one logit."""

from collections.abc import Sequence

from monai.networks.nets.densenet import DenseNet
from torch import Tensor, nn
from torch.nn import functional

from pleura.models.outputs import Network, NetworkOutput


class CheXNet(Network):
    """MONAI's DenseNet-121 with grey input and one logit.

    The defaults are DenseNet-121's; smaller ones make a quick network of the same key names.

    Where it looks is told by the class activation map (Zhou et al., CVPR 2016), as in the paper:
    the last layer's weights, applied to the features at each place instead of their mean. The mean
    of the map is the logit. For this kind of network Grad-CAM (Selvaraju et al., ICCV 2017) is the
    same map without its bias, its negative part cut off and times a constant.

    Args:
        block_config: layers of each dense block.
        init_features: channels of the first convolution.
        growth_rate: channels that each dense layer adds.
        dropout: inside the dense layers.
        class_activation_map: give the map in the place of a mask's logits, for export. It is no
            mask to be trained: its mean would have to be negative for a small finding.
    """

    def __init__(
        self,
        block_config: Sequence[int] = (6, 12, 24, 16),
        init_features: int = 64,
        growth_rate: int = 32,
        dropout: float = 0.0,
        class_activation_map: bool = False,
    ) -> None:
        super().__init__()
        self.stride = self.output_stride = 2 ** (len(block_config) + 1)
        self.class_activation_map = class_activation_map
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
        """Map (n, 1, h, w), standardised, to an image logit and, if asked for, its map."""
        self.check_input(image)
        features = self.features(image)
        mask_logits = self.activation_map(features) if self.class_activation_map else None
        return NetworkOutput(logit=self.judge(features), mask_logits=mask_logits)

    def features(self, image: Tensor) -> Tensor:
        """Map (n, 1, h, w) to the last features, not negative, (n, c, h / stride, w / stride)."""
        return functional.relu(self.densenet.features(image))

    def judge(self, features: Tensor) -> Tensor:
        """Map the last features to the logit, (n, 1)."""
        logit: Tensor = self._linear(features.mean((2, 3)))
        return logit

    def activation_map(self, features: Tensor) -> Tensor:
        """Map the last features to the map (n, 1, h, w), whose mean is the logit."""
        out = self._linear
        return functional.conv2d(features, out.weight[:, :, None, None], out.bias)

    @property
    def _linear(self) -> nn.Linear:
        out = self.densenet.class_layers.out
        if not isinstance(out, nn.Linear):
            raise TypeError("the last layer of the DenseNet is not linear")
        return out
