"""What the networks say before anything is decided."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pleura.masks import Letterbox
from pleura.quality import QualityReport
from pleura.radiograph import Radiograph


@dataclass(frozen=True, slots=True, eq=False)
class RawPrediction:
    """What the networks say of one radiograph, before any decision.

    Attributes:
        radiograph: what was judged.
        quality: the input gate's report.
        embedding: (d,) the classifier's deepest features, or None when it gives none.
        letterbox: the way from the segmenter's square back to the file's grid.
        logit: the classifier's number before calibration (mean over the views).
        probability: calibrated, in [0, 1].
        view_logits: the image's own logit, then its mirror image's where it was judged.
        uncertainty: as in `Prediction`.
        network_map: the segmenter's probability of air, float32 in [0, 1], (h, w) on the network's
            own grid; None when it was not run.
        timings_ms: milliseconds by stage name, up to here.
    """

    radiograph: Radiograph
    quality: QualityReport
    letterbox: Letterbox
    embedding: NDArray[np.float32] | None
    logit: float
    view_logits: tuple[float, ...]
    probability: float
    uncertainty: float | None
    network_map: NDArray[np.float32] | None
    timings_ms: dict[str, float]
