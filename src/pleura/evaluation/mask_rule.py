"""Choosing how a map of probabilities becomes a mask, on cases held out of training."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pleura.inference.manifest import Estimate, MaskRule
from pleura.inference.postprocess import threshold_for
from pleura.metrics import MEAN, bootstrap_interval

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 19))
FLOORS = (0.05, 0.1, 0.2)
MIN_AREA_FRACTIONS = (0.0, 0.0002, 0.0005, 0.001, 0.002, 0.004)


@dataclass(frozen=True, slots=True, eq=False)
class MaskRuleChoice:
    """The rule with the highest mean Dice on positives, and the whole grid.

    Attributes:
        rule: the chosen rule.
        dice: mean Dice (convention `positives`) under it, with a 95 % interval; a little too good,
            because the rule was chosen on these cases.
        mean_dice: (cuts, areas) mean Dice under every rule.
        cuts: rows of the grid: rules without a smallest area.
        min_area_fractions: columns of the grid.
    """

    rule: MaskRule
    dice: Estimate
    mean_dice: NDArray[np.float64]
    cuts: tuple[MaskRule, ...]
    min_area_fractions: tuple[float, ...]


def choose_mask_rule(
    cases: Iterable[tuple[NDArray[np.float32], NDArray[np.bool_]]],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    floors: Sequence[float] = FLOORS,
    min_area_fractions: Sequence[float] = MIN_AREA_FRACTIONS,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> MaskRuleChoice:
    """Search the grid of cuts and smallest areas for the highest mean Dice on positives.

    The segmenter's map is judged alone, as if every case were called positive; the largest region
    always stays, as in `pleura.inference.postprocess.mask_from_map`. Of equal rules a threshold
    comes before one of the image's own, the lower before the higher, the smaller area first.

    Args:
        cases: map of probabilities float32 (h, w) in [0, 1] and true mask bool (rows, columns), one
            pair a positive image; taken one by one. A map on another grid is resized to the mask's.
        thresholds: to try, the same for every image, each in [0, 1].
        floors: to try below a threshold of the image's own (`expected_dice`), each in [0, 1].
        min_area_fractions: to try, shares of the image.
        groups: patient of each case, for the interval; None when each is its own.
        seed: of the interval's bootstrap.

    Raises:
        ValueError: there is no case, a true mask is empty, or the grid is empty.
    """
    cuts = [MaskRule(threshold=threshold) for threshold in thresholds]
    cuts += [MaskRule(method="expected_dice", threshold=floor) for floor in floors]
    if not cuts or not min_area_fractions:
        raise ValueError("need at least one threshold and one area")
    scores = [_dice_grid(*case, cuts, min_area_fractions) for case in cases]
    if not scores:
        raise ValueError("need at least one case")
    table = np.stack(scores)
    means = table.mean(axis=0)
    row, column = np.unravel_index(int(np.argmax(means)), means.shape)
    return MaskRuleChoice(
        rule=cuts[int(row)].model_copy(
            update={"min_area_fraction": min_area_fractions[int(column)]}
        ),
        dice=bootstrap_interval(MEAN, table[:, row, column], groups=groups, seed=seed),
        mean_dice=means,
        cuts=tuple(cuts),
        min_area_fractions=tuple(min_area_fractions),
    )


def _dice_grid(
    probability_map: NDArray[np.float32],
    true: NDArray[np.bool_],
    cuts: Sequence[MaskRule],
    min_area_fractions: Sequence[float],
) -> NDArray[np.float64]:
    """Dice of one case under every rule, (cuts, areas), from one labelling a cut."""
    true_area = int(np.count_nonzero(true))
    if true_area == 0:
        raise ValueError("every case must have a true mask that is not empty")
    rows, columns = true.shape
    if probability_map.shape != true.shape:
        resized = cv2.resize(probability_map, (columns, rows), interpolation=cv2.INTER_LINEAR)
        probability_map = np.asarray(resized, dtype=np.float32)
    smallest = np.array([math.ceil(share * true.size) for share in min_area_fractions])
    grid = np.zeros((len(cuts), smallest.size))
    for row, cut in enumerate(cuts):
        mask = (probability_map >= threshold_for(probability_map, cut)).view(np.uint8)
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
