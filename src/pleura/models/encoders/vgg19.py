"""VGG-19 (Simonyan and Zisserman, ICLR 2015), with torchvision's names: `vgg19`."""

from collections.abc import Mapping
from typing import ClassVar, Final

import torch
from torch import Tensor, nn

from pleura.models.encoders.base import Encoder

# configuration E of table 1: the channels of each block's 3 x 3 convolutions, then a maximum pool
_BLOCKS = ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4)
CAFFE_MEANS: Final = (103.939, 116.779, 123.68)  # of blue, green and red, in 0 to 255


class VGG19(Encoder):
    """Features with 128, 256, 512, 512 and 512 channels; 20 million parameters, no normalisation.

    The ImageNet file that is looked for holds the first three blocks of a VGG-16, the same layers
    but for the fourth convolution of the third block; what it lacks starts at random.
    """

    channels: ClassVar[tuple[int, ...]] = (128, 256, 512, 512, 512)
    weights_file = "vgg16_blocks1to3"
    stem_key = "features.0.weight"

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 1
        for block in _BLOCKS:
            for outputs in block:
                convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
                nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
                layers += [convolution, nn.ReLU(inplace=True)]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)

    def blocks(self, image: Tensor) -> list[Tensor]:
        """Map (n, 1, h, w) to what each block gives before its pool, at strides 1, 2, 4, 8, 16."""
        taps: list[Tensor] = []
        features = image
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                taps.append(features)
                if len(taps) == len(_BLOCKS):
                    break
            features = layer(features)
        return taps

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map (n, 1, h, w) to features at strides 2, 4, 8, 16 and 32."""
        _, *finer, last = self.blocks(image)
        return (*finer, last, self.features[-1](last))

    def from_imagenet(
        self, state: Mapping[str, Tensor], mean: float, std: float
    ) -> dict[str, Tensor]:
        """Fold Caffe's input, blue, green, red in 0 to 255 less their means, into the first layer.

        Exact but for the border of one pixel, where zero means another grey than it did.
        """
        kernels = state[self.stem_key].float()
        shifts = torch.tensor([255 * mean - channel for channel in CAFFE_MEANS])
        bias = state["features.0.bias"].float() + torch.einsum("ocyx,c->o", kernels, shifts)
        return {
            **state,
            self.stem_key: 255 * std * kernels.sum(1, keepdim=True),
            "features.0.bias": bias,
        }
