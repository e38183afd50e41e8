"""Predictive values, decision curve, chest-tube question, risk and coverage, by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from evaluation_cases import POINTS, made_cases
from pleura.evaluation import summarise
from pleura.evaluation.decision_curve import THRESHOLDS
from pleura.evaluation.decisions import PREVALENCES, at_prevalences
from pleura.inference.manifest import Estimate


def figures_of(cases):
    return summarise(cases, POINTS, "balanced", n_resamples=100)


def cases_of(probability, label, **columns):
    """A small table, each case a patient of its own."""
    n = len(label)
    return pd.DataFrame(
        {
            "image_id": [f"image-{i}" for i in range(n)],
            "group": [f"patient-{i}" for i in range(n)],
            "status": "ok",
            "label": label,
            "probability": probability,
            "dice": np.nan,
            "iou": np.nan,
        }
        | columns
    )


def test_predictive_values_by_bayes_with_limits_from_both_shares():
    sensitivity = Estimate(value=0.9, low=0.8, high=0.95, n=50)
    specificity = Estimate(value=0.8, low=0.7, high=0.9, n=150)
    rows = {row.prevalence: row for row in at_prevalences(sensitivity, specificity)}
    assert tuple(rows) == PREVALENCES
    ppv, npv = rows[0.1].positive, rows[0.1].negative
    assert npv.value == pytest.approx(0.72 / (0.72 + 0.01))
    assert npv.low == pytest.approx(0.63 / (0.63 + 0.02))
    assert npv.high == pytest.approx(0.81 / (0.81 + 0.005))
    assert ppv.value == pytest.approx(0.09 / (0.09 + 0.18))
    assert ppv.low == pytest.approx(0.08 / (0.08 + 0.27))
    assert ppv.high == pytest.approx(0.095 / (0.095 + 0.09))
    assert npv.n == ppv.n == 200
    assert at_prevalences(None, specificity) == ()
    never = Estimate(value=0.0, low=0.0, high=0.1, n=9)
    always = Estimate(value=1.0, low=0.9, high=1.0, n=9)
    assert at_prevalences(never, always)[0].positive is None


def test_the_points_have_them_at_their_own_sensitivity():
    for point in figures_of(made_cases()).operating_points:
        found, cleared = point.sensitivity.value, point.specificity.value
        for row in point.predictive_values:
            missed = (1 - found) * row.prevalence
            right = cleared * (1 - row.prevalence)
            assert row.negative.value == pytest.approx(right / (right + missed))
            assert row.negative.low <= row.negative.value <= row.negative.high
            assert row.negative.low < row.negative.high


def test_the_decision_curve_by_hand():
    """Four of ten positive. At 0.5: 3 found, 1 alarm. At 0.2: 4 found, 3 alarms, odds 1/4."""
    probability = [0.9, 0.8, 0.6, 0.3, 0.7, 0.4, 0.25, 0.1, 0.1, 0.1]
    curve = figures_of(cases_of(probability, [1] * 4 + [0] * 6)).decision_curve
    points = {point.threshold: point for point in curve.points}
    assert tuple(points) == THRESHOLDS
    assert (curve.prevalence, curve.treat_none) == (0.4, 0.0)
    assert points[0.5].net_benefit.value == pytest.approx(0.3 - 0.1)
    assert points[0.5].treat_all == pytest.approx(0.4 - 0.6)
    assert points[0.2].net_benefit.value == pytest.approx(0.4 - 0.3 / 4)
    assert points[0.2].treat_all == pytest.approx(0.4 - 0.6 / 4)
    assert points[0.95].net_benefit.value == 0.0
    assert points[0.2].net_benefit.low < points[0.2].net_benefit.high


def test_no_decision_curve_without_both_classes():
    assert figures_of(cases_of([0.1, 0.6], [0, 0])).decision_curve is None


def with_tubes(untreated, treated):
    """Positives without a tube, negatives with one, and others that must not count."""
    generator = np.random.default_rng(4)
    sides = [(1, 0, untreated), (0, 1, treated), (1, 1, 30), (0, 0, 30), (1, pd.NA, 5)]
    label = [label for label, _, n in sides for _ in range(n)]
    tube = pd.array([tube for _, tube, n in sides for _ in range(n)], dtype="Int8")
    probability = np.clip(generator.normal(0.3 + 0.2 * np.array(label), 0.2), 0.0, 1.0)
    return cases_of(probability, label, chest_tube=tube)


def test_the_tube_question_is_answered_with_enough_on_either_side():
    cases = with_tubes(25, 20)
    question = figures_of(cases).chest_tube_question
    assert (question.positives_without_tube, question.negatives_with_tube) == (25, 20)
    assert question.tube_unknown == 5
    part = cases[:45]
    expected = roc_auc_score(part["label"], part["probability"])
    assert question.auc_value == pytest.approx(expected)
    assert question.auc.value == pytest.approx(expected)
    assert question.auc_clustered.n == question.auc.n == 45
    assert question.auc.low < expected < question.auc.high
    assert question.reliable
    assert "cannot" not in question.text
    assert f"{expected:.3f}" in question.text


def test_with_few_the_tube_question_says_so_and_gives_the_auc():
    question = figures_of(with_tubes(25, 3)).chest_tube_question
    assert not question.reliable
    assert question.text.startswith("Only 3 negatives with a tube: ")
    assert "cannot be answered on this split" in question.text
    assert f"{question.auc_value:.3f} is not reliable" in question.text
    single = figures_of(with_tubes(1, 1)).chest_tube_question
    assert single.auc_value in (0.0, 0.5, 1.0)
    assert single.auc is None
    assert "Only 1 positive without a tube and only 1 negative with a tube" in single.text


def test_an_empty_side_has_no_auc():
    question = figures_of(with_tubes(25, 0)).chest_tube_question
    assert question.auc_value is question.auc is question.auc_clustered is None
    assert question.text.startswith("Only 0 negatives with a tube: ")
    assert not question.reliable


def test_unknown_tubes_are_not_taken_for_none():
    cases = with_tubes(25, 25)
    cases["chest_tube"] = pd.array([pd.NA] * len(cases), dtype="Int8")
    question = figures_of(cases).chest_tube_question
    assert (question.positives_without_tube, question.negatives_with_tube) == (0, 0)
    assert "not known for any of the 115 cases" in question.text
    assert figures_of(cases.drop(columns="chest_tube")).chest_tube_question is None


def doubtful(**columns):
    """At 0.5 the third and the fifth decision are wrong; the margin falls from case to case."""
    return cases_of([0.99, 0.03, 0.05, 0.1, 0.6], [1, 0, 1, 0, 0], **columns)


def test_risk_and_coverage_by_hand():
    figures = figures_of(doubtful(uncertainty=[0.0, 0.1, 0.4, 0.2, 0.3])).selective
    assert figures.error_rate.value == pytest.approx(0.4)
    assert figures.spread_missing == ""
    by_margin, by_spread = figures.by_margin, figures.by_spread
    assert by_margin.area.value == pytest.approx((0 + 0 + 1 / 3 + 1 / 4 + 2 / 5) / 5)
    assert by_spread.area.value == pytest.approx((0 + 0 + 0 + 1 / 4 + 2 / 5) / 5)
    assert figures.area_difference.value == pytest.approx(-1 / 15)
    kept = {round(point.coverage, 6): point for point in by_margin.points}
    assert list(kept) == [1.0, 0.8, 0.6, 0.4, 0.2]
    assert kept[0.6].error_rate.value == pytest.approx(1 / 3)
    assert kept[0.6].sensitivity.value == pytest.approx(1 / 2)
    assert kept[0.6].specificity.value == 1.0
    assert kept[1.0].specificity.value == pytest.approx(2 / 3)
    assert kept[0.2].specificity is None
    assert by_spread.points[2].error_rate.value == 0.0


def test_intervals_of_the_areas_hold_them():
    figures = figures_of(made_cases()).selective
    for estimate in (figures.by_margin.area, figures.by_spread.area, figures.area_difference):
        assert estimate.low < estimate.value < estimate.high
        assert estimate.n == 120
    # In the made table the spread is drawn by chance, and orders no better than chance does.
    assert figures.by_margin.area.value < figures.by_spread.area.value


def test_without_a_spread_only_the_margin_orders():
    for cases, why in (
        (doubtful(), "no column 'uncertainty'"),
        (doubtful(uncertainty=np.nan), "one view"),
        (doubtful(uncertainty=[0.1, np.nan, 0.1, 0.2, 0.3]), "1 of 5 cases"),
    ):
        figures = figures_of(cases).selective
        assert figures.by_spread is figures.area_difference is None
        assert why in figures.spread_missing
        assert figures.by_margin.area is not None


def test_certain_probabilities_have_a_finite_margin():
    figures = figures_of(cases_of([0.0, 1.0, 0.4, 1.0], [0, 1, 1, 0])).selective
    assert np.isfinite(figures.by_margin.area.value)
    assert figures.by_margin.points[0].coverage == 1.0
