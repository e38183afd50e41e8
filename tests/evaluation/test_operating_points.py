"""The three points against trying every threshold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pleura.evaluation import choose_operating_points
from pleura.metrics import confusion_matrix_at, proportion


@st.composite
def cohorts(draw):
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    n = draw(st.integers(4, 80))
    labels = np.arange(n) % draw(st.integers(2, 4)) == 0
    steps = draw(st.sampled_from([4, 1000]))
    high = generator.beta(np.where(labels, 3, 1), np.where(labels, 1, 3))
    return np.clip(np.round(high * steps) / steps, 0.0, 0.999), labels


def every_table(probabilities, labels):
    tried = np.unique(np.concatenate([probabilities, [0.0, 1.0]]))
    return [confusion_matrix_at(probabilities, labels, t) for t in tried]


@settings(max_examples=60, deadline=None)
@given(cohorts(), st.sampled_from([0.8, 0.95, 1.0]))
def test_each_point_is_the_best_that_keeps_its_promise(case, wanted):
    probabilities, labels = case
    sensitive, balanced, specific = choose_operating_points(
        probabilities, labels, sensitivity=wanted, specificity=wanted
    )
    tables = every_table(probabilities, labels)
    assert sensitive.sensitivity >= wanted
    assert sensitive.specificity == max(t.specificity for t in tables if t.sensitivity >= wanted)
    assert specific.specificity >= wanted
    assert specific.sensitivity == max(t.sensitivity for t in tables if t.specificity >= wanted)
    youden = balanced.sensitivity + balanced.specificity - 1
    assert youden == pytest.approx(max(t.youden for t in tables))
    for point in (sensitive, balanced, specific):
        table = confusion_matrix_at(probabilities, labels, point.threshold)
        assert (point.sensitivity, point.specificity) == (table.sensitivity, table.specificity)


@settings(max_examples=30, deadline=None)
@given(cohorts())
def test_a_rounding_error_tips_no_case_over(case):
    probabilities, labels = case
    for point in choose_operating_points(probabilities, labels):
        exact = probabilities >= point.threshold
        for wobble in (1e-9, -1e-9):
            moved = np.clip(probabilities + wobble, 0, 1)
            apart = probabilities > 0
            np.testing.assert_array_equal((moved >= point.threshold)[apart], exact[apart])


def test_names_order_intervals_and_cohort():
    probabilities = np.linspace(0, 0.9, 40)
    labels = np.arange(40) >= 25
    points = choose_operating_points(probabilities, labels, cohort="five folds, 40 images")
    assert [point.name for point in points] == ["sensitive", "balanced", "specific"]
    assert all(point.cohort == "five folds, 40 images" for point in points)
    balanced = points[1]
    assert (balanced.sensitivity, balanced.specificity) == (1.0, 1.0)
    expected = proportion(np.ones(15, bool))
    assert balanced.sensitivity_interval == (expected.low, expected.high)
    clustered = choose_operating_points(probabilities, labels, groups=np.arange(40) // 5)[1]
    assert clustered.sensitivity_interval[0] < balanced.sensitivity_interval[0]


def test_what_cannot_be_chosen_is_refused():
    with pytest.raises(ValueError, match="no threshold up to 1"):
        choose_operating_points([1.0, 1.0, 1.0], [0, 0, 1])
    with pytest.raises(ValueError, match="both classes"):
        choose_operating_points([0.1, 0.2], [1, 1])
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        choose_operating_points([0.1, 1.2], [0, 1])
    with pytest.raises(ValueError, match="wanted"):
        choose_operating_points([0.1, 0.2], [0, 1], sensitivity=0.0)
