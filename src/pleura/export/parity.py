"""Is the exported file the network that was trained? Measured on images, written down."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from pleura.export.stages import IMAGE, LOGIT, MASK_LOGITS
from pleura.inference.postprocess import sigmoid
from pleura.models import Network

LOGIT_TOLERANCE = 1e-3
"""A probability moves by a quarter of it at most."""
MASK_PROBABILITY_TOLERANCE = 2.5e-3
DICE_TOLERANCE = 0.999


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the exported files are from PyTorch's eager network.

    Parity holds when the image-level logit is within 1e-3 on every image, the probability of air
    within 0.0025 on every pixel of every image, and the mean Dice of the two masks is at least
    0.999. The bound on the pixels is what a mean cannot hide: only pixels that lie as close to the
    threshold can change sides. It is on probabilities because a mask's logits reach far below zero,
    where a difference changes nothing. The smallest Dice is told and not held against a bound,
    because a single such pixel takes the Dice of a small mask on the network's coarse grid below
    0.999.

    Attributes:
        images: number of images compared.
        positive_masks: images on which either mask is not empty; the Dice is over these, and 1
            without any.
        max_logit_difference: largest absolute difference of the image-level logit.
        max_mask_logit_difference: likewise over the pixels of all masks.
        max_mask_probability_difference: likewise, of their probabilities of air.
        min_mask_dice: smallest Dice of the two masks of one image.
        mean_mask_dice: mean Dice over the same images.
        disagreeing_pixels: share of all pixels on which the two masks differ.
    """

    images: int
    positive_masks: int
    max_logit_difference: float
    max_mask_logit_difference: float
    max_mask_probability_difference: float
    min_mask_dice: float
    mean_mask_dice: float
    disagreeing_pixels: float

    @property
    def holds(self) -> bool:
        """Whether all three bounds are kept; a NaN keeps none."""
        return (
            self.max_logit_difference <= LOGIT_TOLERANCE
            and self.max_mask_probability_difference <= MASK_PROBABILITY_TOLERANCE
            and self.mean_mask_dice >= DICE_TOLERANCE
        )

    def as_dict(self) -> dict[str, Any]:
        """For a JSON report."""
        return {**asdict(self), "holds": self.holds}


class OnnxStages:
    """The exported stages, run as one network; without a segmenter the first gives the mask."""

    def __init__(
        self, classifier: onnx.ModelProto, segmenter: onnx.ModelProto | None = None
    ) -> None:
        self._classifier = _session(classifier)
        self._segmenter = None if segmenter is None else _session(segmenter)
        self._names = [node.name for node in self._classifier.get_outputs()]

    def __call__(self, image: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Map (n, 1, h, w) to the logits (n, 1) and the mask logits (n, 1, h', w')."""
        given = dict(zip(self._names, self._classifier.run(None, {IMAGE: image}), strict=True))
        if self._segmenter is None:
            return given[LOGIT], given[MASK_LOGITS]
        tensors = {IMAGE: image, **given}
        feeds = {node.name: tensors[node.name] for node in self._segmenter.get_inputs()}
        (mask_logits,) = self._segmenter.run([MASK_LOGITS], feeds)
        return given[LOGIT], mask_logits


def measure_parity(
    network: Network,
    stages: OnnxStages,
    images: Sequence[NDArray[np.float32]],
    mask_threshold: float = 0.5,
) -> Parity:
    """Run both on every image and compare.

    Args:
        network: with a logit and a mask, in evaluation mode.
        stages: the exported files.
        images: at least one; each (1, 1, h, w), standardised.
        mask_threshold: probability from which a pixel belongs to the mask, in (0, 1).

    Raises:
        ValueError: there is no image.
    """
    if not images:
        raise ValueError("parity needs at least one image")
    cut = float(np.log(mask_threshold / (1 - mask_threshold)))
    logit_gaps, mask_gaps, probability_gaps, dices = [], [], [], []
    differing = pixels = 0
    for image in images:
        with torch.inference_mode():
            output = network(torch.from_numpy(image))
        logit, mask_logits = stages(image)
        logit_gaps.append(np.abs(output.logit.numpy() - logit).max())
        reference = output.mask_logits.numpy()
        mask_gaps.append(np.abs(reference - mask_logits).max())
        probability_gaps.append(np.abs(sigmoid(reference) - sigmoid(mask_logits)).max())
        ours, theirs = mask_logits >= cut, reference >= cut
        differing += int((ours != theirs).sum())
        pixels += ours.size
        if ours.any() or theirs.any():
            dices.append(2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()))
    return Parity(
        images=len(images),
        positive_masks=len(dices),
        max_logit_difference=float(np.max(logit_gaps)),
        max_mask_logit_difference=float(np.max(mask_gaps)),
        max_mask_probability_difference=float(np.max(probability_gaps)),
        min_mask_dice=float(min(dices, default=1.0)),
        mean_mask_dice=float(np.mean(dices)) if dices else 1.0,
        disagreeing_pixels=differing / pixels,
    )


def _session(model: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
