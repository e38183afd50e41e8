"""Predictive values and net benefit against numbers reckoned by hand."""

import math

import numpy as np
import pytest

from pleura.metrics import (
    MEAN,
    bootstrap_interval,
    bootstrap_means,
    net_benefit_of_all,
    net_benefit_of_cases,
    predictive_values,
)

PROBABILITIES = np.array([0.9, 0.6, 0.3, 0.8, 0.2, 0.1, 0.05, 0.5, 0.2, 0.1])
LABELS = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0])


def test_predictive_values_by_bayes():
    """Of 1000 with 100 ill: 90 found, 10 missed, 180 alarms, 720 cleared."""
    ppv, npv = predictive_values(0.9, 0.8, 0.1)
    assert ppv == pytest.approx(90 / 270)
    assert npv == pytest.approx(720 / 730)


def test_at_the_cohorts_own_prevalence_they_are_the_tables():
    """TP 6, FN 2, TN 9, FP 3 of 20."""
    ppv, npv = predictive_values(6 / 8, 9 / 12, 8 / 20)
    assert (ppv, npv) == (pytest.approx(6 / 9), pytest.approx(9 / 11))


def test_predictive_values_at_the_edges():
    assert predictive_values(1.0, 1.0, 0.01) == (1.0, 1.0)
    ppv, npv = predictive_values(0.0, 1.0, 0.2)
    assert math.isnan(ppv)
    assert npv == pytest.approx(0.8)
    ppv, npv = predictive_values(1.0, 0.0, 0.2)
    assert ppv == pytest.approx(0.2)
    assert math.isnan(npv)
    with pytest.raises(ValueError, match="prevalence"):
        predictive_values(0.9, 0.9, 0.0)
    with pytest.raises(ValueError, match="sensitivity"):
        predictive_values(1.1, 0.9, 0.5)


def test_net_benefit_by_hand():
    """At 0.5: 2 true, 2 false calls of 10, odds 1. At 0.2: 3 true, 4 false, odds 1/4."""
    benefit = net_benefit_of_cases(PROBABILITIES, LABELS, [0.5, 0.2]).mean(axis=0)
    assert benefit == pytest.approx([2 / 10 - 2 / 10 * 1, 3 / 10 - 4 / 10 / 4])
    assert net_benefit_of_all(0.3, [0.5, 0.2]) == pytest.approx([0.3 - 0.7, 0.3 - 0.7 / 4])


def test_at_threshold_zero_everybody_is_treated():
    of_model = net_benefit_of_cases(PROBABILITIES, LABELS, [0.0]).mean()
    assert of_model == pytest.approx(0.3)
    assert net_benefit_of_all(0.3, [0.0]) == pytest.approx([0.3])
    # Treating all breaks even where the threshold is the prevalence.
    assert net_benefit_of_all(0.3, [0.3]) == pytest.approx([0.0])


def test_thresholds_outside_their_range_are_refused():
    for bad in ([1.0], [-0.1], []):
        with pytest.raises(ValueError, match="thresholds"):
            net_benefit_of_cases(PROBABILITIES, LABELS, bad)
    with pytest.raises(ValueError, match="prevalence"):
        net_benefit_of_all(1.2, [0.5])


def test_means_of_columns_are_those_of_one_column_at_a_time():
    values = net_benefit_of_cases(PROBABILITIES, LABELS, [0.1, 0.4])
    groups = np.arange(10) // 2
    settled = {"groups": groups, "n_resamples": 200, "seed": 3}
    together = bootstrap_means(values, **settled)
    for column, estimate in zip(values.T, together, strict=True):
        alone = bootstrap_interval(MEAN, column, **settled)
        assert estimate.model_dump() == pytest.approx(alone.model_dump())
    with pytest.raises(ValueError, match="values"):
        bootstrap_means(np.zeros(3))
    with pytest.raises(ValueError, match="n_resamples"):
        bootstrap_means(values, n_resamples=0)
