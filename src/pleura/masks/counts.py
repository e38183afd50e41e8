"""Between a mask and its column-major counts, on which every run-length convention rests.

Counts are the lengths of the alternating runs of a mask read down its columns, zeros first, so that
the first count may be 0 and all others are positive; they add up to rows * columns.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int]


def pixel_count(shape: Shape) -> int:
    """Number of pixels of a grid.

    Raises:
        ValueError: `shape` is not two positive numbers.
    """
    rows, columns = shape
    if rows < 1 or columns < 1:
        raise ValueError(f"shape must be (rows, columns), both positive, not {shape}")
    return int(rows) * int(columns)


def counts_of(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Column-major counts of a mask.

    Args:
        mask: bool, (rows, columns), neither of them 0.

    Returns:
        int64 counts, zeros first.

    Raises:
        ValueError: `mask` is not a two-dimensional, non-empty bool array.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_ or mask.size == 0:
        raise ValueError(f"mask must be bool (rows, columns), not {mask.dtype} {mask.shape}")
    rows, columns = mask.shape
    pixels = np.ascontiguousarray(mask).view(np.uint8)
    used = np.flatnonzero(mask.any(axis=0))
    if used.size == 0:
        return np.array([mask.size], dtype=np.int64)
    # Only the columns that hold ones are turned; OpenCV turns bytes several times faster than a
    # strided copy in numpy.
    first, last = int(used[0]), int(used[-1]) + 1
    flat = _turn(pixels[:, first:last])
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends_in_one = [flat.size] if flat[-1] and last < columns else []
    edges = np.concatenate(([0] if flat[0] else [], changes, ends_in_one)).astype(np.int64)
    bounds = np.concatenate(([0], edges + first * rows, [mask.size])).astype(np.int64)
    return bounds[1:] - bounds[:-1]


def mask_of(counts: NDArray[np.int64], shape: Shape) -> NDArray[np.bool_]:
    """Bool mask (rows, columns), row-major, of counts that have been checked."""
    mask = np.zeros(shape, dtype=np.bool_)
    set_ones(mask, counts)
    return mask


def set_ones(mask: NDArray[np.bool_], counts: NDArray[np.int64]) -> None:
    """Set the ones of checked counts in `mask`, and leave its other pixels as they are."""
    if counts.size == 1:
        return
    rows = mask.shape[0]
    even = counts.size & ~1
    # Zeros before the first column with a one and after the last are cut off.
    first = int(counts[0]) // rows
    end = int(counts[:even].sum())
    last = -(-end // rows)
    inner = np.append(counts[:even], last * rows - end)
    inner[0] -= first * rows
    ones = (np.arange(inner.size) & 1).astype(np.bool_)
    columns = np.repeat(ones, inner).view(np.uint8).reshape(last - first, rows)
    mask[:, first:last] |= _turn(columns).reshape(rows, last - first).view(np.bool_)


def _turn(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Transpose bytes, flattened."""
    return np.asarray(cv2.transpose(pixels), dtype=np.uint8).reshape(-1)
