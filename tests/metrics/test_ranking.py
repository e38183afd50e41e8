"""ROC and precision-recall against scikit-learn and against comparing every pair."""

import numpy as np
import pytest
from hypothesis import given
from scored import quick, scored_cases
from sklearn import metrics as reference

from pleura.metrics import (
    ProbabilityAccumulator,
    average_precision,
    precision_recall_curve,
    roc_auc,
    roc_curve,
)
from pleura.metrics.ranking import weighted_average_precision, weighted_roc_auc


def auc_by_pairs(scores, labels):
    won = [
        1.0 if p > n else 0.5 if p == n else 0.0 for p in scores[labels] for n in scores[~labels]
    ]
    return sum(won) / len(won)


@quick
@given(scored_cases())
def test_auc_equals_comparing_every_pair(case):
    assert roc_auc(*case) == pytest.approx(auc_by_pairs(*case))


@quick
@given(scored_cases())
def test_areas_equal_scikit_learn(case):
    scores, labels = case
    assert roc_auc(scores, labels) == pytest.approx(reference.roc_auc_score(labels, scores))
    assert average_precision(scores, labels) == pytest.approx(
        reference.average_precision_score(labels, scores)
    )


@quick
@given(scored_cases())
def test_curves_equal_scikit_learn(case):
    scores, labels = case
    ours = roc_curve(scores, labels)
    false_rate, rate, thresholds = reference.roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(ours.false_positive_rate, false_rate)
    np.testing.assert_allclose(ours.true_positive_rate, rate)
    np.testing.assert_allclose(ours.thresholds, thresholds)
    curve = precision_recall_curve(scores, labels)
    precision, recall, thresholds = reference.precision_recall_curve(labels, scores)
    np.testing.assert_allclose(curve.precision[::-1], precision[:-1])
    np.testing.assert_allclose(curve.recall[::-1], recall[:-1])
    np.testing.assert_allclose(curve.thresholds[::-1], thresholds)


@quick
@given(scored_cases())
def test_whole_weights_equal_repeated_cases(case):
    scores, labels = case
    weights = np.random.default_rng(0).integers(0, 4, (3, scores.size))
    weights[0] = 1
    ours = weighted_roc_auc(scores, labels, weights=weights.astype(float))
    precision = weighted_average_precision(scores, labels, weights=weights.astype(float))
    for row, area, ap in zip(weights, ours, precision, strict=True):
        repeated = np.repeat(scores, row), np.repeat(labels, row)
        if repeated[1].any() and not repeated[1].all():
            assert area == pytest.approx(roc_auc(*repeated))
            assert ap == pytest.approx(average_precision(*repeated))
        else:
            assert np.isnan(area)
            assert np.isnan(ap)


@pytest.mark.parametrize("metric", [roc_auc, average_precision, roc_curve, precision_recall_curve])
def test_bad_scores_are_refused(metric):
    with pytest.raises(ValueError, match="both classes: 2 positive of 2"):
        metric([0.1, 0.2], [1, 1])
    with pytest.raises(ValueError, match="both classes: 0 positive of 2"):
        metric([0.1, 0.2], [0, 0])
    with pytest.raises(ValueError, match="finite"):
        metric([0.1, np.inf], [0, 1])
    with pytest.raises(ValueError, match="one value per case"):
        metric([0.1, 0.2, 0.3], [0, 1])


@quick
@given(scored_cases(min_size=4))
def test_batches_accumulate_to_the_whole(case):
    scores, labels = case
    accumulator = ProbabilityAccumulator()
    accumulator.update(scores[:1], labels[:1])
    accumulator.update(scores[1:], labels[1:])
    assert accumulator.n == labels.size
    assert accumulator.compute() == {
        "auc": roc_auc(scores, labels),
        "average_precision": average_precision(scores, labels),
    }
    assert accumulator.confusion_matrix(0.5).positives == labels.sum()
    accumulator.reset()
    with pytest.raises(ValueError, match="no case"):
        accumulator.compute()
