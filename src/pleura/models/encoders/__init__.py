"""Encoders: an image in, feature maps at strides 2, 4, 8, 16 and 32 out."""

from collections.abc import Callable

from pleura.models.encoders.base import Encoder
from pleura.models.encoders.efficientnetv2 import EfficientNetV2B0
from pleura.models.encoders.mobilenetv2 import MobileNetV2
from pleura.models.encoders.vgg19 import VGG19

ENCODERS: dict[str, Callable[[], Encoder]] = {
    "efficientnetv2_b0": EfficientNetV2B0,
    "mobilenet_v2": MobileNetV2,
    "vgg19": VGG19,
}

__all__ = ["ENCODERS", "VGG19", "EfficientNetV2B0", "Encoder", "MobileNetV2"]
