"""The statistics of the classifier's features on held-out radiographs, and the limit upon them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.model_selection import GroupKFold

from pleura.inference.manifest import sha256_of
from pleura.quality.familiarity import FamiliaritySpec

FILE_NAME = "familiarity.npy"
WARNED_SHARE = 0.01
_FOLDS = 5


def write_familiarity(
    embeddings: NDArray[np.float32], groups: Sequence[str], folder: Path, cohort: str
) -> FamiliaritySpec:
    """Fit mean and covariance, choose the limit by cross-validation, and write the file.

    The covariance is shrunk (Ledoit and Wolf, 2004): there may be fewer radiographs than features.
    A hundredth of the radiographs that were left out by patient lies beyond the limit.

    Args:
        embeddings: float32, (n, d), of images that the network was not trained on.
        groups: patients, n of them; one fold for each if there are fewer than five.
        folder: of the model.
        cohort: the images, in words.
    """
    table = fit(embeddings)
    folds = min(_FOLDS, len(set(groups)))
    distances = np.concatenate(
        [
            distance(embeddings[left_out], fit(embeddings[kept]))
            for kept, left_out in GroupKFold(folds).split(embeddings, groups=list(groups))
        ]
    )
    limit = float(np.quantile(distances, 1 - WARNED_SHARE))
    np.save(folder / FILE_NAME, table)
    return FamiliaritySpec(
        file=FILE_NAME,
        sha256=sha256_of(folder / FILE_NAME),
        limit=max(limit, float(np.finfo(np.float32).tiny)),
        fitted_on=f"{cohort}; {WARNED_SHARE:.0%} of them, cross-validated by patient, beyond 1",
    )


def fit(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean and whitening matrix, float32, (d + 1, d)."""
    estimate = LedoitWolf().fit(embeddings.astype(np.float64))
    values, vectors = np.linalg.eigh(estimate.covariance_)
    floor = max(float(values.max()), 1.0) * 1e-9  # features that never change must not divide by 0
    whitening = (vectors / np.sqrt(np.maximum(values, floor))) @ vectors.T
    return np.vstack([estimate.location_, whitening]).astype(np.float32)


def distance(embeddings: NDArray[np.float32], table: NDArray[np.float32]) -> NDArray[np.float64]:
    """Root of the mean squared whitened offset of each embedding, (n,)."""
    offsets = (embeddings.astype(np.float64) - table[0]) @ table[1:].astype(np.float64).T
    return np.asarray(np.sqrt(np.mean(offsets**2, axis=1)))
