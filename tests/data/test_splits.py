"""Folds and splits keep patients whole, are balanced, reproducible and independent of order."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pleura.data.splits import from_two_sided_sources, make_folds, make_split, strata
from pleura.errors import DataError


def made_up(seed: int, n_patients: int, most_images: int, positive_share: float) -> pd.DataFrame:
    """Patients with 1 to `most_images` images each, whose labels resemble each other."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, most_images + 1, n_patients)
    group = np.repeat([f"p{i:04d}" for i in range(n_patients)], sizes)
    risk = np.repeat(rng.beta(2 * positive_share, 2 * (1 - positive_share), n_patients), sizes)
    label = (rng.uniform(size=group.size) < risk).astype(int)
    area = np.where(label == 1, rng.lognormal(-4.8, 1.0, group.size), 0.0)
    area[(label == 1) & (rng.uniform(size=group.size) < 0.03)] = np.nan
    table = pd.DataFrame({"label": label, "area_fraction": area, "group": group, "split": "train"})
    table["label"] = table["label"].astype("Int8")
    return table


tables = st.builds(
    made_up,
    seed=st.integers(0, 10_000),
    n_patients=st.integers(40, 150),
    most_images=st.integers(1, 5),
    positive_share=st.floats(0.15, 0.6),
)


@settings(max_examples=25, deadline=None)
@given(tables, st.integers(2, 6), st.integers(0, 100))
def test_no_patient_is_in_two_folds_and_every_row_is_in_one(
    table: pd.DataFrame, n_folds: int, seed: int
) -> None:
    fold = make_folds(table, n_folds, seed)
    assert set(fold) == set(range(n_folds))
    assert (fold.groupby(table["group"]).nunique() == 1).all()


@settings(max_examples=25, deadline=None)
@given(tables, st.integers(2, 5), st.integers(0, 100))
def test_folds_are_balanced_by_label_and_mask_size(
    table: pd.DataFrame, n_folds: int, seed: int
) -> None:
    """Within a patient's size of the ideal: no fold lacks or hoards a stratum."""
    fold = make_folds(table, n_folds, seed).to_numpy(dtype=np.int64)
    largest = int(table["group"].value_counts().max())
    sizes = np.bincount(fold, minlength=n_folds)
    assert np.ptp(sizes) <= 2 * largest
    stratum = strata(table)
    for which in np.unique(stratum):
        counts = np.bincount(fold[stratum == which], minlength=n_folds)
        ideal = (stratum == which).sum() / n_folds
        assert np.abs(counts - ideal).max() <= largest + 2


@settings(max_examples=15, deadline=None)
@given(tables, st.integers(0, 1000))
def test_the_order_of_the_rows_and_the_index_do_not_matter(table: pd.DataFrame, seed: int) -> None:
    shuffled = table.sample(frac=1.0, random_state=seed)
    fold, again = make_folds(table, 5, 3), make_folds(shuffled, 5, 3)
    pd.testing.assert_series_equal(fold, again.sort_index())


def test_the_seed_decides() -> None:
    table = made_up(1, 120, 3, 0.4)
    pd.testing.assert_series_equal(make_folds(table, 5, 7), make_folds(table, 5, 7))
    assert not make_folds(table, 5, 7).equals(make_folds(table, 5, 8))


@settings(max_examples=25, deadline=None)
@given(tables, st.floats(0.1, 0.5), st.integers(0, 100))
def test_a_split_keeps_patients_whole_and_has_its_shares(
    table: pd.DataFrame, share: float, seed: int
) -> None:
    split = make_split(table, {"train": 1 - share, "test": share}, seed)
    assert set(split) == {"train", "test"}
    assert (split.groupby(table["group"]).nunique() == 1).all()
    largest = int(table["group"].value_counts().max())
    positive = table["label"] == 1
    for rows in (positive, ~positive):
        found = int((split[rows] == "test").sum())
        assert abs(found - share * rows.sum()) <= 2 * largest + 2


def test_unlabelled_images_go_with_their_patient() -> None:
    table = made_up(2, 60, 2, 0.4)
    extra = pd.DataFrame(
        {
            "label": pd.array([pd.NA] * 61, dtype="Int8"),
            "area_fraction": np.nan,
            "group": [*sorted(set(table["group"])), "a stranger"],
            "split": "unlabelled",
        }
    )
    whole = pd.concat([table, extra], ignore_index=True)
    split = make_split(whole, {"train": 0.7, "test": 0.3}, 0)
    assert (split.groupby(whole["group"]).nunique() == 1).all()
    assert split.iloc[-1] == ""
    pd.testing.assert_series_equal(
        split.iloc[: len(table)], make_split(table, {"train": 0.7, "test": 0.3}, 0)
    )


def test_only_labelled_training_rows_have_a_fold() -> None:
    table = made_up(3, 60, 2, 0.4)
    table.loc[:9, "split"] = "test"
    table.loc[10:19, "label"] = pd.NA
    fold = make_folds(table, 3, 0)
    assert fold.iloc[:20].isna().all()
    assert fold.iloc[20:].notna().all()


def test_strata_are_label_and_tertile_of_mask_area() -> None:
    table = pd.DataFrame(
        {
            "label": pd.array([0, 1, 1, 1, 1, pd.NA], dtype="Int8"),
            "area_fraction": [0.0, 0.01, 0.02, 0.03, np.nan, np.nan],
        }
    )
    assert strata(table).tolist() == [0, 1, 2, 3, 4, -1]


def test_what_cannot_be_divided_is_refused() -> None:
    table = made_up(4, 3, 1, 0.5)
    with pytest.raises(DataError):
        make_folds(table, 4)
    with pytest.raises(DataError):
        make_folds(table, 1)
    with pytest.raises(DataError):
        make_split(table, {"train": 0.5, "test": 0.6})
    with pytest.raises(DataError):
        make_split(table.drop(columns="group"), {"train": 0.5, "test": 0.5})


def test_a_source_whose_labels_are_all_alike_is_one_sided() -> None:
    table = pd.DataFrame(
        {
            "label": pd.array([1, 0, 0, 0, pd.NA, 1], dtype="Int8"),
            "label_source": ["reader", "reader", "mined", "mined", "reader", ""],
        }
    )
    assert list(from_two_sided_sources(table)) == [True, True, False, False, True, False]
    mined = table[table["label_source"] == "mined"]
    assert from_two_sided_sources(mined).all()  # nothing can be held apart
