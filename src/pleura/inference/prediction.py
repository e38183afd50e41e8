"""The result of judging one radiograph."""

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pleura.engines import Engine
from pleura.inference.manifest import OperatingPoint
from pleura.masks import PatientSide, Region, patient_side
from pleura.quality import QualityReport
from pleura.radiograph import Radiograph

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ModelReference", "Prediction", "QualityReport", "Refusal", "Result", "Stage", "Status"]


class Stage(StrEnum):
    """The stages that are timed, in their order."""

    DECODE = "decode"
    PREPROCESS = "preprocess"
    CLASSIFY = "classify"
    SEGMENT = "segment"
    POSTPROCESS = "postprocess"
    TOTAL = "total"


class Status(StrEnum):
    """How the way of one input ended."""

    OK = "ok"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ModelReference:
    """Which model spoke.

    Attributes:
        name, version: as the manifest says.
        sha256: of the manifest, which names the weights by theirs.
        engine: that ran the networks; their numbers differ a little from one to the next.
    """

    name: str
    version: str
    sha256: str
    engine: Engine = Engine.ONNXRUNTIME


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What the model says of one radiograph.

    Attributes:
        radiograph: what was judged.
        probability: calibrated probability of pneumothorax, in [0, 1].
        uncertainty: how far the model's views of the image disagree: the population standard
            deviation of their calibrated probabilities, in [0, 0.5]; None when a single view was
            judged, as of a clear negative. The views are the image and its mirror image, so
            with two views this is half the distance between their probabilities. It is not a
            confidence interval, and it cannot know an image that is unlike all that was trained on:
            the views may agree and both be wrong.
        operating_point: the named point whose threshold decides `present`.
        mask: bool, (rows, columns) of the file; empty when not `present`.
        probability_map: float32 in [0, 1], (rows, columns) of the file: the segmentation network's
            probability of air for each pixel; all zero when not `segmented`.
        segmented: the segmentation network was run, so that a zero of the map is its own word.
        regions: connected regions of `mask`, largest first.
        quality: the input gate's report.
        model: which model spoke.
        timings_ms: milliseconds by stage name; `total` is the whole way from bytes to this value.
    """

    radiograph: Radiograph
    probability: float
    uncertainty: float | None
    operating_point: OperatingPoint
    mask: NDArray[np.bool_]
    probability_map: NDArray[np.float32]
    segmented: bool
    regions: tuple[Region, ...]
    quality: QualityReport
    model: ModelReference
    timings_ms: "Mapping[str, float]" = field(default_factory=lambda: MappingProxyType({}))

    @property
    def present(self) -> bool:
        """True when the probability reaches the operating point's threshold."""
        return self.probability >= self.operating_point.threshold

    @property
    def area_px(self) -> int:
        """Area of the mask in pixels of the file."""
        return int(np.count_nonzero(self.mask))

    @property
    def area_mm2(self) -> float | None:
        """Area of the mask in square millimetres, or None when the file states no spacing."""
        return self._in_mm2(self.area_px)

    def area_mm2_of(self, region: Region) -> float | None:
        """Area of one of `regions` in square millimetres, or None without spacing."""
        return self._in_mm2(region.area_px)

    def patient_side_of(self, region: Region) -> PatientSide | None:
        """The patient's side that one of `regions` lies on; None when the file does not say."""
        return patient_side(region.image_side, self.radiograph.patient_orientation)

    def _in_mm2(self, area_px: int) -> float | None:
        spacing = self.radiograph.spacing
        return None if spacing is None else area_px * spacing.pixel_area_mm2


@dataclass(frozen=True, slots=True)
class Refusal:
    """An input that no prediction was made for, and why.

    Attributes:
        input: name of the input as the user gave it.
        status: `REFUSED` when the input must not be judged, `FAILED` when Pleura could not.
        code: stable code of the error; `internal_error` for one that nobody foresaw.
        message: one sentence, free of patient identifiers.
        hint: one sentence that says what the user can do.
    """

    input: str
    status: Status
    code: str
    message: str
    hint: str


Result = Prediction | Refusal
