"""Matched masks that a teacher finds in another place: its own word stands in their stead.

A mask that was matched to its image from another table belongs to it with a known probability
only. Where the teacher sees a pneumothorax and the mask lies elsewhere, the mask is more likely
wrong than the teacher.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pleura.training.config import MendingConfig
from pleura.training.teacher import teach

if TYPE_CHECKING:
    from pleura.data.dataset import Examples

logger = logging.getLogger(__name__)


def mend(
    examples: "Examples",
    trained: NDArray[np.bool_],
    config: MendingConfig,
    folder: Path,
    content: str,
) -> "Examples":
    """The examples with the teacher's map for each mask that it finds wrong.

    Args:
        examples: labelled images.
        trained: bool, (n,); only these are touched, so that held-out masks stay what they were.
        config: with a teacher.
        folder: where the teacher's answers are kept.
        content: names the images.

    Raises:
        ModelError: the teacher cannot be used.
    """
    if config.teacher is None:
        raise ValueError("there is no teacher")
    doubtful = trained & (examples.labels == 1) & (examples.mask_weights < 1)
    (positions,) = np.nonzero(doubtful)
    if not positions.size:
        return examples
    taught = teach(examples.images[positions], config.teacher, folder, f"mending\n{content}")
    maps = taught.masks(examples.masks.shape[1])
    masks, weights = np.array(examples.masks), examples.mask_weights.copy()
    mended = 0
    for position, drawn in zip(positions, maps, strict=True):
        if not drawn.any() or overlap(drawn, masks[position]) >= config.below:
            continue
        masks[position] = drawn
        # A mask of unknown origin had no weight; the teacher's has that of the doubtful ones.
        weights[position] = max(weights[position], config.weight)
        mended += 1
    logger.info("%d of %d matched masks are mended by the teacher", mended, positions.size)
    return replace(examples, masks=masks, mask_weights=weights)


def overlap(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Dice of two masks of coverage, uint8 with 255 for all of a pixel; 1 for two empty ones."""
    one, other = first > 127, second > 127
    total = int(one.sum() + other.sum())
    return 1.0 if total == 0 else 2 * int((one & other).sum()) / total
