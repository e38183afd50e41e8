"""Does a MONAI bundle say what the model folder says? Measured on radiographs, written down."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pleura.export.bundle_parts import BundleNetwork, RadiographInferer
from pleura.export.parity import DICE_TOLERANCE, LOGIT_TOLERANCE, MASK_PROBABILITY_TOLERANCE
from pleura.inference import Predictor
from pleura.inference.postprocess import calibrated_probability
from pleura.quality import GateSettings, Strictness
from pleura.radiograph import Radiograph

PROBABILITY_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class BundleParity:
    """How far the bundle's results are from those of `Predictor` on the model folder.

    Parity holds when the image-level logit and the calibrated probability are within 1e-3 on every
    radiograph and the probability of air within 0.0025 on every pixel, when each radiograph is
    called alike, and when the mean Dice of the two masks is at least 0.999. Where an isotonic
    calibration is so steep that a logit within its bound moves the probability further, that much
    is allowed.

    Attributes:
        radiographs: number of radiographs compared.
        cohort: what they are.
        called: how many show the finding, by the model folder.
        called_differently: how many the two call differently at the default operating point.
        masks: radiographs on which either mask is not empty; the Dice is over these, and 1 without
            any.
        max_logit_difference: largest absolute difference of the image-level logit.
        max_probability_difference: likewise of the calibrated probability.
        max_probability_excess: the part of it that a logit within its bound does not explain.
        max_map_difference: likewise over the pixels of all maps of the probability of air, on the
            network's grid.
        min_mask_dice: smallest Dice of the two masks of one radiograph, on the file's grid.
        mean_mask_dice: mean Dice.
    """

    radiographs: int
    cohort: str
    called: int
    called_differently: int
    masks: int
    max_logit_difference: float
    max_probability_difference: float
    max_probability_excess: float
    max_map_difference: float
    min_mask_dice: float
    mean_mask_dice: float

    @property
    def holds(self) -> bool:
        """Whether all bounds are kept; a NaN keeps none."""
        return (
            self.max_logit_difference <= LOGIT_TOLERANCE
            and self.max_probability_excess <= PROBABILITY_TOLERANCE
            and self.max_map_difference <= MASK_PROBABILITY_TOLERANCE
            and self.called_differently == 0
            and self.mean_mask_dice >= DICE_TOLERANCE
        )

    def as_dict(self) -> dict[str, Any]:
        """For a JSON report, with the bounds."""
        bounds = {
            "max_logit_difference": LOGIT_TOLERANCE,
            "max_probability_excess": PROBABILITY_TOLERANCE,
            "max_map_difference": MASK_PROBABILITY_TOLERANCE,
            "called_differently": 0,
            "mean_mask_dice": DICE_TOLERANCE,
        }
        reference = "pleura.Predictor on the ONNX files of the model folder"
        return {
            "reference": reference,
            **asdict(self),
            "bounds": bounds,
            "holds": self.holds,
        }


def measure_bundle_parity(
    folder: Path,
    network: BundleNetwork,
    radiographs: Sequence[Radiograph],
    cohort: str,
) -> BundleParity:
    """Judge every radiograph both ways and compare; the input gate, the same in both, is off.

    Args:
        folder: of the model; its ONNX files are the reference.
        network: of the bundle, in evaluation mode.
        radiographs: at least one.
        cohort: what they are, in words.
    """
    reference = Predictor(folder, gate=GateSettings(Strictness.OFF))
    ours = RadiographInferer(folder, gate=Strictness.OFF).predictor(network)
    calibration = reference.manifest.calibration
    logits, probabilities, excesses, maps, dices = [], [], [], [], []
    called = differently = 0
    for radiograph in radiographs:
        raws = [predictor.predict_raw(radiograph) for predictor in (reference, ours)]
        theirs, own = (p.decide(raw) for p, raw in zip((reference, ours), raws, strict=True))
        first, second = raws
        if first.network_map is None or second.network_map is None:
            raise TypeError("predict_raw runs the segmenter on every radiograph")
        logits.append(abs(first.logit - second.logit))
        probabilities.append(abs(first.probability - second.probability))
        low, high = sorted(  # Platt's slope may be negative where there was little to fit it on
            calibrated_probability(first.logit + offset, calibration)
            for offset in (-LOGIT_TOLERANCE, LOGIT_TOLERANCE)
        )
        excesses.append(max(low - second.probability, second.probability - high, 0.0))
        maps.append(float(np.abs(first.network_map - second.network_map).max()))
        called += theirs.present
        differently += theirs.present != own.present
        if theirs.mask.any() or own.mask.any():
            overlap = 2 * int((theirs.mask & own.mask).sum())
            dices.append(overlap / int(theirs.mask.sum() + own.mask.sum()))
    return BundleParity(
        radiographs=len(radiographs),
        cohort=cohort,
        called=called,
        called_differently=differently,
        masks=len(dices),
        max_logit_difference=float(np.max(logits)),
        max_probability_difference=float(np.max(probabilities)),
        max_probability_excess=float(np.max(excesses)),
        max_map_difference=float(np.max(maps)),
        min_mask_dice=min(dices, default=1.0),
        mean_mask_dice=float(np.mean(dices)) if dices else 1.0,
    )
