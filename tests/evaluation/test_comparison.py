"""Two evaluations held together: against plain sums, by a plain bootstrap, and what is refused."""

import numpy as np
import pytest
from scipy.stats import binomtest

from evaluation_cases import POINTS, evaluation, made_cases, other_model, refuse
from pleura.errors import DataError
from pleura.evaluation import compare, read_evaluation, write_report
from pleura.metrics import delong_difference, roc_auc


@pytest.fixture(scope="module")
def pair():
    first = made_cases()
    return evaluation(first), evaluation(other_model(first).sample(frac=1.0, random_state=0))


def figures_of(comparison):
    return {figure.name: figure for figure in comparison.figures}


def test_values_and_differences_are_plain_means(pair):
    found = compare(*pair, n_resamples=200)
    one = pair[0].cases
    other = pair[1].cases.set_index("image_id").loc[one["image_id"]].reset_index()
    label = one["label"] == 1
    expected = {"auc": [], "dice_positives": [], "end_to_end_dice_positives": []}
    expected |= {"brier": [], "sensitivity": [], "specificity": []}
    for table in (one, other):
        called = table["probability"] >= 0.5
        expected["auc"].append(roc_auc(table["probability"], label))
        expected["dice_positives"].append(table.loc[label, "dice"].mean())
        expected["end_to_end_dice_positives"].append((table["dice"] * called)[label].mean())
        expected["brier"].append(((table["probability"] - label) ** 2).mean())
        expected["sensitivity"].append(called[label].mean())
        expected["specificity"].append((~called)[~label].mean())
    figures = figures_of(found)
    assert list(figures) == list(expected)
    for name, (first, second) in expected.items():
        assert figures[name].first.value == pytest.approx(first), name
        assert figures[name].second.value == pytest.approx(second), name
        assert figures[name].difference.value == pytest.approx(second - first), name
        assert figures[name].difference.low <= second - first <= figures[name].difference.high
    sizes = {name: figure.difference.n for name, figure in figures.items()}
    assert sizes["auc"] == sizes["brier"] == 120
    assert sizes["sensitivity"] == sizes["dice_positives"] == 30
    assert sizes["specificity"] == 90
    assert (found.counts.images, found.counts.patients) == (120, 60)
    delong = delong_difference(one["probability"], other["probability"], label)
    assert found.auc_delong.p_value == pytest.approx(delong.p_value)
    assert found.auc_delong.difference == delong.difference


def test_the_bootstrap_draws_patients_and_keeps_pairs(pair):
    """Percentiles of a plain loop that draws patients with replacement, both models together."""
    found = figures_of(compare(*pair, n_resamples=2000))
    joined = pair[0].cases.merge(pair[1].cases, on="image_id", suffixes=("", "_other"))
    label = joined["label"].to_numpy() == 1
    one, other = (joined[name].to_numpy() for name in ("probability", "probability_other"))
    squared = (other - label) ** 2 - (one - label) ** 2
    _, group = np.unique(joined["group"], return_inverse=True)
    members = [np.flatnonzero(group == number) for number in range(60)]
    generator = np.random.default_rng(9)
    areas, briers = [], []
    for _ in range(500):
        rows = np.concatenate([members[i] for i in generator.integers(60, size=60)])
        areas.append(roc_auc(other[rows], label[rows]) - roc_auc(one[rows], label[rows]))
        briers.append(squared[rows].mean())
    for name, drawn in (("auc", areas), ("brier", briers)):
        low, high = np.quantile(drawn, [0.025, 0.975])
        width = high - low
        assert found[name].difference.low == pytest.approx(low, abs=0.15 * width)
        assert found[name].difference.high == pytest.approx(high, abs=0.15 * width)


def test_decisions_are_counted_and_tested(pair):
    found = compare(*pair, "sensitive", n_resamples=100)
    assert (found.operating_point, found.first.threshold) == ("sensitive", 0.2)
    one = pair[0].cases.set_index("image_id")
    other = pair[1].cases.set_index("image_id").loc[one.index]
    for test, value in zip(found.decisions, (1, 0), strict=True):
        among = one["label"] == value
        right = [(t["probability"] >= 0.2) == (value == 1) for t in (one, other)]
        alone = [int((a & ~b)[among].sum()) for a, b in (right, right[::-1])]
        assert [test.only_first_right, test.only_second_right] == alone
        assert test.p_value == pytest.approx(binomtest(alone[0], sum(alone)).pvalue)
    assert [test.among for test in found.decisions] == ["positives", "negatives"]


def test_each_model_decides_at_its_own_threshold(pair):
    strict = (POINTS[0].model_copy(update={"threshold": 0.999}),)
    found = compare(pair[0], evaluation(pair[0].cases, strict), n_resamples=100)
    figures = figures_of(found)
    assert figures["sensitivity"].second.value == 0.0
    assert figures["specificity"].second.value == 1.0
    assert figures["auc"].difference.value == 0.0
    assert figures["end_to_end_dice_positives"].second.value == 0.0


def test_a_model_does_not_differ_from_itself(pair):
    found = compare(pair[0], pair[0], n_resamples=100)
    assert found.auc_delong.p_value == 1.0
    assert {test.p_value for test in found.decisions} == {1.0}
    assert {figure.difference.value for figure in found.figures} == {0.0}
    assert len(found.notes) == 1
    assert "several images" in found.notes[0]


def test_images_that_only_one_side_has_are_counted_and_left_out(pair):
    cases = refuse(pair[1].cases.sort_values("image_id").reset_index(drop=True), [3, 4])
    found = compare(
        evaluation(pair[0].cases.iloc[10:].reset_index(drop=True)),
        evaluation(cases.iloc[:100].reset_index(drop=True)),
        n_resamples=100,
    )
    assert found.counts.only_in_first == 20
    assert found.counts.only_in_second == 10
    assert found.counts.images == 90
    assert found.counts.not_predicted == 0
    found = compare(pair[0], evaluation(cases), n_resamples=100)
    assert (found.counts.images, found.counts.not_predicted) == (118, 2)


def test_one_class_leaves_undefined_what_needs_two():
    cases = made_cases()
    normals = cases[cases["label"] == 0].reset_index(drop=True)
    found = compare(evaluation(normals), evaluation(other_model(normals)), n_resamples=100)
    figures = figures_of(found)
    assert found.auc_delong.p_value is None
    assert figures["auc"].difference is figures["sensitivity"].first is None
    assert figures["dice_positives"].difference is None
    assert figures["specificity"].difference is not None
    assert [test.among for test in found.decisions] == ["negatives"]


def test_what_must_be_known_is_noted(pair):
    cases = pair[1].cases.assign(group=lambda table: "site-" + table["group"])
    found = compare(pair[0], evaluation(cases, calibrated_for=0.08, fingerprint="a" * 64))
    text = " ".join(found.notes)
    for wanted in ("name patients differently", "0.22 and 0.08", "different indexes"):
        assert wanted in text


def test_what_cannot_be_compared_is_refused(pair):
    first, cases = pair[0], pair[0].cases
    with pytest.raises(DataError, match="share no image: 120 and 120"):
        compare(first, evaluation(cases.assign(image_id="x" + cases["image_id"])))
    turned = cases.assign(label=cases["label"].where(cases.index > 2, 1 - cases["label"]))
    with pytest.raises(DataError, match="3 of the 120 images that both share have different") as e:
        compare(first, evaluation(turned))
    assert "image-0" not in str(e.value)
    with pytest.raises(DataError, match="no operating point 'nowhere'") as e:
        compare(first, pair[1], "nowhere")
    assert "balanced, sensitive" in e.value.hint
    halves = [refuse(cases, list(places)) for places in (range(60), range(60, 120))]
    with pytest.raises(DataError, match="no image that both models"):
        compare(*map(evaluation, halves))


def test_what_was_written_is_read_back(tmp_path):
    """Identifiers that look like numbers, or like nothing, stay what they are."""
    cases = refuse(made_cases(40), [1])
    cases["image_id"] = [f"{i:03d}" for i in range(39)] + ["NA"]
    cases["group"] = [f"{i // 2:05d}" for i in range(40)]
    made = evaluation(cases)
    write_report(made.report, cases, tmp_path / "out")
    for path in (tmp_path / "out", tmp_path / "out" / "report.json"):
        read = read_evaluation(path)
        assert list(read.cases["image_id"]) == list(cases["image_id"])
        assert list(read.cases["group"]) == list(cases["group"])
        assert read.cases["error_code"][1] == "truncated"
        assert read.cases["error_code"][0] == ""
        assert read.cases["probability"].to_numpy() == pytest.approx(
            cases["probability"], rel=1e-8, nan_ok=True
        )
    with pytest.raises(DataError, match=r"report\.json"):
        read_evaluation(tmp_path / "out" / "nowhere")
    cases.iloc[:9].to_csv(tmp_path / "out" / "predictions.csv", index=False)
    with pytest.raises(DataError, match="not of the same images"):
        read_evaluation(tmp_path / "out")
    (tmp_path / "out" / "predictions.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="not a table of cases"):
        read_evaluation(tmp_path / "out")
