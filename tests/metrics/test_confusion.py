"""Decisions against labels, against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scored import quick, scored_cases
from sklearn import metrics as reference

from pleura.metrics import ConfusionMatrix, confusion_matrix, confusion_matrix_at


@quick
@given(st.integers(1, 30).flatmap(lambda n: st.tuples(*[arrays(np.bool_, n)] * 2)))
def test_proportions_equal_scikit_learn(case):
    called, true = case
    table = confusion_matrix(called, true)
    expected = reference.confusion_matrix(true, called, labels=[False, True])
    (tn, fp), (fn, tp) = expected.tolist()
    assert table == ConfusionMatrix(tp, fp, fn, tn)
    assert (table.n, table.positives, table.negatives) == (true.size, true.sum(), (~true).sum())
    undefined = {"zero_division": np.nan}
    for ours, theirs in (
        (table.precision, reference.precision_score(true, called, **undefined)),
        (table.sensitivity, reference.recall_score(true, called, **undefined)),
        (table.recall, reference.recall_score(true, called, **undefined)),
        (table.specificity, reference.recall_score(~true, ~called, **undefined)),
        (table.negative_predictive_value, reference.precision_score(~true, ~called, **undefined)),
        (table.f1, reference.f1_score(true, called, **undefined)),
        (table.accuracy, reference.accuracy_score(true, called)),
    ):
        np.testing.assert_allclose(ours, theirs)


@quick
@given(scored_cases(), st.floats(0, 1))
def test_a_probability_at_the_threshold_is_positive(case, threshold):
    probabilities, labels = case
    threshold = float(np.append(probabilities, threshold)[0])
    assert confusion_matrix_at(probabilities, labels, threshold) == confusion_matrix(
        [p >= threshold for p in probabilities], labels
    )
    assert confusion_matrix_at([threshold], [1], threshold).true_positives == 1


def test_youden_and_addition():
    table = ConfusionMatrix(8, 10, 2, 90)
    assert table.youden == pytest.approx(0.7)
    assert table + ConfusionMatrix(1, 2, 3, 4) == ConfusionMatrix(9, 12, 5, 94)


@pytest.mark.parametrize(
    ("called", "true", "sentence"),
    [
        ([1, 0], [1], "one value per case"),
        ([], [], "non-empty"),
        ([0.3, 1], [0, 1], "0 and 1"),
        ([[1]], [[1]], "vector"),
    ],
)
def test_bad_decisions_are_refused(called, true, sentence):
    with pytest.raises(ValueError, match=sentence):
        confusion_matrix(called, true)


def test_probabilities_outside_their_range_are_refused():
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        confusion_matrix_at([0.2, 1.2], [0, 1], 0.5)
    with pytest.raises(ValueError, match="finite"):
        confusion_matrix_at([0.2, np.nan], [0, 1], 0.5)
