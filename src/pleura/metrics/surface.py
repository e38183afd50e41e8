"""How far the edges of two masks lie apart."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from pleura.metrics import _checks


def hausdorff_95(
    predicted: ArrayLike, true: ArrayLike, spacing: tuple[float, float] = (1.0, 1.0)
) -> float:
    """95th percentile of the distances between the edges of two masks, the larger direction.

    From each edge pixel of one mask to the nearest edge pixel of the other (Huttenlocher et al.,
    1993; the percentile bounds what a stray pixel does). A pixel is on the edge when one of its
    four neighbours is outside the mask; what lies beyond the image is outside.

    Args:
        predicted: mask (rows, columns), boolean or 0 and 1.
        true: mask of the same shape.
        spacing: between rows and between columns, in the unit of the result.

    Returns:
        not negative; NaN when one of the masks is empty, for then there is no distance.

    Raises:
        ValueError: the shapes differ, are not (rows, columns), or the values are not binary.
    """
    first, second = _checks.binary(predicted, "predicted"), _checks.binary(true, "true")
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"masks must be (rows, columns), not {first.shape} and {second.shape}")
    if not first.any() or not second.any():
        return float("nan")
    around = tuple(
        slice(int(place.min()), int(place.max()) + 1) for place in np.nonzero(first | second)
    )
    edges = _edge(first[around]), _edge(second[around])
    there, back = (
        np.percentile(distance_transform_edt(~other, sampling=spacing)[one], 95)
        for one, other in (edges, edges[::-1])
    )
    return float(max(there, back))


def _edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(mask & ~binary_erosion(mask), dtype=np.bool_)
