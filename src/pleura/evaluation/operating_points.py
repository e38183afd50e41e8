"""Choosing named thresholds on held-out probabilities."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pleura.inference.manifest import Estimate, OperatingPoint
from pleura.metrics import proportion, roc_curve


def choose_operating_points(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    cohort: str = "",
    sensitivity: float = 0.95,
    specificity: float = 0.95,
) -> tuple[OperatingPoint, OperatingPoint, OperatingPoint]:
    """The points `sensitive`, `balanced` and `specific`, in this order.

    `sensitive` is the highest threshold with at least the wanted sensitivity, `specific` the lowest
    one with at least the wanted specificity, `balanced` the one with the largest Youden index
    (ties: the more sensitive). A threshold lies half-way between the two neighbouring
    probabilities, so that a rounding error does not tip a case over.

    Args:
        probabilities: (n,) calibrated, in [0, 1], of cases that the model was not trained on.
        labels: (n,) boolean or 0 and 1, both classes present.
        groups: (n,) patient of each case, to widen the intervals; None when each is its own.
        cohort: the cases, in words, for the manifest.
        sensitivity: wanted by `sensitive`, in (0, 1].
        specificity: wanted by `specific`, in (0, 1].

    Raises:
        ValueError: lengths differ, a value lies outside its range, only one class occurs, or no
            threshold up to 1 has the wanted specificity.
    """
    if not (0 < sensitivity <= 1 and 0 < specificity <= 1):
        raise ValueError("wanted sensitivity and specificity must lie in (0, 1]")
    curve = roc_curve(probabilities, labels)
    probability = np.asarray(probabilities, dtype=np.float64)
    if probability.min() < 0 or probability.max() > 1:
        raise ValueError("probabilities must lie in [0, 1]")
    thresholds = _between(curve.thresholds)
    usable = thresholds <= 1.0
    reached = curve.true_positive_rate, 1.0 - curve.false_positive_rate
    thresholds, sensitivities, specificities = (a[usable] for a in (thresholds, *reached))

    sensitive = int(np.argmax(sensitivities >= sensitivity))
    youden = sensitivities + specificities
    balanced = int(np.flatnonzero(youden >= youden.max() - 1e-12)[-1])
    enough = np.flatnonzero(specificities >= specificity)
    if enough.size == 0:
        raise ValueError(f"no threshold up to 1 has a specificity of {specificity}")

    def point(name: str, place: int) -> OperatingPoint:
        return measure_point(
            name, float(thresholds[place]), probability, labels, groups=groups, cohort=cohort
        )

    return (
        point("sensitive", sensitive),
        point("balanced", balanced),
        point("specific", int(enough[-1])),
    )


def measure_point(
    name: str,
    threshold: float,
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    cohort: str = "",
) -> OperatingPoint:
    """A threshold with its sensitivity, specificity and 95 % intervals on a cohort.

    Args:
        name: of the point.
        threshold: present at this probability and above.
        probabilities: (n,) calibrated, in [0, 1].
        labels: (n,) boolean or 0 and 1.
        groups: (n,) patient of each case; None when each is its own.
        cohort: the cases, in words.

    Raises:
        ValueError: lengths differ, or only one class occurs.
    """
    called = np.asarray(probabilities, dtype=np.float64) >= threshold
    label = np.asarray(labels).astype(np.bool_)
    found = _share(called, label, groups)
    cleared = _share(~called, ~label, groups)
    return OperatingPoint(
        name=name,
        threshold=threshold,
        sensitivity=found.value,
        specificity=cleared.value,
        sensitivity_interval=(found.low, found.high),
        specificity_interval=(cleared.low, cleared.high),
        cohort=cohort,
    )


def _share(
    outcomes: NDArray[np.bool_], among: NDArray[np.bool_], groups: ArrayLike | None
) -> Estimate:
    if not among.any():
        raise ValueError("labels must hold both classes")
    return proportion(outcomes[among], None if groups is None else np.asarray(groups)[among])


def _between(descending: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half-way below each probability; the first stands above all, beyond 1 if one is 1."""
    distinct = descending[1:]
    below = np.append(distinct[1:], 0.0)
    middle = (distinct + below) / 2
    middle = np.where((middle <= below) & (distinct > 0), distinct, middle)
    above = (distinct[0] + 1.0) / 2
    return np.concatenate([[above if above > distinct[0] else np.inf], middle])
