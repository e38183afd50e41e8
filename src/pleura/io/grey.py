"""Grey by content: images with three channels that hold one grey picture."""

import numpy as np
from numpy.typing import NDArray

from pleura.errors import ColourImageError
from pleura.radiograph import Notice

TOLERANCE_8_BIT = 2
"""Largest difference between channels that rounding in a colour transform explains, of 255."""


def grey_of_channels(
    array: NDArray[np.generic], photometric: str
) -> tuple[NDArray[np.unsignedinteger], tuple[Notice, ...]]:
    """The one grey channel of an image.

    Args:
        array: unsigned integers, (rows, columns) or (rows, columns, channels).
        photometric: DICOM photometric interpretation, or "RGB".

    Raises:
        ColourImageError: the channels differ, or a palette.
    """
    if photometric == "PALETTE COLOR":
        raise ColourImageError("The image is coloured through a palette.")
    if array.ndim == 2:
        return array, ()  # type: ignore[return-value]
    if array.shape[2] == 1:
        return array[..., 0], ()  # type: ignore[return-value]
    if array.shape[2] != 3:
        raise ColourImageError(f"The image has {array.shape[2]} channels.")
    first, second, third = (array[..., channel] for channel in range(3))
    top = (1 << (8 * array.dtype.itemsize)) - 1
    tolerance = 0 if top > 65535 else round(TOLERANCE_8_BIT * top / 255)
    same = _within(first, second, tolerance) and _within(first, third, tolerance)
    if not same and photometric.startswith("YBR"):
        # Luminance and two colour differences, which are at mid-range where there is no colour.
        middle = np.full(1, (top + 1) // 2, array.dtype)
        same = _within(second, middle, tolerance) and _within(third, middle, tolerance)
    if not same:
        raise ColourImageError("The colour channels of the image differ.")
    notice = Notice("grey_from_colour", "Three equal colour channels were taken as one grey one.")
    return np.ascontiguousarray(first), (notice,)


def _within(left: NDArray[np.generic], right: NDArray[np.generic], tolerance: int) -> bool:
    """Whether unsigned arrays differ nowhere by more than `tolerance`; no wider copy is made."""
    larger: NDArray[np.unsignedinteger] = np.maximum(left, right)
    return bool((larger - np.minimum(left, right)).max() <= tolerance)
