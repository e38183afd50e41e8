"""MobileNetV2 (Sandler et al., CVPR 2018), with torchvision's names: `mobilenet_v2`."""

from torch import Tensor, nn

from pleura.models.encoders.base import Encoder

# expansion, channels, repeats, stride: table 2 of the paper
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_TAPS = (1, 3, 6, 13, 17)  # indices of the last block at strides 2, 4, 8, 16, 32


def _conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class _InvertedResidual(nn.Module):
    """1 x 1 expansion, depthwise 3 x 3, linear 1 x 1 projection."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = [_conv(inputs, hidden, 1)] if expansion > 1 else []
        layers += [
            _conv(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        projected: Tensor = self.conv(features)
        return features + projected if self.residual else projected


class MobileNetV2(Encoder):
    """Features with 16, 24, 32, 96 and 320 channels; 1.8 million parameters without a head."""

    channels = (16, 24, 32, 96, 320)
    weights_file = "mobilenet_v2_imagenet"
    stem_key = "features.0.0.weight"

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(1, 32, 3, stride=2)]
        inputs = 32
        for expansion, outputs, repeats, stride in _STAGES:
            for index in range(repeats):
                layers.append(
                    _InvertedResidual(inputs, outputs, expansion, stride if index == 0 else 1)
                )
                inputs = outputs
        self.features = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map (n, 1, h, w) to features at strides 2, 4, 8, 16 and 32."""
        taps: list[Tensor] = []
        features = image
        for index, layer in enumerate(self.features):
            features = layer(features)
            if index in _TAPS:
                taps.append(features)
        return tuple(taps)
