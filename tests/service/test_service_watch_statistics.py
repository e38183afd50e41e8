"""The statistics behind the alarms, against scipy and by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from pleura.service.watch.bins import SCORES, TIMES_MS, added_bins, aligned
from pleura.service.watch.statistics import (
    at_least,
    fisher,
    ks_distance,
    ks_p,
    mcnemar,
    spearman,
    wilson,
)

counts = st.integers(0, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
some = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(some, st.sampled_from([0.9, 0.95, 0.999]))
def test_wilson_agrees_with_scipy(case: tuple[int, int], confidence: float) -> None:
    expected = stats.binomtest(*case).proportion_ci(confidence, method="wilson")
    assert wilson(*case, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_of_nothing_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@given(some, st.floats(0.001, 0.999))
def test_the_binomial_tail_agrees_with_scipy(case: tuple[int, int], share: float) -> None:
    k, n = case
    assert at_least(k, n, share) == pytest.approx(stats.binom.sf(k - 1, n, share), abs=1e-9)


@settings(max_examples=60)
@given(counts, counts)
def test_fisher_agrees_with_scipy(first: tuple[int, int], second: tuple[int, int]) -> None:
    table = [[first[0], first[1] - first[0]], [second[0], second[1] - second[0]]]
    expected = stats.fisher_exact(table).pvalue
    assert fisher(*first, *second) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_fisher_of_a_large_reference_agrees_with_scipy() -> None:
    expected = stats.fisher_exact([[40, 160], [9_000, 81_000]]).pvalue
    assert fisher(40, 200, 9_000, 90_000) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("call", [lambda: wilson(3, 2), lambda: fisher(1, 2, 5, 4)])
def test_more_successes_than_cases_are_an_error(call: object) -> None:
    with pytest.raises(ValueError, match="successes"):
        call()  # type: ignore[operator]


def test_the_kolmogorov_distance_of_bins_is_that_of_the_rounded_samples() -> None:
    draws = np.random.default_rng(3)
    first, second = draws.beta(1, 4, 300), draws.beta(1, 3, 700)
    bins = [SCORES.bins(sample) for sample in (first, second)]
    rounded = [
        np.repeat([SCORES.value(number) for number in found], list(found.values()))
        for found in bins
    ]
    assert ks_distance(*aligned(*bins)) == pytest.approx(stats.ks_2samp(*rounded).statistic)


@pytest.mark.parametrize("reach", [0.05, 0.3, 0.8, 1.4, 2.2, 4.0])
def test_the_kolmogorov_limit_agrees_with_scipy(reach: float) -> None:
    n_first, n_second = 300, 700
    distance = reach / math.sqrt(n_first * n_second / (n_first + n_second))
    assert ks_p(distance, n_first, n_second) == pytest.approx(special.kolmogorov(reach), abs=1e-9)


def test_the_limit_is_not_smaller_than_the_exact_value_where_alarms_are_decided() -> None:
    """At small samples an alarm must not come more often than its level says."""
    for distance in (0.25, 0.3, 0.35):
        exact = stats.kstwo.sf(distance, round(50 * 2000 / 2050))
        assert ks_p(distance, 50, 2000) >= exact


def test_ks_needs_cases() -> None:
    with pytest.raises(ValueError, match="cases"):
        ks_distance(*aligned({}, {3: 1}))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.floats(0.01, 1))
def test_a_quantile_of_scores_is_off_by_half_a_bin(scores: list[float], share: float) -> None:
    found = SCORES.quantile(SCORES.bins(scores), share)
    true = float(np.quantile(scores, share, method="inverted_cdf"))
    true = min(max(true, 1e-5), 1 - 1e-5)
    assert found is not None
    assert math.log(found / (1 - found)) == pytest.approx(math.log(true / (1 - true)), abs=0.0251)


@given(st.lists(st.floats(0.2, 1e8), min_size=1, max_size=200), st.floats(0.01, 1))
def test_a_quantile_of_times_is_off_by_one_per_cent(times: list[float], share: float) -> None:
    found = TIMES_MS.quantile(TIMES_MS.bins(times), share)
    true = float(np.quantile(times, share, method="inverted_cdf"))
    assert found == pytest.approx(true, rel=0.0102)


def test_bins_add_up_and_know_what_lies_above() -> None:
    first, second = TIMES_MS.bins([10, 20, 500]), TIMES_MS.bins([700, 20])
    together = added_bins(first, second)
    assert together == TIMES_MS.bins([10, 20, 500, 700, 20])
    assert TIMES_MS.above(together, 100) == 2
    assert TIMES_MS.above(together, 1e6) == 0
    assert TIMES_MS.quantile({}, 0.5) is None


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_agrees_with_scipy(only_first: int, only_second: int) -> None:
    n = only_first + only_second
    expected = stats.binomtest(only_first, n).pvalue if n else 1.0
    assert mcnemar(only_first, only_second) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=60))
def test_rank_correlation_agrees_with_scipy(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array(side, dtype=np.float64) for side in zip(*pairs, strict=True))
    found = spearman(first, second)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        assert found is None
    else:
        assert found == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-9)
