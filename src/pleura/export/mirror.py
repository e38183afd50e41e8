"""From which logit on the mirror image is judged, too: a clear negative stays one without it.

The mirror image moves the mean of both logits away from the image's own. Where the image alone
lies so far below the lowest operating point that no such move reaches it, the second run of the
network would change no label, only the hundredths of a small probability; and most radiographs of a
work list are such.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pleura.inference.manifest import Calibration, OperatingPoint
from pleura.inference.postprocess import calibrated_probability

MARGIN = 8.0
"""Standard deviations of the move that are kept as a distance; of 467 moves the largest was 4.6."""
_FURTHEST = 60.0
_STEPS = 80


def mirror_from(
    views: NDArray[np.float64], calibration: Calibration, points: Sequence[OperatingPoint]
) -> float:
    """The logit of the image alone from which on its mirror image is judged.

    Args:
        views: (n, 2) logits of held-out images and their mirror images.
        calibration: of the mean of both.
        points: the operating points.
    """
    moves = views.mean(axis=1) - views[:, 0]
    return lowest_logit(calibration, points) - MARGIN * float(np.sqrt(np.mean(moves**2)))


def lowest_logit(calibration: Calibration, points: Sequence[OperatingPoint]) -> float:
    """The smallest logit that reaches an operating point, by bisection."""
    threshold = min(point.threshold for point in points)
    low, high = -_FURTHEST, _FURTHEST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if calibrated_probability(middle, calibration) >= threshold:
            high = middle
        else:
            low = middle
    return high
