"""Where the mirror image is judged: as far below the lowest operating point as it could matter."""

import numpy as np
import pytest

from pleura.export.mirror import MARGIN, lowest_logit, mirror_from
from pleura.inference.manifest import Calibration, OperatingPoint
from pleura.inference.postprocess import calibrated_probability

POINTS = [
    OperatingPoint(name=name, threshold=threshold, sensitivity=0.9, specificity=0.8)
    for name, threshold in (("balanced", 0.5), ("sensitive", 0.1))
]
CALIBRATIONS = [
    Calibration(),
    Calibration(method="platt", slope=0.5, intercept=-1.0),
    Calibration(method="isotonic", knots=((-3.0, 0.01), (0.0, 0.2), (2.0, 0.9))),
]


@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=lambda c: c.method)
def test_the_lowest_logit_is_where_the_lowest_point_begins(calibration: Calibration) -> None:
    logit = lowest_logit(calibration, POINTS)
    assert calibrated_probability(logit, calibration) == pytest.approx(0.1, abs=1e-9)
    assert calibrated_probability(logit - 1e-3, calibration) < 0.1


def test_no_move_that_was_seen_reaches_a_point_from_below() -> None:
    generator = np.random.default_rng(0)
    own = generator.normal(-1, 3, 2000)
    views = np.stack([own, own + generator.normal(0, 0.5, 2000)], axis=1)
    first = mirror_from(views, CALIBRATIONS[0], POINTS)
    assert lowest_logit(CALIBRATIONS[0], POINTS) - first == pytest.approx(MARGIN * 0.25, rel=0.1)
    clear = own < first
    assert clear.mean() > 0.1
    assert calibrated_probability(views[clear].mean(axis=1).max(), CALIBRATIONS[0]) < 0.1
