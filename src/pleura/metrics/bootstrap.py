"""Bootstrap intervals that draw patients, not images, so that images of one patient stay together.

Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8. Percentile limits,
or basic ones (section 5.2) for statistics that resampling itself biases.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pleura.inference.manifest import Estimate
from pleura.metrics._checks import FloatArray
from pleura.metrics.intervals import group_index
from pleura.metrics.ranking import weighted_average_precision, weighted_roc_auc
from pleura.metrics.selective import weighted_risk_coverage_area

Statistic = Callable[..., float]

# Weights of a block of resamples, as many values as fit a processor's cache a few times over.
_BLOCK_VALUES = 2_000_000
_MIN_DEFINED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class WeightedStatistic:
    """A statistic that takes case weights (b, n) and gives a value for each row, (b,).

    Drawing a patient twice is the same as giving its cases the weight 2, so all resamples are
    computed at once. `function(*arrays, weights=...)` gives NaN for a row on which the statistic
    is undefined.
    """

    function: Callable[..., FloatArray]


def weighted_mean(values: FloatArray, *, weights: FloatArray) -> FloatArray:
    """Mean of `values` (n,) for each row of `weights` (b, n)."""
    return weighted_ratio(values, np.ones_like(values, dtype=np.float64), weights=weights)


def weighted_ratio(
    numerators: FloatArray, denominators: FloatArray, *, weights: FloatArray
) -> FloatArray:
    """Sum of `numerators` (n,) over the sum of `denominators` (n,), for each row of `weights`."""
    above = weights @ np.asarray(numerators, dtype=np.float64)
    below = weights @ np.asarray(denominators, dtype=np.float64)
    quotient: FloatArray = np.full(above.shape, np.nan)
    np.divide(above, below, out=quotient, where=below > 0)
    return quotient


MEAN = WeightedStatistic(weighted_mean)
RATIO = WeightedStatistic(weighted_ratio)
ROC_AUC = WeightedStatistic(weighted_roc_auc)
AVERAGE_PRECISION = WeightedStatistic(weighted_average_precision)
RISK_COVERAGE_AREA = WeightedStatistic(weighted_risk_coverage_area)


def bootstrap_interval(
    statistic: Statistic | WeightedStatistic,
    *arrays: ArrayLike,
    groups: ArrayLike | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    basic_within: tuple[float, float] | None = None,
) -> Estimate:
    r"""Interval of a statistic over resamples of groups drawn with replacement.

    Percentile limits lie beside the value when resampling biases the statistic, as it does an
    average of distances. Basic limits take that bias off, :math:`2 t - q_{1-a}` and
    :math:`2 t - q_a` with the value t and the quantiles q of the resamples.

    Args:
        statistic: a `WeightedStatistic` (`MEAN`, `RATIO`, `ROC_AUC`, `AVERAGE_PRECISION`,
            `RISK_COVERAGE_AREA`: fast), or any function of the resampled arrays that gives a
            number; NaN or ValueError means undefined on that resample.
        arrays: one value per case each, all of length n along the first axis.
        groups: (n,) patient of each case; None when every case is its own.
        n_resamples: number of resamples.
        seed: of the generator; the same seed gives the same interval.
        level: coverage, within (0, 1).
        basic_within: range of the statistic, for basic limits, cut to it and widened to hold the
            value; None for percentile limits.

    Returns:
        the statistic on all cases with its interval, n the number of cases. Undefined resamples
        (say, without a positive) are left out.

    Raises:
        ValueError: lengths differ, there is no case, the statistic is undefined on all cases or on
            more than half of the resamples.
    """
    columns = [np.asarray(array) for array in arrays]
    if not columns or columns[0].ndim == 0 or not len(columns[0]):
        raise ValueError("need at least one array with at least one case")
    n = len(columns[0])
    if any(len(column) != n for column in columns):
        raise ValueError(f"arrays must have one length, not {[len(c) for c in columns]}")
    _check_draws(n_resamples, level)
    index = np.arange(n) if groups is None else group_index(groups, n)
    value = _evaluate(statistic, columns, np.ones((1, n)))[0]
    if not np.isfinite(value):
        raise ValueError("the statistic is undefined on these cases")
    blocks = [_evaluate(statistic, columns, w) for w in _draw(index, n_resamples, seed)]
    resampled = np.concatenate(blocks)
    defined = resampled[np.isfinite(resampled)]
    if defined.size < _MIN_DEFINED_SHARE * n_resamples:
        raise ValueError(f"undefined on {n_resamples - defined.size} of {n_resamples} resamples")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    if basic_within is not None:
        mirrored = np.clip([2 * value - high, 2 * value - low], *basic_within)
        low, high = min(mirrored[0], value), max(mirrored[1], value)
    return Estimate(value=float(value), low=float(low), high=float(high), n=n)


def bootstrap_means(
    values: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[Estimate, ...]:
    """Mean of each column with percentile limits, all columns from the same resamples.

    As `bootstrap_interval` of `MEAN` column by column, but the draws are made once.

    Args:
        values: (n, k) finite, a row for each case.
        groups: (n,) patient of each case; None when every case is its own.
        n_resamples: number of resamples.
        seed: of the generator.
        level: coverage of each interval by itself, within (0, 1).

    Raises:
        ValueError: there is no case, the lengths differ, or an argument lies outside its range.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"values must be (n, k) and not empty, not {table.shape}")
    n = len(table)
    _check_draws(n_resamples, level)
    index = np.arange(n) if groups is None else group_index(groups, n)
    drawn = [w @ table / w.sum(axis=1, keepdims=True) for w in _draw(index, n_resamples, seed)]
    limits = np.quantile(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return tuple(
        Estimate(value=float(mean), low=float(low), high=float(high), n=n)
        for mean, low, high in zip(table.mean(axis=0), *limits, strict=True)
    )


def _check_draws(n_resamples: int, level: float) -> None:
    if n_resamples < 1 or not 0.0 < level < 1.0:
        raise ValueError("need n_resamples >= 1 and a level within (0, 1)")


def _draw(index: NDArray[np.int64], n_resamples: int, seed: int) -> Iterator[FloatArray]:
    """Blocks of case weights (b, n): how often the case's group was drawn."""
    generator = np.random.default_rng(seed)
    groups = int(index.max()) + 1
    block = max(1, _BLOCK_VALUES // index.size)
    for start in range(0, n_resamples, block):
        rows = min(block, n_resamples - start)
        drawn = generator.integers(groups, size=(rows, groups))
        drawn += np.arange(rows)[:, None] * groups
        counts = np.bincount(drawn.ravel(), minlength=rows * groups).reshape(rows, groups)
        yield counts[:, index].astype(np.float64)


def _evaluate(
    statistic: Statistic | WeightedStatistic, columns: list[NDArray[Any]], weights: FloatArray
) -> FloatArray:
    if isinstance(statistic, WeightedStatistic):
        return statistic.function(*columns, weights=weights)
    values = np.full(len(weights), np.nan)
    for row, weight in enumerate(weights):
        chosen = np.repeat(np.arange(weight.size), weight.astype(np.int64))
        try:
            values[row] = statistic(*(column[chosen] for column in columns))
        except ValueError:
            continue
    return values
