"""EfficientNetV2-B0 (Tan and Le, ICML 2021), with timm's names: `tf_efficientnetv2_b0`."""

from torch import Tensor, nn
from torch.nn import functional

from pleura.models.blocks import SamePadConv2d, SqueezeExcite
from pleura.models.encoders.base import Encoder

_EPS = 1e-3  # TensorFlow's batch normalisation; PyTorch's default is 1e-5
_MOMENTUM = 0.1


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPS, momentum=_MOMENTUM)


class _ConvBlock(nn.Module):
    """A single 3 x 3 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = SamePadConv2d(inputs, outputs, 3)
        self.bn1 = _norm(outputs)

    def forward(self, features: Tensor) -> Tensor:
        return functional.silu(self.bn1(self.conv(features)))


class _FusedMBConv(nn.Module):
    """3 x 3 expansion, then 1 x 1 projection; residual where the shape allows."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.conv_exp = SamePadConv2d(inputs, hidden, 3, stride)
        self.bn1 = _norm(hidden)
        self.conv_pwl = nn.Conv2d(hidden, outputs, 1, bias=False)
        self.bn2 = _norm(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        hidden = functional.silu(self.bn1(self.conv_exp(features)))
        projected: Tensor = self.bn2(self.conv_pwl(hidden))
        return features + projected if self.residual else projected


class _MBConv(nn.Module):
    """1 x 1 expansion, depthwise 3 x 3, squeeze and excite, 1 x 1 projection."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.conv_pw = nn.Conv2d(inputs, hidden, 1, bias=False)
        self.bn1 = _norm(hidden)
        self.conv_dw = SamePadConv2d(hidden, hidden, 3, stride, groups=hidden)
        self.bn2 = _norm(hidden)
        self.se = SqueezeExcite(hidden, inputs // 4)
        self.conv_pwl = nn.Conv2d(hidden, outputs, 1, bias=False)
        self.bn3 = _norm(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        hidden = functional.silu(self.bn1(self.conv_pw(features)))
        hidden = functional.silu(self.bn2(self.conv_dw(hidden)))
        projected: Tensor = self.bn3(self.conv_pwl(self.se(hidden)))
        return features + projected if self.residual else projected


def _stage(
    block: type[_FusedMBConv] | type[_MBConv],
    inputs: int,
    outputs: int,
    expansion: int,
    stride: int,
    repeats: int,
) -> nn.Sequential:
    first = block(inputs, outputs, expansion, stride)
    return nn.Sequential(
        first, *(block(outputs, outputs, expansion, 1) for _ in range(repeats - 1))
    )


class EfficientNetV2B0(Encoder):
    """Features with 16, 32, 48, 112 and 192 channels; 5.9 million parameters without a head."""

    channels = (16, 32, 48, 112, 192)
    weights_file = "efficientnetv2_b0_imagenet"
    stem_key = "conv_stem.weight"

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = SamePadConv2d(1, 32, 3, stride=2)
        self.bn1 = _norm(32)
        self.blocks = nn.Sequential(
            nn.Sequential(_ConvBlock(32, 16)),
            _stage(_FusedMBConv, 16, 32, expansion=4, stride=2, repeats=2),
            _stage(_FusedMBConv, 32, 48, expansion=4, stride=2, repeats=2),
            _stage(_MBConv, 48, 96, expansion=4, stride=2, repeats=3),
            _stage(_MBConv, 96, 112, expansion=6, stride=1, repeats=5),
            _stage(_MBConv, 112, 192, expansion=6, stride=2, repeats=8),
        )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map (n, 1, h, w) to features at strides 2, 4, 8, 16 and 32."""
        stem = functional.silu(self.bn1(self.conv_stem(image)))
        stride_2 = self.blocks[0](stem)
        stride_4 = self.blocks[1](stride_2)
        stride_8 = self.blocks[2](stride_4)
        stride_16 = self.blocks[4](self.blocks[3](stride_8))
        stride_32 = self.blocks[5](stride_16)
        return stride_2, stride_4, stride_8, stride_16, stride_32
