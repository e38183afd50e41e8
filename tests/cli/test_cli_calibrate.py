"""`pleura calibrate` from files to a model that predicts, and what it refuses."""

import json
import re

import cv2
import numpy as np
import pandas as pd
import pytest

from pleura.cli.main import main
from pleura.data.columns import COLUMNS, conform
from pleura.data.index import Index, write_index
from pleura.inference import Manifest, Predictor
from pleura.inference.manifest import Estimate, SelftestCase
from pleura.inference.selftest import compare
from tiny_model import write_model

POSITIVES, NEGATIVES, BAD = 55, 110, 2


def draw(path, positive, generator):
    """A bright square, larger on most positives: the tiny model reckons with brightness."""
    picture = np.zeros((256, 256), np.uint8)
    side = int(np.clip(generator.normal(60 if positive else 45, 8), 10, 120))
    picture[40 : 40 + side, 60 : 60 + side] = 255
    picture[::2, ::2] += 3
    cv2.imwrite(str(path), picture)


def made_index(root):
    """A site's files, one a patient; two negatives cannot be read, ten rows stand in `spare`."""
    generator = np.random.default_rng(0)
    missing = {"str": "", "float64": np.nan}
    rows = []
    for number in range(POSITIVES + NEGATIVES + BAD + 10):
        positive = number < POSITIVES
        name = f"secret-{number}"
        draw(root / f"{name}.png", positive, generator)
        spare = number >= POSITIVES + NEGATIVES + BAD
        rows.append(
            {column.name: missing.get(column.dtype, pd.NA) for column in COLUMNS}
            | {"image_id": name, "path": f"{name}.png", "label": int(positive)}
            | {"group": f"hash-{number}", "group_known": number > 3, "rle": "-1"}
            | {"split": "spare" if spare else "test"}
        )
    (root / rows[POSITIVES]["path"]).write_bytes(b"no picture")
    rows[POSITIVES + 1]["path"] = ""
    return Index(conform(pd.DataFrame(rows)), root, "made")


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def claims(model):
    """A model as released: self-test, measured figures, a card, a parity report."""
    write_model(
        model, selftest=(SelftestCase(seed=1, pneumothorax=True, probability=0, area_px=0),)
    )
    estimate = Estimate(value=0.9, low=0.8, high=0.95, n=50)
    names = ("test_auc", "test_sensitivity", "test_dice_positives", "test_normals_with_mask")
    names += ("test_end_to_end_dice_positives", "test_expected_calibration_error", "site_auc")
    Manifest.read(model).model_copy(
        update={"performance": dict.fromkeys(names, estimate), "performance_cohort": "old cases"}
    ).write(model)
    (model / "README.md").write_text("# tiny\nSensitivity 0.8.\n")
    (model / "parity.json").write_text("{}")
    return model


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Index and model, and the folder that the command wrote."""
    root = tmp_path_factory.mktemp("site")
    write_index(made_index(root), root / "index.parquet")
    claims(root / "tiny")
    return root


@pytest.fixture(scope="module")
def words(site):
    made = ["calibrate", "--data", site / "index.parquet", "--model", site / "tiny"]
    return [*made, "--split", "test", "--threads", 1, "--resamples", 100]


@pytest.fixture(scope="module")
def written(site, words):
    with pytest.MonkeyPatch.context() as patch:
        said = []
        patch.setattr("pleura.cli.calibrate.say", said.append)
        options = ["-o", site / "new", "--version", "0.0.1-site", "--prevalence", 0.1]
        status = call(*words, *options)
    assert status == 0, said
    return "\n".join(said)


def test_the_command_says_what_it_did(written):
    for wanted in (
        "tiny 0.0.1 on 165 images of 165 patients of the split 'test' (55 positive)",
        "calibrated for a prevalence of 0.100, as asked",
        "left out, not judged: 2 (data_error 1, not_an_image 1)",
        "cannot be told",
        "The patient of 4 images is not known",
        "Wrote tiny 0.0.1-site",
        "not a medical device",
    ):
        assert wanted in written, wanted
    assert "secret" not in written
    assert "hash" not in written
    scores = {
        name: float(re.search(rf"{name} +([\d.]+)", written)[1])
        for name in ("Brier score, before", "Brier score, after")
    }
    assert scores["Brier score, after"] < scores["Brier score, before"]
    for name in ("sensitive", "balanced", "specific"):
        assert f"'{name}' from" in written


def test_the_new_model_predicts_and_passes_its_selftest(site, written, capsys):
    assert call("predict", site / "secret-1.png", "--model", site / "new", "--jsonl") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["model"]["version"] == "0.0.1-site"
    predictor = Predictor.load(site / "new", threads=1)
    expected = predictor.predict(site / "secret-1.png")
    assert result["probability"] == pytest.approx(expected.probability, abs=1e-6)
    old = Predictor.load(site / "tiny", threads=1).predict_raw(site / "secret-1.png")
    raw = predictor.predict_raw(site / "secret-1.png")
    assert raw.logit == old.logit
    assert raw.probability != old.probability
    (case,) = predictor.manifest.selftest
    assert compare(predictor, case).agrees
    assert case.probability > 0


def test_the_new_manifest_claims_nothing_of_the_old_points(site, written):
    old, new = Manifest.read(site / "tiny"), Manifest.read(site / "new")
    assert (new.name, new.version, new.preprocessing) == (old.name, "0.0.1-site", old.preprocessing)
    assert new.classifier == old.classifier
    assert new.calibration.prevalence == 0.1
    assert new.calibration.fitted_on.startswith("165 images of 165 patients of the split 'test'")
    assert [point.name for point in new.operating_points] == ["sensitive", "balanced", "specific"]
    assert all("165 images" in point.cohort for point in new.operating_points)
    kept = {name for name in new.performance if not name.startswith("site_")}
    ranks = set() if new.calibration.method == "isotonic" else {"test_auc"}
    assert kept == {"test_dice_positives"} | ranks
    assert new.performance["site_auc"].n == 165
    assert new.performance["site_balanced_sensitivity"].n == POSITIVES
    assert "cross-validated" in new.performance_cohort
    assert "others, of tiny 0.0.1: old cases" in new.performance_cohort
    assert new.training["recalibrated_from"] == "tiny 0.0.1"
    card = (site / "new" / "README.md").read_text()
    assert card.startswith("This is version 0.0.1-site")
    assert card.endswith("Sensitivity 0.8.\n")
    files = {path.name for path in (site / "new").iterdir()}
    assert files == {path.name for path in (site / "tiny").iterdir()}


def test_too_few_patients_are_refused_before_any_is_judged(site, words, capsys, tmp_path):
    words = ["spare" if word == "test" else word for word in words]
    assert call(*words, "-o", tmp_path / "new", "--version", "2") == 2
    error = capsys.readouterr().err
    assert "Images of 0 patients with and 10 patients without pneumothorax have a label" in error
    assert "50 and 100 are needed" in error
    assert "[too_few_cases]" in error
    assert not (tmp_path / "new").exists()


def test_no_model_is_overwritten_and_no_version_given_twice(site, words, written, capsys, tmp_path):
    assert call(*words, "-o", site / "tiny", "--version", "2") == 4
    assert "holds a model already" in capsys.readouterr().err
    assert call(*words, "-o", tmp_path / "new", "--version", "0.0.1") == 2
    assert "version '0.0.1', too" in capsys.readouterr().err
    assert call(*words, "-o", tmp_path / "new", "--version", "2", "--prevalence", 1.5) == 2
