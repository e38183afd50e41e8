"""Choosing how a map of probabilities becomes a mask, on cases held out of training."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pleura.inference.manifest import Estimate, MaskRule
from pleura.metrics import MEAN, bootstrap_interval

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 19))
MIN_AREA_FRACTIONS = (0.0, 0.0002, 0.0005, 0.001, 0.002, 0.004)


@dataclass(frozen=True, slots=True, eq=False)
class MaskRuleChoice:
    """The rule with the highest mean Dice on positives, and the whole grid.

    Attributes:
        rule: the chosen rule.
        dice: mean Dice (convention `positives`) under it, with a 95 % interval; a little too good,
            because the rule was chosen on these cases.
        mean_dice: (thresholds, areas) mean Dice under every rule.
        thresholds: rows of the grid.
        min_area_fractions: columns of the grid.
    """

    rule: MaskRule
    dice: Estimate
    mean_dice: NDArray[np.float64]
    thresholds: tuple[float, ...]
    min_area_fractions: tuple[float, ...]


def choose_mask_rule(
    cases: Iterable[tuple[NDArray[np.float32], NDArray[np.bool_]]],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    min_area_fractions: Sequence[float] = MIN_AREA_FRACTIONS,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> MaskRuleChoice:
    """Search the grid of thresholds and smallest areas for the highest mean Dice on positives.

    The segmenter's map is judged alone, as if every case were called positive; the largest region
    always stays, as in `pleura.inference.postprocess.mask_from_map`. Of equal rules the one with
    the lower threshold, then the smaller area, is taken.

    Args:
        cases: map of probabilities float32 (h, w) in [0, 1] and true mask bool (rows, columns), one
            pair a positive image; taken one by one. A map on another grid is resized to the mask's.
        thresholds: to try, each in [0, 1].
        min_area_fractions: to try, shares of the image.
        groups: patient of each case, for the interval; None when each is its own.
        seed: of the interval's bootstrap.

    Raises:
        ValueError: there is no case, a true mask is empty, or the grid is empty.
    """
    if not thresholds or not min_area_fractions:
        raise ValueError("need at least one threshold and one area")
    scores = [_dice_grid(*case, thresholds, min_area_fractions) for case in cases]
    if not scores:
        raise ValueError("need at least one case")
    table = np.stack(scores)
    means = table.mean(axis=0)
    row, column = np.unravel_index(int(np.argmax(means)), means.shape)
    return MaskRuleChoice(
        rule=MaskRule(
            threshold=thresholds[int(row)], min_area_fraction=min_area_fractions[int(column)]
        ),
        dice=bootstrap_interval(MEAN, table[:, row, column], groups=groups, seed=seed),
        mean_dice=means,
        thresholds=tuple(thresholds),
        min_area_fractions=tuple(min_area_fractions),
    )


def _dice_grid(
    probability_map: NDArray[np.float32],
    true: NDArray[np.bool_],
    thresholds: Sequence[float],
    min_area_fractions: Sequence[float],
) -> NDArray[np.float64]:
    """Dice of one case under every rule, (thresholds, areas), from one labelling a threshold."""
    true_area = int(np.count_nonzero(true))
    if true_area == 0:
        raise ValueError("every case must have a true mask that is not empty")
    rows, columns = true.shape
    if probability_map.shape != true.shape:
        resized = cv2.resize(probability_map, (columns, rows), interpolation=cv2.INTER_LINEAR)
        probability_map = np.asarray(resized, dtype=np.float32)
    smallest = np.array([math.ceil(share * true.size) for share in min_area_fractions])
    grid = np.zeros((len(thresholds), smallest.size))
    for row, threshold in enumerate(thresholds):
        mask = (probability_map >= np.float32(threshold)).view(np.uint8)
        _, regions, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        if len(stats) == 1:
            continue
        found = np.asarray(stats[1:], dtype=np.int32)
        areas = found[:, cv2.CC_STAT_AREA].astype(np.int64)
        hits = np.bincount(regions[true], minlength=len(stats))[1:]
        keep = areas[None, :] >= smallest[:, None]
        keep[:, _largest(found)] = True
        grid[row] = 2.0 * (keep @ hits) / (keep @ areas + true_area)
    return grid


def _largest(stats: NDArray[np.int32]) -> int:
    """The region that stays; ties as in `pleura.masks.connected_regions`."""
    left, top, width, height, area = stats.T
    return int(np.lexsort((width, height, left, top, -area))[0])
