"""Platt's fit against scikit-learn's logistic regression, and what it is for."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from pleura.evaluation import fit_platt
from pleura.inference.manifest import Calibration
from pleura.inference.postprocess import calibrated_probability
from pleura.metrics import expected_calibration_error, prevalence_weights


def by_scikit_learn(logits, labels, prevalence):
    """Soft targets as pairs of weighted hard ones."""
    positives, negatives = labels.sum(), (~labels).sum()
    target = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    weights = np.ones(labels.size)
    if prevalence is not None:
        weights = prevalence_weights(labels, prevalence)
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=2000)
    model.fit(
        np.concatenate([logits, logits])[:, None],
        np.repeat([1, 0], labels.size),
        np.concatenate([weights * target, weights * (1 - target)]),
    )
    return model.coef_[0, 0], model.intercept_[0]


@settings(max_examples=12, deadline=None)
@given(
    st.integers(20, 200),
    st.integers(0, 10_000),
    st.sampled_from([None, 0.03, 0.2, 0.5]),
    st.sampled_from([0.0, 1.0, 30.0]),
)
def test_the_fit_equals_scikit_learn(n, seed, prevalence, apart):
    generator = np.random.default_rng(seed)
    labels = generator.random(n) < 0.4
    labels[:2] = True, False
    logits = generator.normal(labels * apart, 2.0)
    slope, intercept = fit_platt(logits, labels, prevalence)
    expected = by_scikit_learn(logits, labels, prevalence)
    assert (slope, intercept) == pytest.approx(expected, rel=2e-3, abs=2e-3)


def test_the_probability_fits_a_hospital_with_fewer_positives():
    generator = np.random.default_rng(0)
    labels = generator.random(8000) < 0.5
    logits = generator.normal(np.where(labels, 3.0, -3.0), 3.0)
    slope, intercept = fit_platt(logits, labels, prevalence=0.1)
    calibration = Calibration(method="platt", slope=slope, intercept=intercept, prevalence=0.1)
    # Two normal densities of one width: the true slope is (3 - -3) / 3 ** 2.
    assert slope == pytest.approx(2 / 3, rel=0.05)
    assert intercept == pytest.approx(np.log(0.1 / 0.9), rel=0.05)
    ward = generator.random(8000) < 0.1
    seen = generator.normal(np.where(ward, 3.0, -3.0), 3.0)
    probabilities = [calibrated_probability(float(logit), calibration) for logit in seen]
    assert expected_calibration_error(probabilities, ward) < 0.015


def test_separable_logits_have_a_finite_answer():
    slope, intercept = fit_platt([-1e3, -9e2, 9e2, 1e3], [0, 0, 1, 1])
    assert 0 < slope < 1
    assert intercept == pytest.approx(0.0, abs=1e-6)


def test_logits_that_tell_nothing_are_reported(caplog):
    with caplog.at_level(logging.WARNING):
        slope, _ = fit_platt([2.0, 1.0, -1.0, -2.0], [0, 0, 1, 1])
    assert slope < 0
    assert "do not tell the classes apart" in caplog.text


@pytest.mark.parametrize(
    ("logits", "labels", "prevalence", "sentence"),
    [
        ([1.0, 2.0], [1, 1], None, "both classes"),
        ([1.0, 1.0], [0, 1], None, "equal"),
        ([1.0], [0, 1], None, "one for each label"),
        ([1.0, np.nan], [0, 1], None, "finite"),
        ([1.0, 2.0], [0, 1], 0.0, "prevalence"),
    ],
)
def test_bad_arguments_are_refused(logits, labels, prevalence, sentence):
    with pytest.raises(ValueError, match=sentence):
        fit_platt(logits, labels, prevalence)
