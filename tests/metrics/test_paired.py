"""Paired tests against their definitions, and against how often they find nothing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from scored import quick, scored_cases

from pleura.metrics import delong_difference, delong_interval, mcnemar_exact, roc_auc


def two_tails(count, cases):
    """Twice the share of the 2^cases outcomes that lie as far from the middle, at most 1."""
    ways = sum(math.comb(cases, k) for k in range(min(count, cases - count) + 1))
    return min(1.0, 2 * ways / 2**cases)


def by_definition(first, second, labels):
    """Difference and variance from the tables of all pairs, as in the paper of 1988."""

    def components(scores):
        positive, negative = scores[labels], scores[~labels]
        wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
        return wins.mean(axis=1), wins.mean(axis=0)

    ten, one = (np.cov(pair) for pair in zip(components(first), components(second), strict=True))
    contrast = np.array([-1.0, 1.0])
    variance = contrast @ (ten / labels.sum() + one / (~labels).sum()) @ contrast
    return roc_auc(second, labels) - roc_auc(first, labels), variance


@quick
@given(scored_cases(least_of_each=2), st.integers(0, 99), st.sampled_from([2, 50]))
def test_the_difference_is_that_of_all_pairs(case, seed, steps):
    first, labels = case
    noise = np.random.default_rng(seed).normal(size=first.size)
    second = np.round((first + noise) * steps) / steps
    difference, variance = by_definition(first, second, labels)
    if variance < 1e-12:
        return
    found = delong_difference(first, second, labels)
    half = norm.ppf(0.975) * math.sqrt(variance)
    assert found.difference.value == pytest.approx(difference, abs=1e-12)
    assert found.difference.low == pytest.approx(max(-1.0, difference - half))
    assert found.difference.high == pytest.approx(min(1.0, difference + half))
    assert found.p_value == pytest.approx(2 * norm.sf(abs(difference) / math.sqrt(variance)))
    turned = delong_difference(second, first, labels)
    assert turned.difference.value == pytest.approx(-difference, abs=1e-12)
    assert turned.p_value == pytest.approx(found.p_value)


def test_against_a_constant_it_is_the_interval_of_one_area():
    generator = np.random.default_rng(1)
    labels = np.arange(60) % 3 == 0
    scores = generator.normal(labels * 1.0)
    found = delong_difference(np.zeros(60), scores, labels).difference
    alone = delong_interval(scores, labels)
    assert found.value == pytest.approx(alone.value - 0.5)
    assert found.low == pytest.approx(alone.low - 0.5)


def test_models_that_rank_alike_do_not_differ():
    scores, labels = np.array([0.1, 0.4, 0.3, 0.8]), [0, 0, 1, 1]
    found = delong_difference(scores, scores**3, labels)
    assert (found.difference.value, found.difference.low, found.p_value) == (0.0, 0.0, 1.0)


def test_a_difference_without_variance_has_no_test():
    with pytest.raises(ValueError, match="variance"):
        delong_difference([0.5] * 4, [0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])


@pytest.mark.parametrize(
    ("first", "second", "labels", "sentence"),
    [
        ([1, 2, 3], [1, 2], [0, 1, 1], "same cases"),
        ([1, 2, 3], [1, 2, 3], [1, 1, 1], "both classes"),
        ([1, 2, 3], [1, 2, 3], [0, 1, 1], "two cases"),
        ([1, 2, np.nan], [1, 2, 3], [0, 1, 1], "finite"),
    ],
)
def test_bad_arguments_are_refused(first, second, labels, sentence):
    with pytest.raises(ValueError, match=sentence):
        delong_difference(first, second, labels)


def test_delong_is_wrong_about_as_often_as_it_says():
    generator = np.random.default_rng(4)
    labels = np.repeat([True, False], [30, 90])
    found = 0
    for _ in range(300):
        shared = generator.normal(size=120) + 1.2 * labels
        pair = shared + generator.normal(size=(2, 120))
        found += delong_difference(*pair, labels).p_value < 0.05
    assert 5 <= found <= 27  # 15 expected, three standard deviations


@quick
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=200))
def test_mcnemar_counts_the_ways_to_be_as_uneven(pairs):
    first, second = np.array(pairs).T
    found = mcnemar_exact(first, second)
    discordant = found.only_first + found.only_second
    assert found.p_value == pytest.approx(two_tails(found.only_first, discordant))
    assert found.both + found.neither + discordant == len(pairs)
    assert found.only_second == sum(b and not a for a, b in pairs)


def test_mcnemar_of_many_cases():
    first = np.repeat([True, False], [3000, 2000])
    assert mcnemar_exact(first, ~first).p_value == pytest.approx(two_tails(2000, 5000), rel=1e-6)
