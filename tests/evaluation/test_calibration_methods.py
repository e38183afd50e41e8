"""Temperature and isotonic by numbers that can be checked by hand, and the choice among methods."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pleura.evaluation import choose_calibration, fit_isotonic, fit_temperature
from pleura.evaluation.calibration import FOLDS, METHODS, _choose, patient_folds
from pleura.inference.manifest import Calibration, Manifest
from pleura.inference.postprocess import calibrated_probability
from pleura.metrics import prevalence_weights


def log_odds(share):
    return math.log(share / (1 - share))


def test_a_temperature_by_hand():
    """Eight cases at logit 2 and -2, six of them right: Platt's targets pull 3/4 to 2/3.

    At +2 three positives (target 5/6) and one negative (1/6): the mean target is 2/3; at -2 it is
    1/3. So sigmoid(2 / T) = 2/3, and 1 / T = log(2) / 2.
    """
    logits = [2.0] * 4 + [-2.0] * 4
    labels = [1, 1, 1, 0, 0, 0, 0, 1]
    slope, intercept = fit_temperature(logits, labels)
    assert slope == pytest.approx(math.log(2) / 2, rel=1e-9)
    assert intercept == 0.0
    slope, intercept = fit_temperature(logits, labels, prevalence=0.1)
    assert slope == pytest.approx(math.log(2) / 2, rel=1e-9)
    # The cases are half positive: prior log odds 0.
    assert intercept == pytest.approx(math.log(0.1 / 0.9))


def test_the_shift_is_the_difference_of_the_prior_log_odds():
    _, intercept = fit_temperature([2.0, 1.0, -1.0, -2.0, -3.0], [1, 0, 0, 0, 0], prevalence=0.5)
    assert intercept == pytest.approx(math.log(4))


def test_a_temperature_that_is_known_is_found_and_carried_to_another_prevalence():
    generator = np.random.default_rng(0)
    logits = generator.normal(0.0, 6.0, 20_000)
    labels = generator.random(20_000) < 1 / (1 + np.exp(-logits / 3))
    slope, _ = fit_temperature(logits, labels)
    assert slope == pytest.approx(1 / 3, rel=0.03)
    slope, intercept = fit_temperature(logits, labels, prevalence=0.1)
    fitted = Calibration(method="temperature", slope=slope, intercept=intercept, prevalence=0.1)
    said = np.array([calibrated_probability(float(logit), fitted) for logit in logits])
    assert np.average(said, weights=prevalence_weights(labels, 0.1)) == pytest.approx(0.1, abs=5e-3)


def test_logits_that_point_the_wrong_way_have_no_temperature():
    with pytest.raises(ValueError, match="no positive temperature"):
        fit_temperature([2.0, 1.0, -1.0, -2.0], [0, 0, 1, 1])


def test_isotonic_by_hand():
    """Targets 4/5 and 1/5; the labels 1, 0 at logits 2 and 3 are pooled: (4/5 + 1/5) / 2 at 2.5."""
    knots = fit_isotonic([1.0, 2.0, 3.0, 4.0, 1.5, 6.0], [0, 1, 0, 1, 0, 1])
    flat = [value for knot in knots for value in knot]
    assert flat == pytest.approx([1.25, 0.2, 2.5, 0.5, 5.0, 0.8])
    fitted = Calibration(method="isotonic", knots=knots)
    for logit, probability in ((-9, 0.2), (1.25, 0.2), (1.875, 0.35), (3.75, 0.65), (99, 0.8)):
        assert calibrated_probability(logit, fitted) == pytest.approx(probability)


def test_isotonic_at_a_prevalence_by_hand():
    """At prevalence 1/5 a positive weighs 0.4 and a negative 1.6: (0.4 * 4/5 + 1.6 * 1/5) / 2."""
    knots = fit_isotonic([1.0, 2.0, 3.0, 4.0, 1.5, 6.0], [0, 1, 0, 1, 0, 1], 0.2)
    assert knots[1] == pytest.approx(((0.4 * 2.0 + 1.6 * 3.0) / 2.0, 0.32))


def test_equal_logits_are_one_place():
    assert len(fit_isotonic([0.0, 0.0, 1.0, 1.0], [0, 1, 1, 1])) == 2


def test_isotonic_needs_two_blocks():
    with pytest.raises(ValueError, match="one block"):
        fit_isotonic([2.0, 1.0, -1.0, -2.0], [0, 0, 1, 1])


@settings(max_examples=25, deadline=None)
@given(st.integers(4, 80), st.integers(0, 10_000), st.sampled_from([None, 0.05, 0.5]))
def test_the_blocks_are_those_of_the_min_max_formula(n, seed, prevalence):
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 2 == 0
    logits = np.round(generator.normal(labels * 2.0, 1.0), 1)
    try:
        knots = fit_isotonic(logits, labels, prevalence)
    except ValueError:
        return
    weights = np.ones(n) if prevalence is None else prevalence_weights(labels, prevalence)
    positives, negatives = labels.sum(), (~labels).sum()
    target = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    places = np.unique(logits)
    mass = np.array([weights[logits == place].sum() for place in places])
    mean = np.array([np.average(target[logits == x], weights=weights[logits == x]) for x in places])

    def pooled(first, last):
        return np.average(mean[first : last + 1], weights=mass[first : last + 1])

    # Barlow et al. (1972): the largest over first of the least over last of the pooled means.
    count = range(len(places))
    expected = [max(min(pooled(i, j) for j in count[k:]) for i in count[: k + 1]) for k in count]
    assert np.unique(np.round(expected, 9)) == pytest.approx([y for _, y in knots], abs=1e-8)
    fitted = Calibration(method="isotonic", knots=knots)
    said = [calibrated_probability(x, fitted) for x in np.linspace(-9, 9, 400)]
    assert (np.diff(said) >= 0).all()
    assert 0 < said[0] < said[-1] < 1


@pytest.mark.parametrize("fit", [fit_temperature, fit_isotonic])
@pytest.mark.parametrize(
    ("logits", "labels", "sentence"),
    [
        ([1.0, 2.0], [1, 1], "both classes"),
        ([1.0, 1.0], [0, 1], "equal"),
        ([1.0], [0, 1], "one for each label"),
        ([1.0, np.nan], [0, 1], "finite"),
    ],
)
def test_bad_arguments_are_refused(fit, logits, labels, sentence):
    with pytest.raises(ValueError, match=sentence):
        fit(logits, labels)


@pytest.mark.parametrize("fit", [fit_temperature, fit_isotonic])
@pytest.mark.parametrize("prevalence", [0.0, 1.0, -0.2])
def test_a_prevalence_that_is_none_is_refused(fit, prevalence):
    with pytest.raises(ValueError, match="prevalence must lie within"):
        fit([1.0, 2.0, 3.0], [0, 1, 1], prevalence)


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "temperature", "slope": 0.0},
        {"method": "isotonic"},
        {"method": "isotonic", "knots": ((0.0, 0.5),)},
        {"method": "isotonic", "knots": ((0.0, 0.5), (1.0, 0.5))},
        {"method": "isotonic", "knots": ((1.0, 0.1), (1.0, 0.5))},
        {"method": "isotonic", "knots": ((0.0, 0.1), (math.inf, 0.5))},
        {"method": "isotonic", "knots": ((0.0, 0.1), (1.0, 1.5))},
        {"method": "platt", "knots": ((0.0, 0.1), (1.0, 0.5))},
    ],
)
def test_a_manifest_holds_no_calibration_that_does_not_rise(fields):
    with pytest.raises(ValidationError):
        Calibration(**fields)


def test_manifests_of_earlier_versions_are_read(model_json):
    manifest = Manifest.model_validate_json(model_json)
    assert manifest.calibration.method == "platt"
    assert manifest.calibration.compared == ()


@pytest.fixture
def model_json(tmp_path):
    """A manifest with the fields that version 0.1 wrote, and no later ones."""
    from tiny_model import write_model

    folder = write_model(
        tmp_path / "m", calibration=Calibration(method="platt", slope=2.0, prevalence=0.2)
    )
    text = (folder / "manifest.json").read_text()
    for later in ('      "knots": [],', '    "knots": [],', '    "compared": []'):
        text = text.replace(later, "")
    text = text.replace('"fitted_on": "",', '"fitted_on": ""')
    assert "knots" not in text
    assert "compared" not in text
    return text


def made(n=600, apart=2.0, seed=0, share=0.4):
    """Logits that are right as they are: two normal densities of variance `apart`."""
    generator = np.random.default_rng(seed)
    labels = generator.random(n) < share
    centre = np.where(labels, apart / 2, -apart / 2)
    logits = generator.normal(centre, math.sqrt(apart)) + log_odds(share)
    return logits, labels, np.arange(n) // 2


def test_right_logits_keep_the_simplest_method():
    logits, labels, groups = made()
    chosen = choose_calibration(3 * logits, labels, groups, 0.1, cohort="600 made cases")
    assert chosen.method == "temperature"
    assert chosen.slope == pytest.approx(1 / 3, rel=0.15)
    assert chosen.prevalence == 0.1
    assert [score.method for score in chosen.compared] == list(METHODS)
    assert chosen.compared[0].gain is None
    assert chosen.fitted_on.startswith("600 made cases; temperature chosen by log loss in 5-fold")


def test_displaced_logits_take_platt():
    logits, labels, groups = made()
    chosen = choose_calibration(logits + 3.0, labels, groups, 0.1)
    assert chosen.method == "platt"
    platt = chosen.compared[1]
    assert platt.gain > platt.gain_error > 0
    assert platt.log_loss == pytest.approx(chosen.compared[0].log_loss - platt.gain)


def test_bent_logits_take_isotonic():
    logits, labels, groups = made(3000, apart=9.0)
    bent = np.where(logits > 0, logits**3, logits / 50)
    chosen = choose_calibration(bent, labels, groups, 0.4)
    assert chosen.method == "isotonic"
    order = np.argsort(bent)
    said = [calibrated_probability(float(value), chosen) for value in bent[order]]
    assert (np.diff(said) >= 0).all()


def test_a_gain_by_hand():
    """Three patients of two cases, gains 0.3 and 0.1 for positives, all else alike.

    At the cases' own prevalence the mean gain is 0.6 / 6 = 0.1. Residuals from the class mean (0.2)
    are 0.1, -0.1 and 0, so the error is sqrt(0.02 * 3 / 2) / 6.
    """
    label = np.array([True, False, True, False, True, False])
    group = np.array(["a", "a", "b", "b", "c", "c"])
    simple = np.array([0.9, 0.5, 0.7, 0.5, 0.8, 0.5])
    flexible = simple - np.array([0.3, 0.0, 0.1, 0.0, 0.2, 0.0])
    chosen, scores = _choose({"temperature": simple, "platt": flexible}, label, group, 0.5)
    assert chosen == "platt"
    assert scores[1].gain == pytest.approx(0.1)
    assert scores[1].gain_error == pytest.approx(math.sqrt(0.03) / 6)
    chosen, _ = _choose({"temperature": flexible, "platt": simple}, label, group, 0.5)
    assert chosen == "temperature"


def test_a_patient_stands_in_one_fold_and_every_fold_is_used():
    _, labels, _ = made(200)
    group = np.repeat(np.arange(50), 4).astype(str)
    fold = patient_folds(labels, group)
    assert set(fold) == set(range(FOLDS))
    for name in set(group):
        assert len(set(fold[group == name])) == 1


def test_too_few_patients_are_calibrated_by_platt_without_comparison():
    chosen = choose_calibration([1.0, -1.0, 2.0, -2.0], [1, 0, 1, 0], list("abcd"), 0.3)
    assert (chosen.method, chosen.compared) == ("platt", ())
    assert "not compared" in chosen.fitted_on


def test_logits_that_point_the_wrong_way_are_left_to_platt():
    logits, labels, groups = made(100)
    chosen = choose_calibration(-logits, labels, groups, 0.3)
    assert (chosen.method, chosen.compared) == ("platt", ())
    assert chosen.slope < 0


def test_the_choice_does_not_depend_on_the_order_of_the_cases():
    logits, labels, groups = made(150)
    turned = slice(None, None, -1)
    first = choose_calibration(logits, labels, groups, 0.2)
    second = choose_calibration(logits[turned], labels[turned], groups[turned], 0.2)
    assert first.method == second.method
    for a, b in itertools.zip_longest(first.compared, second.compared):
        assert a.log_loss == pytest.approx(b.log_loss)


def test_each_case_needs_its_group():
    with pytest.raises(ValueError, match="one value per case"):
        choose_calibration([1.0, 2.0], [0, 1], ["a"], 0.2)
