"""Risk and coverage against numbers reckoned by hand and against every order of ties."""

from itertools import permutations

import numpy as np
import pytest

from pleura.metrics import (
    RISK_COVERAGE_AREA,
    area_under_risk_coverage,
    bootstrap_interval,
    kept_cases,
)


def test_area_by_hand():
    """By rising doubt: right, right, wrong, right, so the rates are 0, 0, 1/3, 1/4."""
    area = area_under_risk_coverage([1, 0, 0, 0], [0.3, 0.1, 0.9, 0.2])
    assert area == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)


def test_the_best_and_the_worst_order():
    errors = [0, 0, 1]
    assert area_under_risk_coverage(errors, [1, 2, 3]) == pytest.approx((1 / 3) / 3)
    assert area_under_risk_coverage(errors, [3, 2, 1]) == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)


def test_equal_doubt_everywhere_gives_the_error_rate():
    assert area_under_risk_coverage([1, 0, 1, 0, 0], np.zeros(5)) == pytest.approx(0.4)


def test_ties_count_as_the_mean_over_their_orders():
    errors = np.array([0, 1, 1, 0, 1, 0])
    doubts = np.array([0.0, 1.0, 1.0, 1.0, 1.0, 2.0])
    areas = [
        np.mean(np.cumsum([0, *errors[list(middle)], 0]) / np.arange(1, 7))
        for middle in permutations([1, 2, 3, 4])
    ]
    assert area_under_risk_coverage(errors, doubts) == pytest.approx(np.mean(areas))


def test_the_fast_bootstrap_equals_resampling_case_by_case():
    generator = np.random.default_rng(1)
    errors, doubts = generator.random(60) < 0.3, np.round(generator.random(60), 1)
    settled = {"groups": np.arange(60) // 3, "n_resamples": 80, "seed": 2}
    first = bootstrap_interval(RISK_COVERAGE_AREA, errors, doubts, **settled)
    second = bootstrap_interval(area_under_risk_coverage, errors, doubts, **settled)
    assert first.model_dump() == pytest.approx(second.model_dump())
    assert first.low < first.value < first.high


def test_the_most_doubtful_are_set_aside():
    doubts = [0.5, 0.1, 0.9, 0.2]
    assert list(kept_cases(doubts, 0.5)) == [False, True, False, True]
    assert list(kept_cases(doubts, 0.51)) == [True, True, False, True]
    assert kept_cases(doubts, 1.0).all()
    assert np.count_nonzero(kept_cases(np.arange(20), 0.55)) == 11
    assert np.count_nonzero(kept_cases([1, 1, 1, 2], 0.25)) == 3


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="doubts"):
        area_under_risk_coverage([1, 0], [0.1, np.nan])
    with pytest.raises(ValueError, match="errors"):
        area_under_risk_coverage([1, 0, 0], [0.1, 0.2])
    with pytest.raises(ValueError, match="coverage"):
        kept_cases([0.1, 0.2], 0.0)
