"""Examples made of two: mixtures and patchworks of a batch's images, labels and masks.

A label or mask that is unknown in one of the two is unknown in what is made of them.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Beta
from torch.nn import functional

from pleura.data.dataset import Sample

_REACH = 0.015  # of the image's side: how far the soft edge of a patch goes


@dataclass(frozen=True, slots=True)
class Mixing:
    """What is done to a batch before it is trained on, in this order; all off by default.

    Attributes:
        transplanted: share of the negatives that `transplant` changes.
        mixup: alpha of the beta distribution of the shares of `mix`; 0 for none.
        cutmix: alpha of the beta distribution of the shares of `cut_mix`; 0 for none.
    """

    transplanted: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __call__(self, batch: Sample) -> Sample:
        """The batch, n in front, as it is trained on."""
        if self.transplanted > 0:
            batch = transplant(batch, self.transplanted)
        if self.mixup > 0:
            batch = mix(batch, _share(self.mixup))
        if self.cutmix > 0:
            batch = cut_mix(batch, _share(self.cutmix))
        return batch


NO_MIXING = Mixing()


def transplant(batch: Sample, share: float) -> Sample:
    """Give negatives the pneumothorax of a random positive of the batch, where it lay there.

    The patch is the positive's mask, widened and with soft edges. Its mean grey along the edge is
    made that of the negative, so that the seam says little. The label becomes 1, and the mask that
    of the positive, trusted as far. Without a positive that has a trusted mask the batch stays.

    Args:
        batch: examples with n in front; the image's sides are multiples of the mask's.
        share: of the negatives, in [0, 1]; each is chosen by itself.
    """
    label, mask, weight = batch["label"], batch["mask"], batch["mask_weight"]
    donors = torch.nonzero((label == 1) & (weight > 0) & (mask.amax((1, 2, 3)) >= 0.5)).flatten()
    chosen = torch.nonzero((label == 0) & (torch.rand(len(label)) < share)).flatten()
    if not len(donors) or not len(chosen):
        return batch
    given = donors[torch.randint(len(donors), (len(chosen),))]
    image = batch["image"].clone()
    cover = _soft_cover(mask[given], image.shape[2:])
    edge = cover * (1 - cover)
    step = (edge * (image[chosen] - image[given])).sum((1, 2, 3), keepdim=True)
    step = step / edge.sum((1, 2, 3), keepdim=True).clamp_min(1e-6)
    image[chosen] += cover * (image[given] + step - image[chosen])
    return Sample(
        image=image,
        mask=mask.index_copy(0, chosen, mask[given]),
        label=label.index_fill(0, chosen, 1.0),
        mask_weight=weight.index_copy(0, chosen, weight[given]),
        position=batch["position"],
    )


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


def _soft_cover(mask: Tensor, shape: torch.Size) -> Tensor:
    """1 on the mask (n, 1, h, w), falling to 0 a little way outside, (n, 1, *shape)."""
    reach = max(1, round(_REACH * mask.shape[2]))
    wide = functional.max_pool2d(mask, 2 * reach + 1, stride=1, padding=reach)
    soft = functional.avg_pool2d(wide, 2 * reach + 1, stride=1, padding=reach)
    cover = functional.interpolate(soft, size=shape, mode="bilinear")
    return cover.clamp(0, 1)


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
