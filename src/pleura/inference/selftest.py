"""Does the model say here what it said when it was released? Synthetic radiographs tell."""

from dataclasses import dataclass

from pleura.inference.manifest import SelftestCase
from pleura.inference.predictor import Predictor
from pleura.phantom import draw, spec_for, to_dicom

PROBABILITY_TOLERANCE = 0.02
AREA_TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Comparison:
    """A recorded case and what was measured here."""

    expected: SelftestCase
    measured: SelftestCase

    @property
    def agrees(self) -> bool:
        """Probability within 0.02 and area within 5 %."""
        difference = abs(self.measured.probability - self.expected.probability)
        allowed_px = AREA_TOLERANCE * self.expected.area_px
        area_difference = abs(self.measured.area_px - self.expected.area_px)
        return difference <= PROBABILITY_TOLERANCE and area_difference <= allowed_px


def measure(predictor: Predictor, seed: int, pneumothorax: bool) -> SelftestCase:
    """Draw a synthetic radiograph, send it through a DICOM file, and judge it.

    A release writes what this gives into the manifest's `selftest`.
    """
    prediction = predictor.predict(to_dicom(draw(spec_for(seed, pneumothorax))))
    return SelftestCase(
        seed=seed,
        pneumothorax=pneumothorax,
        probability=round(prediction.probability, 6),
        area_px=prediction.area_px,
    )


def compare(predictor: Predictor, case: SelftestCase) -> Comparison:
    """Measure a recorded case again."""
    return Comparison(case, measure(predictor, case.seed, case.pneumothorax))
