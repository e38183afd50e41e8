"""Every figure of the report against a plain reckoning from the table of cases."""

import numpy as np
import pytest
from sklearn import metrics as reference

from evaluation_cases import POINTS, made_cases, refuse
from pleura.errors import DataError
from pleura.evaluation import summarise
from pleura.metrics import (
    bootstrap_interval,
    delong_interval,
    expected_calibration_error,
    proportion,
)


def figures_of(cases, **options):
    return summarise(cases, POINTS, "balanced", n_resamples=100, **options)


def test_image_level_figures():
    cases = made_cases()
    figures = figures_of(cases)
    label, probability = cases["label"], cases["probability"]
    auc = figures.discrimination.auc
    assert auc == delong_interval(probability, label)
    assert figures.discrimination.auc_clustered.value == pytest.approx(auc.value)
    assert figures.discrimination.average_precision.value == pytest.approx(
        reference.average_precision_score(label, probability)
    )
    assert figures.calibration.brier.value == pytest.approx(np.mean((probability - label) ** 2))
    assert figures.calibration.prevalence == 0.25
    assert figures.discrimination.auc_not_predicted_as_negative is None
    counts = figures.counts
    assert (counts.evaluated, counts.positives, counts.negatives) == (120, 30, 90)
    assert (counts.patients, counts.not_predicted, counts.rows) == (60, 0, 120)
    assert sum(each.n for each in figures.calibration.bins) == 120


def test_decisions_and_masks_end_to_end():
    cases = made_cases()
    figures = figures_of(cases)
    for point in figures.operating_points:
        true, called = cases["label"] == 1, cases["probability"] >= point.claimed.threshold
        assert point.true_positives == (true & called).sum()
        assert point.false_positives == (~true & called).sum()
        assert point.sensitivity.value == reference.recall_score(true, called)
        assert point.specificity.value == reference.recall_score(~true, ~called)
        assert point.precision.value == reference.precision_score(true, called)
        assert point.f1.value == pytest.approx(reference.f1_score(true, called))
        assert point.sensitivity == proportion(called[true], cases["group"][true])
        shown = cases["dice"].where(called, 0.0)[true]
        assert point.dice_positives.value == pytest.approx(shown.mean())
        assert point.dice_positives.n == 30
        empty = (~called | (cases["predicted_area_fraction"] == 0))[~true]
        assert point.normals_with_mask.value == pytest.approx(1 - empty.mean())
        kaggle = (shown.sum() + empty.sum()) / 120
        assert point.dice_kaggle.value == pytest.approx(kaggle)
        assert point.dice_kaggle.low < kaggle < point.dice_kaggle.high
    assert [point.selected for point in figures.operating_points] == [True, False]
    forced = figures.segmentation.dice_positives
    assert forced.value == pytest.approx(cases["dice"].mean())
    assert forced.value > figures.operating_points[0].dice_positives.value


def test_refused_images_are_listed_left_out_and_counted_as_negative():
    cases = refuse(made_cases(), [0, 4, 8, 1])
    figures = figures_of(cases, rows=130)
    counts = figures.counts
    assert (counts.rows, counts.without_label, counts.not_predicted) == (130, 10, 4)
    assert (counts.evaluated, counts.positives) == (116, 27)
    listed = {item.image_id: item for item in figures.not_predicted}
    assert set(listed) == {f"image-000{i}" for i in (0, 1, 4, 8)}
    assert (listed["image-0000"].code, listed["image-0000"].label) == ("truncated", 1)
    assert figures.discrimination.auc.n == 116
    as_negative = figures.discrimination.auc_not_predicted_as_negative
    expected = reference.roc_auc_score(cases["label"], cases["probability"].fillna(0.0))
    assert as_negative.value == pytest.approx(expected)
    point = figures.operating_points[0]
    assert point.sensitivity.n == 27
    assert point.sensitivity_not_predicted_as_negative.value == point.true_positives / 30
    assert point.specificity_not_predicted_as_negative.n == 90


def test_positives_without_a_trusted_mask_count_for_the_finding_only():
    cases = made_cases()
    cases.loc[cases.index[cases["label"] == 1][:10], ["dice", "iou"]] = np.nan
    figures = figures_of(cases)
    assert (figures.counts.positives_with_mask, figures.counts.masks_left_out) == (20, 10)
    assert figures.segmentation.dice_positives.n == 20
    assert figures.operating_points[0].dice_kaggle.n == 110
    assert figures.operating_points[0].sensitivity.n == 30


def test_subgroups_hold_the_cohort():
    cases = made_cases()
    subgroups = figures_of(cases).subgroups
    for attribute in ("view", "sex", "age in years", "chest tube", "label source", "image source"):
        assert sum(group.n for group in subgroups if group.attribute == attribute) == 120
    by_size = [group for group in subgroups if group.attribute == "true mask, share of image"]
    assert [group.positives for group in by_size] == [10, 10, 10]
    assert {group.negatives for group in by_size} == {90}
    assert {group.negatives_from for group in by_size} == {"all"}
    assert {g.level for g in subgroups if g.attribute == "sex"} == {"F", "unknown"}
    assert {"0-17", "80 and over", "unknown"} <= {
        g.level for g in subgroups if g.attribute == "age in years"
    }
    tube = {g.level: g for g in subgroups if g.attribute == "chest tube"}
    assert (tube["visible"].n, tube["visible"].positives) == (15, 15)
    assert tube["visible"].auc is None
    assert tube["visible"].specificity is None
    alone = {g.level: g for g in subgroups if g.attribute == "chest tube, positives"}
    part = cases[(cases["label"] == 0) | (cases["chest_tube"] == 0)]
    expected = reference.roc_auc_score(part["label"], part["probability"])
    assert alone["none"].auc.value == pytest.approx(expected)


def test_the_worst_errors_come_first():
    cases = made_cases()
    worst = figures_of(cases).worst_errors
    positive = cases[cases["label"] == 1]
    missed = positive[positive["probability"] < 0.5].sort_values("probability")
    assert [line.image_id for line in worst.missed] == list(missed["image_id"][:12])
    negative = cases[cases["label"] == 0]
    alarms = negative[negative["probability"] >= 0.5].sort_values("probability", ascending=False)
    assert [line.image_id for line in worst.false_alarms] == list(alarms["image_id"][:12])
    dice = [line.dice for line in worst.masks]
    assert dice == sorted(positive["dice"])[:12]
    assert worst.false_alarms[0].dice is None


def test_latency_by_stage():
    cases = made_cases()
    stages = {stage.stage: stage for stage in figures_of(cases).latency}
    assert set(stages) == {"decode", "total"}
    assert stages["total"].median_ms == pytest.approx(cases["ms_total"].median())
    assert stages["total"].p95_ms == pytest.approx(np.percentile(cases["ms_total"], 95))


def test_calibration_is_reweighted_to_the_prevalence_that_the_model_states():
    calibration = figures_of(made_cases(), calibrated_for=0.1).calibration
    assert calibration.calibrated_for == 0.1
    cases = made_cases()
    weights = np.where(cases["label"] == 1, 0.1 / 0.25, 0.9 / 0.75)
    squared = (cases["probability"] - cases["label"]) ** 2
    brier = calibration.brier_reweighted
    assert brier.value == pytest.approx(np.average(squared, weights=weights))
    assert brier.low < brier.value < brier.high
    expected = expected_calibration_error(cases["probability"], cases["label"], weights=weights)
    error = calibration.expected_calibration_error_reweighted
    assert error.value == pytest.approx(expected)
    assert error.n == brier.n == 120


def test_the_interval_of_the_calibration_error_holds_it():
    """Probabilities that mean what they say: the resamples' errors lie above the cohort's."""
    cases = made_cases(400)
    left_out = 0
    for seed in range(6):
        said = np.random.default_rng(seed).beta(1, 4, 400)
        true = np.random.default_rng(100 + seed).random(400) < said
        table = cases.assign(probability=said, label=true.astype(int))
        calibration = figures_of(table, calibrated_for=0.3).calibration
        for error in (
            calibration.expected_calibration_error,
            calibration.expected_calibration_error_reweighted,
        ):
            assert 0 <= error.low <= error.value <= error.high <= 1
        plain = bootstrap_interval(
            expected_calibration_error, said, true, groups=table["group"], n_resamples=100
        )
        left_out += not plain.low <= plain.value <= plain.high
    assert left_out > 0


def test_a_cohort_of_normals_has_what_it_can_have():
    cases = made_cases()
    figures = figures_of(cases[cases["label"] == 0], calibrated_for=0.1)
    assert figures.discrimination.auc is None
    assert figures.discrimination.average_precision is None
    assert figures.segmentation.dice_positives is None
    assert figures.calibration.brier_reweighted is None
    point = figures.operating_points[0]
    assert point.sensitivity is None
    assert point.specificity.n == 90
    assert point.dice_kaggle.value == pytest.approx(1 - point.normals_with_mask.value)


def test_the_seed_decides():
    cases = made_cases()
    first = figures_of(cases, seed=3)
    assert first == figures_of(cases, seed=3)
    assert first != figures_of(cases, seed=4)


def test_bad_tables_are_refused():
    cases = made_cases()
    with pytest.raises(DataError, match="lacks the columns iou"):
        figures_of(cases.drop(columns="iou"))
    with pytest.raises(DataError, match="no operating point 'other'"):
        summarise(cases, POINTS, "other")
    with pytest.raises(DataError, match="no prediction"):
        figures_of(refuse(cases, list(range(120))))
    with pytest.raises(DataError, match="label 0 or 1"):
        figures_of(cases.assign(label=2))
