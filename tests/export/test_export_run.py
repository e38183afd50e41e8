"""From a run folder to a model folder that the Predictor serves."""

import json
import shutil
from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from pleura.cli.main import main
from pleura.data.index import read_index
from pleura.errors import ConfigError, ModelError, NotFoundError
from pleura.export import release, tuning
from pleura.export.held_out import Judged
from pleura.export.parity import Parity
from pleura.export.release import ExportOptions, export_run
from pleura.inference import Manifest, Predictor
from pleura.inference.manifest import sha256_of
from pleura.inference.preprocess import prepare
from pleura.inference.selftest import compare
from pleura.io import read_radiograph
from pleura.metrics import delong_interval, roc_auc
from pleura.quality import GateSettings, Strictness
from pleura.training.checkpoint import load_network
from pleura.training.config import load_config
from pleura.training.run import train
from tiny_run import IMAGES, config, write_data

FILES = ["classifier.onnx", "familiarity.npy", "manifest.json", "parity.json", "segmenter.onnx"]


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """Model folder, manifest, and what the progress function was told."""
    folder = tmp_path_factory.mktemp("models") / "joint"
    told = []
    options = ExportOptions(version="3.1", licence="for tests", prevalence=0.3)
    manifest = export_run(run, folder, options, lambda done, total: told.append((done, total)))
    return folder, manifest, told


def test_the_folder_is_whole_and_names_its_files_by_their_hash(exported):
    folder, manifest, told = exported
    assert sorted(path.name for path in folder.iterdir()) == FILES
    for component in (manifest.classifier, manifest.segmenter, manifest.familiarity):
        assert component.sha256 == sha256_of(folder / component.file)
    assert manifest == Manifest.read(folder)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_predictor_says_what_the_network_says(exported, run, data):
    folder, manifest, _ = exported
    network = load_network(run, load_config(run / "config.yaml"), "best")
    predictor = Predictor.load(folder, threads=1)
    for path in sorted(data.glob("*.png"))[:3]:
        radiograph = read_radiograph(path)
        image, _ = prepare(radiograph, manifest.preprocessing)
        with torch.inference_mode():
            output = network(torch.from_numpy(image))
        raw = predictor.predict_raw(radiograph)
        assert raw.logit == pytest.approx(output.logit.item(), abs=1e-3)
        air = torch.sigmoid(output.mask_logits)[0, 0].numpy()
        np.testing.assert_allclose(raw.network_map, air, atol=2.5e-3)


def test_the_manifest_says_what_was_trained_on_what(exported, run, data):
    _, manifest, _ = exported
    assert (manifest.name, manifest.version, manifest.licence) == ("joint", "3.1", "for tests")
    assert manifest.preprocessing == load_config(run / "config.yaml").preprocessing
    training = manifest.training
    assert training["data_fingerprint"] == read_index(data / "index.parquet").fingerprint
    assert (training["split"], training["validation_fold"], training["epochs"]) == ("train", 0, 1)
    assert training["network"]["options"]["encoder"] == "mobilenet_v2"
    assert training["starting_sha256"] == ""


def test_a_record_without_the_hash_of_its_starting_file_is_exported(run, tmp_path):
    folder = copied(run, tmp_path)
    record = json.loads((folder / "run.json").read_text())
    del record["starting_sha256"]
    (folder / "run.json").write_text(json.dumps(record))
    manifest = export_run(folder, tmp_path / "m", ExportOptions())
    assert "starting_sha256" not in manifest.training
    assert manifest.training["starting_weights"] == record["starting_weights"]


def test_held_out_images_of_one_sided_sources_are_not_judged(tmp_path, joint):
    """Images 4 and 8 are negatives of a source that gave no positive; 0 to 5 are held out."""
    sources = ["reports" if number in (4, 8) else "reader" for number in range(IMAGES)]
    write_data(tmp_path, label_source=sources, fold=[0] * 6 + [1] * 6)
    folder = train(config(tmp_path, tmp_path / "run", *joint))
    assert json.loads((folder / "run.json").read_text())["validation_images"] == 5
    told = []
    manifest = export_run(
        folder, tmp_path / "m", ExportOptions(), lambda done, total: told.append((done, total))
    )
    assert told[-1] == (5, 5)
    assert manifest.performance["held_out_auc"].n == 5
    assert manifest.performance_cohort.startswith("5 images of the training split's fold 0 (3 pos")
    parity = json.loads((tmp_path / "m" / "parity.json").read_text())
    assert parity["float32_weights"]["images"] == 5


def judged(groups):
    """Logits of 40 cases, five in turn alike; `groups` names the patient of each."""
    generator = np.random.default_rng(0)
    labels = np.repeat([1, 0], 20)
    logits = labels + np.repeat(generator.normal(size=8), 5) + 0.1 * generator.normal(size=40)
    views = np.stack([logits, logits], axis=1)
    return Judged(
        logits, views, labels, tuple(groups), (), np.zeros((40, 2), np.float32), Counter()
    )


def test_the_stated_auc_is_no_surer_than_the_number_of_patients():
    single = judged([f"patient {number}" for number in range(40)])
    independent = delong_interval(single.logits, single.labels)
    assert tuning._held_out_auc(single) == independent
    five_images_each = judged([f"patient {number // 5}" for number in range(40)])
    stated = tuning._held_out_auc(five_images_each)
    assert stated.value == pytest.approx(independent.value)
    assert stated.high - stated.low > 1.2 * (independent.high - independent.low)
    one_class_each = judged(["ill"] * 20 + ["well"] * 20)
    assert tuning._held_out_auc(one_class_each) == independent


def test_all_that_is_chosen_is_chosen_on_the_held_out_fold(exported, data):
    folder, manifest, _ = exported
    table = read_index(data / "index.parquet").table
    held_out = table[table["fold"] == 0]
    assert len(held_out) == 4
    assert manifest.calibration.fitted_on.startswith("4 images of the training split's fold 0")
    assert manifest.calibration.prevalence == 0.3
    names = [point.name for point in manifest.operating_points]
    assert names == ["sensitive", "balanced", "specific"]
    assert all(point.cohort == manifest.performance_cohort for point in manifest.operating_points)
    predictor = Predictor.load(folder, threads=1)
    raws = [predictor.predict_raw(data / path) for path in held_out["path"]]
    labels = held_out["label"].to_numpy(dtype=int)
    auc = manifest.performance["held_out_auc"]
    assert auc.value == pytest.approx(roc_auc([raw.logit for raw in raws], labels))
    assert auc.n == 4
    assert manifest.performance["held_out_dice_positives"].n == 2
    for point in manifest.operating_points:
        called = np.array([raw.probability >= point.threshold for raw in raws])
        assert point.sensitivity == pytest.approx(called[labels == 1].mean())
        assert point.specificity == pytest.approx((~called[labels == 0]).mean())


def test_the_recorded_phantoms_are_met_again(exported):
    folder, manifest, _ = exported
    predictor = Predictor.load(folder, threads=1)
    assert [case.pneumothorax for case in manifest.selftest] == [True, False, True, False]
    assert compare(predictor, manifest.selftest[0]).agrees


def test_the_parity_report_is_written(exported):
    folder, _, _ = exported
    report = json.loads((folder / "parity.json").read_text())
    assert report["written"] == "int16"
    for kind in ("float32_weights", "int16_weights"):
        assert report[kind]["holds"]
        assert report[kind]["images"] == 4
        assert report[kind]["max_logit_difference"] < 1e-3


BAD = Parity(4, 2, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0)


def test_without_parity_of_the_halves_the_weights_stay_whole(run, tmp_path, monkeypatch):
    measure, measured = release.measure_parity, []

    def the_second_fails(*arguments):
        measured.append(measure(*arguments))
        return measured[0] if len(measured) == 1 else BAD

    monkeypatch.setattr(release, "measure_parity", the_second_fails)
    export_run(run, tmp_path / "m", ExportOptions())
    report = json.loads((tmp_path / "m" / "parity.json").read_text())
    assert report["written"] == "float32"
    assert not report["int16_weights"]["holds"]
    stored = onnx.load(tmp_path / "m" / "classifier.onnx").graph.initializer
    assert TensorProto.INT16 not in {tensor.data_type for tensor in stored}


def test_a_network_that_was_not_exported_faithfully_is_not_written(run, tmp_path, monkeypatch):
    monkeypatch.setattr(release, "measure_parity", lambda *_: BAD)
    with pytest.raises(ModelError, match="not the trained one"):
        export_run(run, tmp_path / "m", ExportOptions())
    assert list((tmp_path / "m").iterdir()) == []


def copied(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


def test_a_run_without_a_record_or_a_checkpoint(run, tmp_path):
    folder = copied(run, tmp_path)
    (folder / "checkpoints" / "best.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(ModelError, match="not a checkpoint"):
        export_run(folder, tmp_path / "m", ExportOptions())
    (folder / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(ModelError, match="has no checkpoint"):
        export_run(folder, tmp_path / "m", ExportOptions())
    (folder / "run.json").unlink()
    with pytest.raises(ModelError, match=r"no readable run\.json"):
        export_run(folder, tmp_path / "m", ExportOptions())
    (folder / "config.yaml").unlink()
    with pytest.raises(ConfigError):
        export_run(folder, tmp_path / "m", ExportOptions())
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("before", "after", "error", "sentence"),
    [
        ("validation_fold: 0", "validation_fold: null", ModelError, "held no fold out"),
        ("index.parquet", "gone.parquet", NotFoundError, "gone.parquet"),
        ("decoder_widths:\n    - 16", "decoder_widths:\n    - 24", ModelError, "does not fit"),
    ],
)
def test_a_run_that_cannot_be_exported_says_why(run, tmp_path, before, after, error, sentence):
    folder = copied(run, tmp_path)
    text = (folder / "config.yaml").read_text()
    assert before in text
    (folder / "config.yaml").write_text(text.replace(before, after))
    with pytest.raises(error, match=sentence):
        export_run(folder, tmp_path / "m", ExportOptions())


def test_images_that_have_moved_are_named_with_root(run, tmp_path):
    with pytest.raises(ModelError, match="No image of the held-out fold") as caught:
        export_run(run, tmp_path / "m", ExportOptions(root=tmp_path))
    assert "--root" in caught.value.hint


def test_the_command_writes_the_folder_and_says_what_was_measured(run, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["export", str(run), "-o", str(tmp_path / "m"), "--name", "mine", "--flip-average"])
    assert not ended.value.code
    said = capsys.readouterr().out
    manifest = Manifest.read(tmp_path / "m")
    assert (manifest.name, manifest.flip_average) == ("mine", True)
    for wanted in ("mine 1 written", "balanced", "held_out_auc", "not a medical device"):
        assert wanted in said


def test_the_share_of_the_mask_in_the_logit_may_be_chosen_after_training(run, tmp_path, data):
    manifest = export_run(run, tmp_path / "m", ExportOptions(mask_evidence=0.5))
    assert manifest.training["network"]["options"]["mask_evidence"] == 0.5
    network = load_network(run, load_config(run / "config.yaml"), "best")
    network.mask_evidence = 0.5
    radiograph = read_radiograph(next(data.glob("*.png")))
    image, _ = prepare(radiograph, manifest.preprocessing)
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)).logit.item()
    raw = Predictor.load(tmp_path / "m", threads=1).predict_raw(radiograph)
    assert raw.logit == pytest.approx(expected, abs=1e-3)
    assert raw.network_map is not None


def test_chexnet_is_exported_with_its_class_activation_map(data, tmp_path):
    folder = train(config(data, tmp_path / "run", "schedule.epochs=1"))
    manifest = export_run(folder, tmp_path / "model", ExportOptions(flip_average=True))
    prediction = Predictor(tmp_path / "model").predict(data / "image1.png", always_segment=True)
    assert 0 < prediction.probability < 1
    assert prediction.segmented
    assert prediction.probability_map.max() > 0
    assert manifest.training["network"]["name"] == "chexnet"


def test_chexnet_has_no_mask_as_evidence(data, tmp_path):
    folder = train(config(data, tmp_path / "run", "schedule.epochs=1"))
    with pytest.raises(ModelError, match="no mask that could be evidence"):
        export_run(folder, tmp_path / "model", ExportOptions(mask_evidence=0.5))
    assert not (tmp_path / "model").exists()


def test_a_nested_network_may_be_pruned_when_it_is_exported(data, tmp_path, joint, run):
    folder = train(config(data, tmp_path / "run", *joint, "network.name=nested_unet"))
    whole = export_run(folder, tmp_path / "whole", ExportOptions())
    manifest = export_run(folder, tmp_path / "pruned", ExportOptions(depth=1))
    assert manifest.training["network"]["options"]["depth"] == 1
    assert "depth" not in whole.training["network"]["options"]
    sizes = [(tmp_path / name / "segmenter.onnx").stat().st_size for name in ("pruned", "whole")]
    assert sizes[0] < sizes[1] / 2
    network = load_network(folder, load_config(folder / "config.yaml"), "best").pruned(1)
    radiograph = read_radiograph(data / "image1.png")
    image, _ = prepare(radiograph, manifest.preprocessing)
    with torch.inference_mode():
        output = network(torch.from_numpy(image))
    raw = Predictor.load(tmp_path / "pruned", threads=1).predict_raw(radiograph)
    assert raw.logit == pytest.approx(output.logit.item(), abs=1e-3)
    air = torch.sigmoid(output.mask_logits)[0, 0].numpy()
    np.testing.assert_allclose(raw.network_map, air, atol=2.5e-3)

    with pytest.raises(ModelError, match="Cannot prune to depth 9"):
        export_run(folder, tmp_path / "none", ExportOptions(depth=9))
    with pytest.raises(ModelError, match="UNet cannot be pruned"):
        export_run(run, tmp_path / "none", ExportOptions(depth=1))


def test_the_classifier_knows_what_it_has_not_seen(exported, data):
    """Every result says how unlike the held-out images it is; the gate turned off only hushes."""
    folder, manifest, _ = exported
    predictor = Predictor.load(folder, threads=1)
    path = sorted(data.glob("*.png"))[0]
    raw = predictor.predict_raw(path)
    assert raw.embedding.shape == (320,)
    assert raw.quality.unfamiliarity is not None
    assert manifest.familiarity.fitted_on.startswith("4 images of the training split's fold 0")
    near = manifest.model_copy(
        update={"familiarity": manifest.familiarity.model_copy(update={"limit": 1e-6})}
    )
    beyond = shutil.copytree(folder, folder.parent / "strict")
    near.write(beyond)
    said = Predictor.load(beyond, threads=1).predict(path).quality
    assert said.unfamiliarity > 1
    assert [notice.code for notice in said.warnings] == ["unfamiliar"]
    hushed = Predictor.load(beyond, threads=1, gate=GateSettings(Strictness.OFF)).predict(path)
    assert hushed.quality.warnings == ()
