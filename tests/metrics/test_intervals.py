"""Intervals against scipy, against DeLong's own sums, and against how often they cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from scored import quick, scored_cases

from pleura.metrics import delong_interval, proportion, wilson_interval


@quick
@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipy(case):
    successes, n = case
    expected = binomtest(successes, n).proportion_ci(method="wilson")
    low, high = wilson_interval(successes, n)
    assert (low, high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert 0.0 <= low < high <= 1.0


def delong_by_definition(scores, labels):
    """Variance of the AUC from the table of all pairs, as in the paper of 1988."""
    positive, negative = scores[labels], scores[~labels]
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    return wins.mean(), (
        wins.mean(axis=1).var(ddof=1) / positive.size
        + wins.mean(axis=0).var(ddof=1) / negative.size
    )


@quick
@given(scored_cases(least_of_each=2))
def test_delong_equals_its_definition(case):
    area, variance = delong_by_definition(*case)
    estimate = delong_interval(*case)
    assert estimate.value == pytest.approx(area)
    assert estimate.n == case[1].size
    assert estimate.low < estimate.high
    if variance > 1e-12:
        half = norm.ppf(0.975) * np.sqrt(variance)
        assert estimate.low == pytest.approx(max(0.0, area - half))
        assert estimate.high == pytest.approx(min(1.0, area + half))


def test_perfect_separation_keeps_an_interval():
    estimate = delong_interval([0.1, 0.2, 0.3, 0.8, 0.9], [0, 0, 0, 1, 1])
    assert (estimate.value, estimate.high) == (1.0, 1.0)
    assert estimate.low == pytest.approx(wilson_interval(2, 2)[0])


def test_delong_covers_about_as_often_as_it_says():
    generator = np.random.default_rng(3)
    true_area = norm.cdf(1.2 / np.sqrt(2))
    labels = np.repeat([True, False], [40, 120])
    covered = 0
    for _ in range(400):
        estimate = delong_interval(generator.normal(size=160) + 1.2 * labels, labels)
        covered += estimate.low <= true_area <= estimate.high
    assert 0.91 <= covered / 400 <= 0.985


def test_a_share_without_patients_is_wilson():
    estimate = proportion([1, 1, 0, 1])
    assert (estimate.low, estimate.high) == wilson_interval(3, 4)
    assert (estimate.value, estimate.n) == (0.75, 4)
    assert proportion([1, 1, 0, 1], ["a", "b", "c", "d"]) == estimate


def test_images_that_repeat_a_patient_add_nothing():
    outcomes = np.array([1, 0, 1, 1, 0, 1, 1, 1, 1, 0])
    groups = np.arange(10)
    once = proportion(outcomes, groups)
    twice = proportion(np.repeat(outcomes, 4), np.repeat(groups, 4))
    naive = proportion(np.repeat(outcomes, 4))
    assert twice.value == once.value
    assert twice.high - twice.low > 0.9 * (once.high - once.low)
    assert naive.high - naive.low < 0.7 * (twice.high - twice.low)


def test_agreement_counts_patients_not_images():
    estimate = proportion([1] * 12, np.repeat([0, 1, 2], 4))
    assert (estimate.low, estimate.high) == wilson_interval(3, 3)
    assert estimate.n == 12


@pytest.mark.parametrize("successes", [9, 10])
def test_images_of_one_patient_count_as_one(successes):
    estimate = proportion([1] * successes + [0] * (10 - successes), ["a"] * 10)
    assert (estimate.low, estimate.high) == wilson_interval(successes / 10, 1)
    assert (estimate.value, estimate.n) == (successes / 10, 10)


def test_a_clustered_share_covers_about_as_often_as_it_says():
    generator = np.random.default_rng(5)
    groups = np.repeat(np.arange(60), 3)
    covered = naively = 0
    for _ in range(400):
        chance = generator.beta(4.0, 1.0, 60)[groups]
        outcomes = generator.random(180) < chance
        for estimate, counts in (
            (proportion(outcomes, groups), True),
            (proportion(outcomes), False),
        ):
            hit = estimate.low <= 0.8 <= estimate.high
            covered += hit and counts
            naively += hit and not counts
    assert covered / 400 >= 0.92
    assert naively < covered


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_impossible_counts_are_refused(successes, n):
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(successes, n)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="two cases: 1 positive"):
        delong_interval([0.1, 0.2, 0.3], [1, 0, 0])
    with pytest.raises(ValueError, match="both classes"):
        delong_interval([0.1, 0.2], [0, 0])
    with pytest.raises(ValueError, match="level"):
        wilson_interval(1, 2, level=1.0)
    with pytest.raises(ValueError, match="groups"):
        proportion([1, 0], ["a"])
    with pytest.raises(ValueError, match="non-empty"):
        proportion([])
