"""Brier score and calibration error against scikit-learn and torchmetrics."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scored import quick, scored_cases
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import binary_calibration_error

from pleura.metrics import (
    brier_score,
    expected_calibration_error,
    prevalence_weights,
    reliability_bins,
)


@quick
@given(scored_cases(), st.floats(0.01, 0.99))
def test_brier_equals_scikit_learn(case, prevalence):
    probabilities, labels = case
    weights = prevalence_weights(labels, prevalence)
    assert brier_score(probabilities, labels) == pytest.approx(
        brier_score_loss(labels, probabilities)
    )
    assert brier_score(probabilities, labels, weights) == pytest.approx(
        brier_score_loss(labels, probabilities, sample_weight=weights)
    )


@quick
@given(st.integers(2, 60), st.integers(0, 1000), st.sampled_from([5, 10, 16]))
def test_calibration_error_equals_torchmetrics(n, seed, bins):
    generator = np.random.default_rng(seed)
    # Away from the edges, where the two put a case into different bins.
    probabilities = (generator.integers(0, bins, n) + generator.uniform(0.05, 0.95, n)) / bins
    labels = generator.random(n) < probabilities
    expected = binary_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(labels.astype(np.int64)), n_bins=bins
    )
    assert expected_calibration_error(probabilities, labels, bins) == pytest.approx(
        float(expected), abs=1e-6
    )


@quick
@given(scored_cases())
def test_bins_hold_every_case_once(case):
    probabilities, labels = case
    bins = reliability_bins(probabilities, labels, bins=7)
    assert bins.counts.sum() == labels.size
    filled = bins.counts > 0
    assert (bins.counts[filled] @ bins.observed[filled]) == pytest.approx(labels.sum())
    assert np.isnan(bins.observed[~filled]).all()
    inside = bins.mean_probability[filled]
    assert (inside >= bins.edges[:-1][filled] - 1e-9).all()
    assert (inside <= bins.edges[1:][filled] + 1e-9).all()


@quick
@given(scored_cases(), st.floats(0.01, 0.99))
def test_weights_give_the_wanted_prevalence(case, prevalence):
    _, labels = case
    weights = prevalence_weights(labels, prevalence)
    assert weights[labels].sum() / weights.sum() == pytest.approx(prevalence)
    assert weights.sum() == pytest.approx(labels.size)


def test_known_values():
    assert brier_score([1.0, 0.0], [1, 0]) == 0.0
    assert expected_calibration_error([0.95] * 10, [1] * 5 + [0] * 5) == pytest.approx(0.45)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="prevalence"):
        prevalence_weights([0, 1], 1.0)
    with pytest.raises(ValueError, match="both classes"):
        prevalence_weights([1, 1], 0.5)
    with pytest.raises(ValueError, match="bins"):
        reliability_bins([0.5], [1], bins=0)
    with pytest.raises(ValueError, match="weights must not be negative"):
        brier_score([0.5, 0.5], [1, 0], [1.0, -1.0])
    with pytest.raises(ValueError, match="weights must have one value"):
        brier_score([0.5, 0.5], [1, 0], [1.0])
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        brier_score([-0.5, 0.5], [1, 0])
