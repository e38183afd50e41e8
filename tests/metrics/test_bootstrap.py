"""The bootstrap: seeded, by patients, the fast way equal to the plain way, and honest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored import scored_cases

from pleura.metrics import (
    AVERAGE_PRECISION,
    MEAN,
    RATIO,
    ROC_AUC,
    average_precision,
    bootstrap_interval,
    brier_score,
    expected_calibration_error,
    prevalence_weighted_mean,
    prevalence_weights,
    roc_auc,
)


@settings(max_examples=15, deadline=None)
@given(scored_cases(min_size=20, least_of_each=6), st.integers(0, 5))
def test_the_fast_way_equals_resampling_case_by_case(case, seed):
    groups = np.arange(case[0].size) // 2
    for fast, plain in ((ROC_AUC, roc_auc), (AVERAGE_PRECISION, average_precision)):
        settled = {"groups": groups, "n_resamples": 60, "seed": seed}
        first = bootstrap_interval(fast, *case, **settled)
        second = bootstrap_interval(plain, *case, **settled)
        assert first.model_dump() == pytest.approx(second.model_dump())


def test_means_and_ratios():
    generator = np.random.default_rng(0)
    values, below = generator.random(50), 1.0 + generator.random(50)
    mean = bootstrap_interval(MEAN, values, n_resamples=300)
    plain = bootstrap_interval(lambda v: float(np.mean(v)), values, n_resamples=300)
    assert mean.model_dump() == pytest.approx(plain.model_dump())
    ratio = bootstrap_interval(RATIO, values, below, n_resamples=300)
    assert ratio.value == pytest.approx(values.sum() / below.sum())
    assert ratio.low < ratio.value < ratio.high


def test_the_seed_decides():
    values = np.random.default_rng(1).random(40)
    first = bootstrap_interval(MEAN, values, seed=1)
    assert first == bootstrap_interval(MEAN, values, seed=1)
    assert first != bootstrap_interval(MEAN, values, seed=2)


def test_a_mean_has_about_its_textbook_interval():
    values = np.random.default_rng(2).normal(size=400)
    estimate = bootstrap_interval(MEAN, values, n_resamples=4000)
    error = values.std() / np.sqrt(400)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * error, rel=0.06)


def test_patients_are_drawn_whole():
    values = np.random.default_rng(4).normal(size=80)
    once = bootstrap_interval(MEAN, values)
    groups = np.repeat([f"patient {i}" for i in range(80)], 3)
    thrice = bootstrap_interval(MEAN, np.repeat(values, 3), groups=groups)
    apart = bootstrap_interval(MEAN, np.repeat(values, 3))
    assert thrice.n == 240
    assert thrice.high - thrice.low == pytest.approx(once.high - once.low, rel=0.08)
    assert apart.high - apart.low < 0.7 * (once.high - once.low)


def test_many_cases_are_drawn_in_several_blocks():
    values = np.random.default_rng(6).random(3000)
    estimate = bootstrap_interval(MEAN, values, n_resamples=1500)
    error = values.std() / np.sqrt(3000)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_resamples_without_a_positive_are_left_out():
    labels = np.array([1, 0, 0, 0, 0, 0])
    estimate = bootstrap_interval(ROC_AUC, np.linspace(1, 0, 6), labels == 1)
    assert (estimate.value, estimate.low, estimate.high) == (1.0, 1.0, 1.0)


def test_undefined_statistics_are_refused():
    with pytest.raises(ValueError, match="undefined on these cases"):
        bootstrap_interval(ROC_AUC, np.array([0.1, 0.2]), np.array([True, True]))

    def only_on_all(values):
        if np.unique(values).size < 30:
            raise ValueError("too few")
        return 1.0

    with pytest.raises(ValueError, match="undefined on 50 of 50 resamples"):
        bootstrap_interval(only_on_all, np.arange(30), n_resamples=50)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="one length"):
        bootstrap_interval(MEAN, [1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_interval(MEAN, [])
    with pytest.raises(ValueError, match="n_resamples"):
        bootstrap_interval(MEAN, [1.0, 2.0], n_resamples=0)
    with pytest.raises(ValueError, match="groups"):
        bootstrap_interval(MEAN, [1.0, 2.0], groups=["a"])


def calibrated(generator, n=400):
    """Probabilities that mean what they say: the true calibration error is 0."""
    probabilities = generator.beta(1, 4, n)
    return probabilities, generator.random(n) < probabilities


def test_basic_limits_hold_the_value_that_percentile_limits_leave_out():
    left_out = near_the_truth = 0
    for seed in range(20):
        case = calibrated(np.random.default_rng(seed))
        settled = {"n_resamples": 150, "seed": seed}
        percentile = bootstrap_interval(expected_calibration_error, *case, **settled)
        left_out += not percentile.low <= percentile.value <= percentile.high
        basic = bootstrap_interval(
            expected_calibration_error, *case, **settled, basic_within=(0.0, 1.0)
        )
        assert 0.0 <= basic.low <= basic.value <= basic.high <= 1.0
        near_the_truth += basic.low <= 0.01
    assert left_out > 0
    assert near_the_truth >= 15


def test_basic_limits_are_the_percentile_limits_mirrored_about_the_value():
    values = np.random.default_rng(8).exponential(size=60)
    percentile = bootstrap_interval(MEAN, values)
    basic = bootstrap_interval(MEAN, values, basic_within=(0.0, np.inf))
    assert basic.low == pytest.approx(2 * percentile.value - percentile.high)
    assert basic.high == pytest.approx(2 * percentile.value - percentile.low)
    cut = bootstrap_interval(MEAN, values, basic_within=(basic.low + 0.01, basic.high - 0.01))
    assert (cut.low, cut.high) == (basic.low + 0.01, basic.high - 0.01)


def test_a_mean_at_a_prevalence_is_that_of_weighted_cases():
    generator = np.random.default_rng(9)
    probabilities, labels = calibrated(generator, 90)
    squared = (probabilities - labels) ** 2
    drawn = generator.integers(0, 3, (4, 90)).astype(float)
    drawn[3, labels] = 0
    means = prevalence_weighted_mean(squared, labels, 0.3, weights=drawn)
    for row in range(3):
        chosen = np.repeat(np.arange(90), drawn[row].astype(int))
        weights = prevalence_weights(labels[chosen], 0.3)
        expected = brier_score(probabilities[chosen], labels[chosen], weights)
        assert means[row] == pytest.approx(expected)
    assert np.isnan(means[3])
