"""Fitting a probability to a classifier's logits for a stated prevalence, and choosing how."""

import logging
import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pleura.data.splits import make_folds
from pleura.inference.manifest import Calibration, CalibrationScore
from pleura.inference.postprocess import calibrated_probability
from pleura.metrics import prevalence_weights

Method = Literal["temperature", "platt", "isotonic"]
METHODS: tuple[Method, ...] = ("temperature", "platt", "isotonic")
"""From the simplest to the most flexible."""
FOLDS = 5

_MAX_STEPS = 100
_TOLERANCE = 1e-10
_SURE = 1e-12
_log = logging.getLogger(__name__)


def fit_platt(
    logits: ArrayLike, labels: ArrayLike, prevalence: float | None = None
) -> tuple[float, float]:
    """Slope and intercept of probability = sigmoid(slope * logit + intercept).

    Platt (1999): weighted maximum likelihood with the targets (N+ + 1) / (N+ + 2) and 1 / (N- + 2)
    in the place of 1 and 0, so that separable logits too have a finite answer. Cases are weighted
    to the stated prevalence. Newton's method with step halving (Lin, Lin and Weng, 2007);
    deterministic.

    Args:
        logits: (n,) finite numbers of the classifier, on cases that it was not trained on.
        labels: (n,) boolean or 0 and 1, both classes present.
        prevalence: share of positives, in (0, 1), to calibrate for; None for the cases' own.

    Returns:
        (slope, intercept). A slope that is not positive means that the logits do not tell the
        classes apart; it is logged as a warning.

    Raises:
        ValueError: lengths differ, only one class occurs, all logits are equal, or the prevalence
            is not within (0, 1).
    """
    logit, target, weight = _prepared(logits, labels, prevalence)
    centre, spread = float(logit.mean()), float(logit.std())
    design = np.stack([(logit - centre) / spread, np.ones_like(logit)], axis=1)
    slope, intercept = _maximise(design, target, weight)
    if slope <= 0:
        _log.warning("the fitted slope is %.3g: the logits do not tell the classes apart", slope)
    return slope / spread, intercept - slope * centre / spread


def fit_temperature(
    logits: ArrayLike, labels: ArrayLike, prevalence: float | None = None
) -> tuple[float, float]:
    """Slope and intercept of probability = sigmoid(logit / temperature + intercept).

    Guo, Pleiss, Sun and Weinberger (2017): one number, the temperature, by maximum likelihood on
    the cases as they are, with Platt's targets. The intercept is not fitted. It carries the
    probability from the cases' share of positives s to the stated prevalence q, if only the mix of
    positives and negatives differs (Saerens, Latinne and Decaestecker, 2002):
    log(q / (1 - q)) - log(s / (1 - s)); 0 without a stated prevalence. So the method takes the
    logit 0 for even odds among these cases, which Platt's does not.

    Args:
        logits: as in `fit_platt`.
        labels: as in `fit_platt`.
        prevalence: as in `fit_platt`.

    Returns:
        (1 / temperature, intercept).

    Raises:
        ValueError: as `fit_platt`, or no positive temperature fits.
    """
    logit, target, weight = _prepared(logits, labels, None)
    scale = float(np.abs(logit).max())
    (slope,) = _maximise(logit[:, None] / scale, target, weight)
    if slope <= 0:
        raise ValueError("no positive temperature fits: the logits do not tell the classes apart")
    if prevalence is None:
        return slope / scale, 0.0
    share = float(np.asarray(labels, dtype=np.float64).mean())
    return slope / scale, _log_odds(prevalence) - _log_odds(share)


def fit_isotonic(
    logits: ArrayLike, labels: ArrayLike, prevalence: float | None = None
) -> tuple[tuple[float, float], ...]:
    """Knots (logit, probability) of the rising line that fits best, both strictly increasing.

    Pool adjacent violators (Zadrozny and Elkan, 2002) on Platt's targets, which keep the
    probability off 0 and 1, cases weighted to the prevalence. Each pooled block is one knot at its
    mean logit (centred isotonic regression, Oron and Flournoy, 2017), so that the line between the
    knots rises and keeps the order of the cases; a staircase would tie them. Beyond the first and
    the last knot the probability stays, and ties are left.

    Args:
        logits: as in `fit_platt`.
        labels: as in `fit_platt`.
        prevalence: as in `fit_platt`.

    Raises:
        ValueError: as `fit_platt`, or all cases fall into one block.
    """
    from sklearn.isotonic import IsotonicRegression

    prepared = _prepared(logits, labels, prevalence)
    logit, target, weight = (values[np.argsort(prepared[0], kind="stable")] for values in prepared)
    fitted = IsotonicRegression().fit(logit, target, sample_weight=weight).predict(logit)
    block = np.concatenate([[0], np.cumsum(np.diff(fitted) > _TOLERANCE)])
    if block[-1] == 0:
        raise ValueError("one block holds all cases: the logits do not tell the classes apart")
    mass = np.bincount(block, weight)
    places = np.bincount(block, weight * logit) / mass
    probabilities = np.bincount(block, weight * target) / mass
    return tuple(zip(places.tolist(), probabilities.tolist(), strict=True))


def choose_calibration(
    logits: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike,
    prevalence: float,
    *,
    cohort: str = "",
) -> Calibration:
    """The simplest method that cross-validation does not find wanting, fitted on all cases.

    Each method is fitted on four fifths of the patients and scored on the rest by the log loss,
    cases weighted to the prevalence. In the order of `METHODS`, a more flexible method takes the
    place of the simpler one only where its mean gain is more than the gain's standard error over
    patients (the one-standard-error rule of Breiman et al., 1984, on the paired difference).

    With fewer than five patients of a class, nothing is compared and Platt's method is taken, and
    likewise where no method gives a probability that rises with the logit.

    Args:
        logits: (n,) finite numbers of the classifier, on cases that it was not trained on.
        labels: (n,) boolean or 0 and 1, both classes present.
        groups: (n,) patient of each case; a patient never stands on both sides of a fold.
        prevalence: share of positives, in (0, 1), to calibrate for.
        cohort: the cases, in words, for the manifest.

    Returns:
        the calibration, with what each method scored, and the choice in words.

    Raises:
        ValueError: as `fit_platt`, or there is not one group for each case.
    """
    logit = np.asarray(logits, dtype=np.float64)
    label = np.asarray(labels).astype(np.bool_)
    group = np.asarray(groups).astype(np.str_)
    if group.shape != label.shape:
        raise ValueError(f"groups must have one value per case: {group.size} for {label.size}")
    losses: dict[Method, NDArray[np.float64]] = {}
    if min(len(set(group[label])), len(set(group[~label]))) >= FOLDS:
        fold = patient_folds(label, group)
        for method in METHODS:
            try:
                _fitted(method, logit, label, prevalence)
                losses[method] = _losses_left_out(method, logit, label, fold, prevalence)
            except ValueError as error:
                _log.info("%s is not compared: %s", method, error)
    if not losses:
        why = "platt, not compared with others: too few patients, or a logit that tells nothing"
        slope, intercept = fit_platt(logit, label, prevalence)
        return Calibration(
            method="platt",
            slope=slope,
            intercept=intercept,
            prevalence=prevalence,
            fitted_on=_joined(cohort, why),
        )
    chosen, scores = _choose(losses, label, group, prevalence)
    return _fitted(chosen, logit, label, prevalence).model_copy(
        update={"fitted_on": _joined(cohort, _in_words(chosen, scores)), "compared": scores}
    )


def _fitted(
    method: Method, logit: NDArray[np.float64], label: NDArray[np.bool_], prevalence: float
) -> Calibration:
    """A calibration whose probability rises with the logit; ValueError where there is none."""
    if method == "isotonic":
        knots = fit_isotonic(logit, label, prevalence)
        return Calibration(method=method, knots=knots, prevalence=prevalence)
    fit = fit_temperature if method == "temperature" else fit_platt
    slope, intercept = fit(logit, label, prevalence)
    if slope <= 0:
        raise ValueError("the probability falls with a rising logit")
    return Calibration(method=method, slope=slope, intercept=intercept, prevalence=prevalence)


def patient_folds(label: NDArray[np.bool_], group: NDArray[np.str_]) -> NDArray[np.int64]:
    """Number of the fold of each case, (n,), 0 to `FOLDS` - 1, whole patients, by label.

    Raises:
        DataError: there are fewer patients than folds.
    """
    table = pd.DataFrame({"label": label.astype(np.int64), "area_fraction": np.nan, "group": group})
    return np.asarray(make_folds(table, FOLDS), dtype=np.int64)


def _losses_left_out(
    method: Method,
    logit: NDArray[np.float64],
    label: NDArray[np.bool_],
    fold: NDArray[np.int64],
    prevalence: float,
) -> NDArray[np.float64]:
    """Log loss of each case by the fit that did not see it, (n,)."""
    said = np.empty(logit.size)
    for number in range(FOLDS):
        out = fold == number
        fitted = _fitted(method, logit[~out], label[~out], prevalence)
        said[out] = [calibrated_probability(float(value), fitted) for value in logit[out]]
    right = np.clip(np.where(label, said, 1.0 - said), _SURE, 1.0)
    return np.asarray(-np.log(right), dtype=np.float64)


def _choose(
    losses: Mapping[Method, NDArray[np.float64]],
    label: NDArray[np.bool_],
    group: NDArray[np.str_],
    prevalence: float,
) -> tuple[Method, tuple[CalibrationScore, ...]]:
    """The chosen method, and the scores; `losses` from the simplest to the most flexible."""
    weight = prevalence_weights(label, prevalence)
    chosen: Method | None = None
    scores: list[CalibrationScore] = []
    for method, loss in losses.items():
        gain = error = None
        if chosen is not None:
            gain, error = _gain(losses[chosen] - loss, weight, label, group)
        if gain is None or error is None or gain > error:
            chosen = method
        mean = float(weight @ loss) / loss.size
        scores.append(CalibrationScore(method=method, log_loss=mean, gain=gain, gain_error=error))
    if chosen is None:
        raise ValueError("there is nothing to choose from")
    return chosen, tuple(scores)


def _gain(
    difference: NDArray[np.float64],
    weight: NDArray[np.float64],
    label: NDArray[np.bool_],
    group: NDArray[np.str_],
) -> tuple[float, float]:
    """Weighted mean of a difference (n,) and its standard error over patients.

    The mean is the prevalence's mixture of the two classes' means; the error is the linearised one
    of that mixture, with residuals from the class means summed by patient.
    """
    centre = np.where(label, difference[label].mean(), difference[~label].mean())
    _, place = np.unique(group, return_inverse=True)
    residual = np.bincount(place, weight * (difference - centre))
    count = residual.size
    error = math.sqrt(float(residual @ residual) * count / (count - 1)) / difference.size
    return float(weight @ difference) / difference.size, error


def _in_words(chosen: Method, scores: tuple[CalibrationScore, ...]) -> str:
    said = []
    for score in scores:
        text = f"{score.method} {score.log_loss:.4f}"
        if score.gain is not None:
            text += f" (gain {score.gain:+.4f}, standard error {score.gain_error:.4f})"
        said.append(text)
    return f"{chosen} chosen by log loss in {FOLDS}-fold cross-validation by patient: " + ", ".join(
        said
    )


def _joined(cohort: str, why: str) -> str:
    return f"{cohort}; {why}" if cohort else why


def _prepared(
    logits: ArrayLike, labels: ArrayLike, prevalence: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Logits, Platt's targets, and weights that sum to 1, each (n,)."""
    logit = np.asarray(logits, dtype=np.float64)
    weight = prevalence_weights(labels, 0.5 if prevalence is None else prevalence)
    if prevalence is None:
        weight = np.ones_like(weight)
    label = np.asarray(labels, dtype=np.float64)
    if logit.shape != label.shape or not np.isfinite(logit).all():
        raise ValueError("logits must be finite, one for each label")
    if float(logit.std()) == 0.0:
        raise ValueError("all logits are equal")
    positives = float(label.sum())
    negatives = label.size - positives
    target = np.where(label == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    return logit, target, weight / weight.sum()


def _log_odds(share: float) -> float:
    if not 0.0 < share < 1.0:
        raise ValueError(f"prevalence must lie within (0, 1), not be {share}")
    return math.log(share / (1.0 - share))


def _maximise(
    design: NDArray[np.float64], target: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, ...]:
    """Newton's method on the weighted cross entropy, which is convex."""

    def loss(at: NDArray[np.float64]) -> float:
        score = design @ at
        return float(weight @ (np.logaddexp(0.0, score) - target * score))

    place = np.zeros(design.shape[1])
    current = loss(place)
    for _ in range(_MAX_STEPS):
        probability = 0.5 * (1.0 + np.tanh(0.5 * (design @ place)))
        gradient = design.T @ (weight * (probability - target))
        curvature = design.T @ (design * (weight * probability * (1 - probability))[:, None])
        step = np.linalg.solve(curvature + 1e-12 * np.eye(place.size), gradient)
        scale = 1.0
        while loss(place - scale * step) > current and scale > _TOLERANCE:
            scale *= 0.5
        place = place - scale * step
        current = loss(place)
        if float(np.abs(scale * step).max()) < _TOLERANCE:
            break
    return tuple(float(value) for value in place)
