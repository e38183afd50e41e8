"""Examples made of two: mixtures and patchworks of a batch's images, labels and masks.

A label or mask that is unknown in one of the two is unknown in what is made of them.
"""

import math

import torch
from torch import Tensor
from torch.distributions import Beta

from pleura.data.dataset import Sample


def mixed_batch(batch: Sample, mixup: float, cutmix: float) -> Sample:
    """The batch as it is trained on.

    Args:
        batch: examples with n in front.
        mixup: alpha of the beta distribution of the shares of `mix`; 0 for none.
        cutmix: alpha of the beta distribution of the shares of `cut_mix`; 0 for none.
    """
    if mixup > 0:
        batch = mix(batch, _share(mixup))
    if cutmix > 0:
        batch = cut_mix(batch, _share(cutmix))
    return batch


def mix(batch: Sample, share: float) -> Sample:
    """Mixup (Zhang et al., ICLR 2018): each example with a random other one of the batch.

    Args:
        batch: examples with n in front.
        share: of the example itself, in [0, 1].
    """
    other = torch.randperm(len(batch["label"]))

    def mixed(values: Tensor) -> Tensor:
        return share * values + (1 - share) * values[other]

    return _joined(batch, other, mixed(batch["image"]), mixed(batch["mask"]), share)


def cut_mix(batch: Sample, share: float) -> Sample:
    """CutMix (Yun et al., ICCV 2019): a box of each example comes from a random other one.

    The box has the sides of the image times sqrt(1 - share) and a random place, the same in the
    whole batch, on the mask's grid, so that image and mask are cut alike. Labels are weighed by the
    area that was really taken.

    Args:
        batch: examples with n in front; the image's sides are multiples of the mask's.
        share: of the area that stays, in [0, 1].
    """
    other = torch.randperm(len(batch["label"]))
    rows, columns = batch["mask"].shape[2:]
    stride = batch["image"].shape[2] // rows
    size = [round(side * math.sqrt(1 - share)) for side in (rows, columns)]
    place = [
        int(torch.randint(side - length + 1, ()))
        for side, length in zip((rows, columns), size, strict=True)
    ]

    def patched(values: Tensor, scale: int) -> Tensor:
        (top, left), (height, width) = (
            [scale * number for number in place],
            [scale * number for number in size],
        )
        box = (..., slice(top, top + height), slice(left, left + width))
        patched = values.clone()
        patched[box] = values[other][box]
        return patched

    kept = 1 - size[0] * size[1] / (rows * columns)
    return _joined(batch, other, patched(batch["image"], stride), patched(batch["mask"], 1), kept)


def _share(alpha: float) -> float:
    return float(Beta(alpha, alpha).sample())


def _joined(batch: Sample, other: Tensor, image: Tensor, mask: Tensor, share: float) -> Sample:
    """Labels by share, masks trusted as far as the less trusted one."""
    label, weight = batch["label"], batch["mask_weight"]
    return Sample(
        image=image,
        mask=mask,
        label=share * label + (1 - share) * label[other],
        mask_weight=torch.minimum(weight, weight[other]),
        position=batch["position"],
    )
