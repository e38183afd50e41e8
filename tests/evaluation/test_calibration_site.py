"""A site's calibration: what is fitted, what is cross-validated, what is refused."""

import math

import numpy as np
import pandas as pd
import pytest

from evaluation_cases import refuse
from pleura.data.columns import COLUMNS, conform
from pleura.data.index import Index
from pleura.errors import DataError, TooFewCasesError
from pleura.evaluation import choose_calibration, choose_operating_points, fit_site
from pleura.evaluation.calibration import FOLDS, patient_folds
from pleura.evaluation.site_calibration import (
    LEAST_NEGATIVE_PATIENTS,
    LEAST_POSITIVE_PATIENTS,
    calibrate_site,
    require_enough,
    trained_on,
)
from pleura.inference.manifest import Component, Manifest, OperatingPoint, Preprocessing
from pleura.inference.postprocess import calibrated_probability
from pleura.metrics import brier_score, expected_calibration_error, prevalence_weights


def site_cases(n=400, seed=0, share=0.25, shift=2.0):
    """Logits that are too high by `shift` for the share of positives; two images a patient."""
    generator = np.random.default_rng(seed)
    label = np.repeat(np.arange(n // 2) % round(1 / share) == 0, 2)
    logit = generator.normal(np.where(label, 1.2, -1.2), 1.3) + shift
    return pd.DataFrame(
        {
            "image_id": [f"image-{i}" for i in range(n)],
            "group": [f"patient-{i // 2}" for i in range(n)],
            "status": "ok",
            "error_code": "",
            "label": label.astype(int),
            "logit": logit,
            "probability": 1 / (1 + np.exp(-logit)),
            "dice": np.nan,
            "iou": np.nan,
        }
    )


def test_what_is_fitted_is_the_choice_on_all_cases():
    cases = site_cases()
    site = fit_site(cases, 0.08, where=" of the split 'test'", n_resamples=100)
    label, group = cases["label"], cases["group"]
    expected = choose_calibration(cases["logit"], label, group, 0.08, cohort=site.cohort)
    assert site.calibration == expected
    assert site.cohort == "400 images of 200 patients of the split 'test' (100 positive)"
    said = [calibrated_probability(float(logit), expected) for logit in cases["logit"]]
    points = choose_operating_points(
        said, label, groups=group, cohort=f"{site.cohort}, on which it was chosen"
    )
    assert site.operating_points == points
    assert [point.name for point in site.operating_points] == [p.name for p in site.left_out]


def test_the_figures_after_are_of_patients_left_out():
    """The whole choice anew without each fold, written out."""
    cases = site_cases()
    site = fit_site(cases, 0.1, n_resamples=100)
    logit, label = cases["logit"].to_numpy(), cases["label"].to_numpy() == 1
    group = cases["group"].to_numpy(dtype=np.str_)
    fold = patient_folds(label, group)
    said, called = np.empty(len(cases)), np.empty(len(cases), bool)
    for number in range(FOLDS):
        out = fold == number
        fitted = choose_calibration(logit[~out], label[~out], group[~out], 0.1)
        said[out] = [calibrated_probability(float(x), fitted) for x in logit[out]]
        inside = [calibrated_probability(float(x), fitted) for x in logit[~out]]
        called[out] = said[out] >= choose_operating_points(inside, label[~out])[0].threshold
    weights = prevalence_weights(label, 0.1)
    assert site.after.brier.value == pytest.approx(brier_score(said, label, weights))
    error = expected_calibration_error(said, label, weights=weights)
    assert site.after.error.value == pytest.approx(error)
    old = cases["probability"]
    assert site.before.brier.value == pytest.approx(brier_score(old, label, weights))
    assert site.left_out[0].name == "sensitive"
    assert site.left_out[0].sensitivity.value == pytest.approx(called[label].mean())
    assert site.left_out[0].specificity.value == pytest.approx((~called[~label]).mean())
    assert site.after.brier.value < site.before.brier.value
    assert site.after.error.value < 0.5 * site.before.error.value


def test_the_prevalence_is_that_of_the_images_unless_it_is_stated():
    cases = site_cases()
    own, stated = fit_site(cases, n_resamples=100), fit_site(cases, 0.02, n_resamples=100)
    assert own.prevalence == own.calibration.prevalence == 0.25
    assert stated.calibration.prevalence == 0.02
    for site, aim in ((own, 0.25), (stated, 0.02)):
        said = [calibrated_probability(float(x), site.calibration) for x in cases["logit"]]
        weights = prevalence_weights(cases["label"], aim)
        assert np.average(said, weights=weights) == pytest.approx(aim, abs=0.01)
    with pytest.raises(ValueError, match="prevalence"):
        fit_site(cases, 1.0)


def test_images_without_a_prediction_are_counted_by_code():
    site = fit_site(refuse(site_cases(), [2, 3, 4]), n_resamples=100)
    assert dict(site.refused) == {"truncated": 3}
    assert site.images == 397


def of_patients(positive, negative, images=3):
    label = [1] * positive * images + [0] * negative * images
    group = [i // images for i in range((positive + negative) * images)]
    return pd.DataFrame({"label": label, "group": group})


def test_patients_are_counted_and_not_images():
    require_enough(of_patients(LEAST_POSITIVE_PATIENTS, LEAST_NEGATIVE_PATIENTS, 1), "are there")
    for positive, negative in ((49, 100), (50, 99)):
        with pytest.raises(TooFewCasesError) as caught:
            require_enough(of_patients(positive, negative), "have a label")
        said = f"{positive} patients with and {negative} patients without pneumothorax have a label"
        assert said in caught.value.message
        assert "50 and 100 are needed" in caught.value.message
        assert caught.value.code == "too_few_cases"


def test_the_least_numbers_are_those_of_the_stated_errors():
    error = {n: math.sqrt(0.95 * 0.05 / n) for n in (20, 50, 100)}
    assert [round(value, 3) for value in error.values()] == [0.049, 0.031, 0.022]


def test_images_that_cannot_be_judged_count_for_nothing():
    cases = site_cases(n=400)
    with pytest.raises(TooFewCasesError, match="49 patients with and 150 patients without"):
        fit_site(refuse(cases, [0, 1]))


def test_a_logit_that_tells_nothing_is_refused():
    cases = site_cases()
    with pytest.raises(DataError, match="does not rise"):
        fit_site(cases.assign(logit=-cases["logit"]))


def made_index(split, fold):
    missing = {"str": "", "float64": np.nan}
    rows = [
        {column.name: missing.get(column.dtype, pd.NA) for column in COLUMNS}
        | {"image_id": f"{i}", "split": s, "fold": f, "group": f"{i}", "group_known": True}
        | {"label": i % 2}
        for i, (s, f) in enumerate(zip(split, fold, strict=True))
    ]
    return Index(conform(pd.DataFrame(rows)), None, "made")


def manifest(**training):
    component = Component(file="x.onnx", sha256="0" * 64)
    return Manifest(
        schema="pleura.model/1",
        name="made",
        version="1",
        preprocessing=Preprocessing(size=8, mean=0.0, std=1.0),
        classifier=component,
        segmenter=component,
        operating_points=(OperatingPoint(name="a", threshold=0, sensitivity=1, specificity=0),),
        default_operating_point="a",
        training=training,
    )


def test_images_of_the_training_are_known_by_the_fingerprint_of_the_index():
    index = made_index(["train", "train", "train", "test"], [0, 1, pd.NA, pd.NA])
    known = {"data_fingerprint": index.fingerprint, "split": "train"}
    trained = trained_on(manifest(**known, validation_fold=0), index, index.table)
    assert list(trained) == [False, True, True, False]
    for record in (known, known | {"validation_fold": None}):
        assert list(trained_on(manifest(**record), index, index.table)) == [True] * 3 + [False]
    assert trained_on(manifest(**known | {"data_fingerprint": "0"}), index, index.table) is None
    assert trained_on(manifest(), index, index.table) is None


class Model:
    def __init__(self, record):
        self.manifest = record


def test_images_of_the_training_are_refused():
    index = made_index(["train"] * 3 + ["test"], [0, 1, 1, pd.NA])
    record = manifest(data_fingerprint=index.fingerprint, split="train", validation_fold=0)
    with pytest.raises(DataError, match="trained on 2 of these 4 images"):
        calibrate_site(Model(record), index)
    with pytest.raises(TooFewCasesError):
        calibrate_site(Model(record), index, "test")
