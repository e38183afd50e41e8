"""Folds and splits by patient, stratified by label and mask size.

Whole patients are dealt out one after the other, the hardest to place first, each to the part that
it brings closest to its share of every stratum. The order of the table has no part in the result:
patients are ordered by size and by a hash of their name and the seed.
"""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pleura.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

NEGATIVE, SMALL, MEDIUM, LARGE, MASK_UNKNOWN = range(5)
"""The strata: negatives, positives by tertile of mask area, positives without a mask."""
_N_STRATA = 5


def strata(table: "pd.DataFrame") -> NDArray[np.int64]:
    """The stratum of each row with a known label; -1 where the label is unknown.

    Args:
        table: `label` (1, 0, NA) and `area_fraction` (NA for an unknown mask).

    Returns:
        int64, one of `NEGATIVE`, `SMALL`, `MEDIUM`, `LARGE`, `MASK_UNKNOWN`, or -1.
    """
    label = table["label"].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    area = table["area_fraction"].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    result = np.full(len(table), -1, dtype=np.int64)
    result[label == 0] = NEGATIVE
    result[label == 1] = MASK_UNKNOWN
    sized = (label == 1) & np.isfinite(area)
    if sized.any():
        edges = np.quantile(area[sized], [1 / 3, 2 / 3])
        result[sized] = SMALL + np.searchsorted(edges, area[sized], side="left")
    return result


def _rank(group: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{group}".encode()).digest()


def _deal(
    groups: NDArray[np.object_], stratum: NDArray[np.int64], shares: NDArray[np.float64], seed: int
) -> NDArray[np.int64]:
    """The part of each row: whole groups, each to the part that it balances best.

    A group goes where the sum of squared relative fill, over strata and over all rows together,
    grows least; ties fall to the emptiest part, then to the first.
    """
    names, member = np.unique(groups.astype(str), return_inverse=True)
    counts = np.zeros((len(names), _N_STRATA + 1), dtype=np.float64)
    np.add.at(counts, (member, stratum), 1.0)
    counts[:, -1] = counts[:, :-1].sum(axis=1)
    totals = np.maximum(counts.sum(axis=0), 1.0)
    goal = np.outer(shares, totals)
    order = sorted(range(len(names)), key=lambda i: (-counts[i, -1], _rank(str(names[i]), seed)))
    filled = np.zeros_like(goal)
    part = np.zeros(len(names), dtype=np.int64)
    # Fill is counted in units of the stratum's mean share, so that rare strata weigh as much as
    # common ones and a part with a small share is not starved.
    weight = 1.0 / (goal * totals)
    for i in order:
        growth = ((2.0 * filled + counts[i]) * counts[i] * weight).sum(axis=1)
        part[i] = int(np.lexsort((filled[:, -1] / shares, np.round(growth, 12)))[0])
        filled[part[i]] += counts[i]
    return part[member]


def _check(table: "pd.DataFrame") -> None:
    missing = {"label", "area_fraction", "group"} - set(table.columns)
    if missing:
        raise DataError(f"The table lacks the columns {', '.join(sorted(missing))}.")


def make_folds(table: "pd.DataFrame", n_folds: int = 5, seed: int = 0) -> "pd.Series[int]":
    """Cross-validation folds for the rows of the training split with a known label.

    Args:
        table: `label`, `area_fraction`, `group`, and `split` (without it, every row is training).
        n_folds: number of folds, at least 2.
        seed: another seed gives other folds; the same seed always the same.

    Returns:
        Int8 Series `fold` on the table's index: 0 to `n_folds - 1`, NA outside training.

    Raises:
        DataError: fewer than two folds, or fewer patients than folds.
    """
    import pandas as pd

    _check(table)
    if n_folds < 2:
        raise DataError("At least two folds are needed.")
    stratum = strata(table)
    used = stratum >= 0
    if "split" in table.columns:
        used &= (table["split"] == "train").to_numpy(dtype=bool)
    groups = table["group"].to_numpy(dtype=object)[used]
    if 0 < len(set(groups)) < n_folds:
        raise DataError(f"{len(set(groups))} patients cannot make {n_folds} folds.")
    folds = pd.Series(pd.NA, index=table.index, dtype="Int8", name="fold")
    if used.any():
        stratum = strata(table.loc[used])
        shares = np.full(n_folds, 1.0 / n_folds)
        folds[used] = _deal(groups, stratum, shares, seed).astype(np.int8)
    return folds


def make_split(
    table: "pd.DataFrame", shares: Mapping[str, float], seed: int = 0
) -> "pd.Series[str]":
    """Divide patients among named parts, e.g. `{"train": 0.8, "test": 0.2}`.

    Args:
        table: `label`, `area_fraction` and `group`.
        shares: name of each part and its share of the images; they add up to 1.
        seed: another seed gives another split; the same seed always the same.

    Returns:
        str Series `split` on the table's index. A row without a label goes with its patient; when
        no image of the patient has a label, it is in no part: "".

    Raises:
        DataError: shares that are not positive or do not add up to 1, or too few patients.
    """
    import pandas as pd

    _check(table)
    names, sizes = list(shares), np.array(list(shares.values()), dtype=np.float64)
    if len(names) < 2 or (sizes <= 0).any() or abs(sizes.sum() - 1.0) > 1e-6:
        raise DataError("A split needs at least two positive shares that add up to 1.")
    stratum = strata(table)
    used = stratum >= 0
    groups = table["group"].to_numpy(dtype=object)
    if len(set(groups[used])) < len(names):
        raise DataError(f"{len(set(groups[used]))} patients cannot make {len(names)} parts.")
    part = _deal(groups[used], stratum[used], sizes, seed)
    home = dict(zip(groups[used], (names[i] for i in part), strict=True))
    return pd.Series([home.get(g, "") for g in groups], index=table.index, dtype=str, name="split")


def from_two_sided_sources(table: "pd.DataFrame") -> NDArray[np.bool_]:
    """Which rows have a label from a source that gave labels of both kinds.

    Where all labels of a source are alike, whatever tells its images apart (archive, processing,
    how the cases were picked) tells the label, and a figure measured on them is too good. Where no
    source gave both kinds, nothing can be held apart, and all rows count.

    Args:
        table: with the columns label and label_source.

    Returns:
        bool, (n,), in the order of the rows.
    """
    kinds = table["label"].groupby(table["label_source"], dropna=False).nunique()
    chosen = table["label_source"].isin(kinds.index[kinds == 2]).to_numpy(dtype=bool)
    return chosen if chosen.any() else np.ones(len(table), dtype=bool)
