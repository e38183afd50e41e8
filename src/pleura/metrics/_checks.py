"""What every metric asks of its arguments; a violation is a ValueError that names the argument."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def scores(values: ArrayLike, name: str = "scores") -> FloatArray:
    """One finite score per case as float64 (n,), n >= 1."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be a non-empty vector, not an array of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite: {np.count_nonzero(~np.isfinite(array))} are not")
    return array


def probabilities(values: ArrayLike, name: str = "probabilities") -> FloatArray:
    """One probability per case as float64 (n,), each in [0, 1]."""
    array = scores(values, name)
    if array.min() < 0.0 or array.max() > 1.0:
        raise ValueError(f"{name} must lie in [0, 1], not in [{array.min()}, {array.max()}]")
    return array


def binary(values: ArrayLike, name: str) -> BoolArray:
    """Zeros and ones, or booleans, of any shape as bool."""
    array = np.asarray(values)
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} must be boolean or 0 and 1, not {array.dtype}")
    if not ((array == 0) | (array == 1)).all():
        raise ValueError(f"{name} must hold 0 and 1 only")
    return array.astype(np.bool_)


def labels(values: ArrayLike, n: int | None = None, name: str = "labels") -> BoolArray:
    """One binary label per case as bool (n,); `n` is the length that the scores have."""
    array = binary(values, name)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be a non-empty vector, not an array of shape {array.shape}")
    if n is not None and array.size != n:
        raise ValueError(f"{name} must have one value per case: {array.size} for {n} cases")
    return array


def both_classes(array: BoolArray, name: str = "labels") -> None:
    """Raise unless both classes occur."""
    positives = int(np.count_nonzero(array))
    if positives in (0, array.size):
        raise ValueError(
            f"{name} must hold both classes: {positives} positive of {array.size} cases"
        )


def weights(values: ArrayLike | None, n: int) -> FloatArray:
    """One non-negative weight per case as float64 (n,), not all zero; ones when None."""
    if values is None:
        return np.ones(n)
    array = scores(values, "weights")
    if array.size != n:
        raise ValueError(f"weights must have one value per case: {array.size} for {n} cases")
    if array.min() < 0 or array.sum() <= 0:
        raise ValueError("weights must not be negative, nor all zero")
    return array
