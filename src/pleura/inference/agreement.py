"""Where finding and mask contradict each other, and what is said of it."""

import numpy as np
from numpy.typing import NDArray

from pleura.inference.manifest import MaskRule
from pleura.inference.postprocess import mask_from_map
from pleura.masks import connected_regions
from pleura.radiograph import Notice

NO_PLACE = Notice(
    "finding_without_mask", "The finding is present, but no pixel reaches the mask's threshold."
)
NO_FINDING = Notice(
    "mask_without_finding",
    "The finding is not present at this operating point, but the segmentation network is sure of a"
    " region; see the heat map.",
)
SURE = 0.6
"""Mean probability of a region from which on the segmenter counts as sure of it."""


def disagreement(
    present: bool,
    mask: NDArray[np.bool_],
    network_map: NDArray[np.float32] | None,
    rule: MaskRule,
) -> Notice | None:
    """What the two networks disagree on. The finding decides: it is never changed by the mask."""
    if present:
        return None if mask.any() else NO_PLACE
    if network_map is None:
        return None
    hidden = mask_from_map(network_map, rule)
    if any(region.score >= SURE for region in connected_regions(hidden, network_map)):
        return NO_FINDING
    return None
