"""One model's finding, another model's mask."""

import numpy as np
import pytest

from pleura.cli.main import main
from pleura.errors import ModelError, OutputError
from pleura.export.joined import join
from pleura.export.release import ExportOptions, export_run
from pleura.inference import Manifest, Predictor
from pleura.inference.manifest import MANIFEST_NAME, Preprocessing, sha256_of
from pleura.inference.selftest import compare
from pleura.training.run import train
from tiny_model import SIZE, radiograph, write_model
from tiny_run import config

SMALLER = 32


@pytest.fixture(scope="module")
def smaller(data, joint, tmp_path_factory):
    """Run folder of a joint U-Net at another size than the tiny model's."""
    sizes = (f"schedule.sizes=[[0, {SMALLER}]]", f"preprocessing.size={SMALLER}")
    return train(config(data, tmp_path_factory.mktemp("runs") / "smaller", *joint, *sizes))


@pytest.fixture(scope="module", params=[None, 0.5], ids=["features", "mask evidence"])
def segmenter(request, smaller, tmp_path_factory):
    """Model folder of that network, cut behind its encoder, and cut before its last layer."""
    folder = tmp_path_factory.mktemp("models") / "place"
    export_run(smaller, folder, ExportOptions(licence="B", mask_evidence=request.param))
    return folder


def test_the_finding_is_one_s_and_the_mask_is_the_other_s(segmenter, tmp_path):
    tiny = write_model(tmp_path / "tiny")
    manifest = join(tiny, segmenter, tmp_path / "both", "both", "2.0")
    finding, place = Predictor.load(tiny, threads=1), Predictor.load(segmenter, threads=1)
    both = Predictor.load(tmp_path / "both", threads=1)
    for box in ((60, 40, 120, 100), None):
        case = radiograph(box=box)
        raw = both.predict_raw(case)
        assert raw.logit == finding.predict_raw(case).logit
        expected = place.predict_raw(case)
        np.testing.assert_allclose(raw.network_map, expected.network_map, atol=1e-6)
        assert raw.letterbox == expected.letterbox
    assert manifest.preprocessing.size == SIZE
    assert manifest.segmenter_preprocessing == Preprocessing(size=SMALLER, mean=0.45, std=0.23)
    assert (manifest.name, manifest.version) == ("both", "2.0")
    for field in ("calibration", "operating_points", "default_operating_point"):
        assert getattr(manifest, field) == getattr(finding.manifest, field)
    assert manifest.mask == place.manifest.mask


def test_below_the_operating_point_the_segmenter_rests(segmenter, tmp_path):
    join(write_model(tmp_path / "tiny"), segmenter, tmp_path / "both", "both", "1")
    both = Predictor.load(tmp_path / "both", threads=1)
    negative, positive = both.predict(radiograph(box=None)), both.predict(radiograph())
    assert (negative.segmented, positive.segmented) == (False, True)
    assert positive.probability_map.shape == (300, 240)


def test_the_folder_says_whose_it_is_and_claims_nothing(segmenter, tmp_path):
    tiny = write_model(tmp_path / "tiny")
    manifest = join(tiny, segmenter, tmp_path / "both", "both", "1")
    assert manifest.training == {
        "joined_classifier": "tiny 0.0.1",
        "joined_classifier_sha256": sha256_of(tiny / MANIFEST_NAME),
        "joined_segmenter": "place 1",
        "joined_segmenter_sha256": sha256_of(segmenter / MANIFEST_NAME),
    }
    assert (manifest.performance, manifest.performance_cohort) == ({}, "")
    assert manifest.licence == "classifier: ; segmenter: B"
    both = Predictor.load(tmp_path / "both", threads=1)
    assert len(manifest.selftest) == 4
    assert all(compare(both, case).agrees for case in manifest.selftest)


def test_what_the_two_trainings_agree_on_is_kept(segmenter, tmp_path):
    place = Manifest.read(segmenter)
    manifest = join(segmenter, segmenter, tmp_path / "twice", "twice", "1")
    for key in ("split", "validation_fold", "data_fingerprint"):
        assert manifest.training[key] == place.training[key]
    assert manifest.licence == "B"


def test_a_joined_model_lends_its_mask_again(segmenter, tmp_path):
    tiny = write_model(tmp_path / "tiny")
    join(tiny, segmenter, tmp_path / "both", "both", "1")
    again = join(tiny, tmp_path / "both", tmp_path / "again", "again", "1")
    assert again.segmenter_preprocessing == Manifest.read(segmenter).preprocessing
    first, second = (Predictor.load(tmp_path / name, threads=1) for name in ("both", "again"))
    maps = [predictor.predict_raw(radiograph()).network_map for predictor in (first, second)]
    np.testing.assert_array_equal(*maps)


def test_mirror_images_are_averaged_by_both_or_by_neither(segmenter, smaller, tmp_path):
    tiny = write_model(tmp_path / "tiny", flip_average=True, lopsided=True)
    with pytest.raises(ModelError, match="do not agree on averaging mirror images"):
        join(tiny, segmenter, tmp_path / "both", "both", "1")
    export_run(smaller, tmp_path / "flipped", ExportOptions(flip_average=True))
    join(tiny, tmp_path / "flipped", tmp_path / "both", "both", "1")
    case = radiograph()
    expected = Predictor.load(tmp_path / "flipped", threads=1).predict_raw(case)
    raw = Predictor.load(tmp_path / "both", threads=1).predict_raw(case)
    np.testing.assert_allclose(raw.network_map, expected.network_map, atol=1e-6)


def test_a_folder_that_holds_a_model_is_left_alone(segmenter, tmp_path):
    tiny = write_model(tmp_path / "tiny")
    before = sha256_of(tiny / MANIFEST_NAME)
    with pytest.raises(OutputError, match="holds a model already"):
        join(tiny, segmenter, tiny, "both", "1")
    assert sha256_of(tiny / MANIFEST_NAME) == before


def test_a_damaged_model_is_not_joined(segmenter, tmp_path):
    tiny = write_model(tmp_path / "tiny")
    (tiny / "segmenter.onnx").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="SHA-256"):
        join(tiny, segmenter, tmp_path / "both", "both", "1")
    assert not (tmp_path / "both").exists()


def test_a_segmenter_apart_must_not_ask_for_the_classifier_s_features(tmp_path):
    tiny = write_model(tmp_path / "tiny")
    manifest = Manifest.read(tiny)
    apart = Preprocessing(size=SMALLER, mean=0, std=1)
    manifest.model_copy(update={"segmenter_preprocessing": apart}).write(tiny)
    with pytest.raises(ModelError, match="asks for 'features', which nothing gives"):
        Predictor.load(tiny)


def test_the_command(segmenter, tmp_path, capsys):
    tiny = write_model(tmp_path / "tiny")
    with pytest.raises(SystemExit) as ended:
        main(["models", "join", str(tiny), str(segmenter), "-o", str(tmp_path / "both")])
    assert not ended.value.code
    assert "both 1 written to" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["models", "show", str(tmp_path / "both")])
    shown = capsys.readouterr().out
    assert f"{SMALLER} x {SMALLER}, grey" in shown
    assert "training.joined_segmenter place 1" in " ".join(shown.split())
