"""A model in 8-bit integers: another folder, another engine, nearly the same word."""

import json

import numpy as np
import onnx
import pytest
import torch

from pleura.cli.main import main
from pleura.engines import Engine
from pleura.errors import ModelError
from pleura.export.bundle import write_bundle
from pleura.export.joined import join
from pleura.export.onnx_file import store_half, store_whole
from pleura.export.quantised import Int8Options, quantise
from pleura.export.release import ExportOptions, export_run
from pleura.inference import Manifest, Predictor
from pleura.inference.manifest import sha256_of
from pleura.training.checkpoint import load_network
from pleura.training.config import load_config
from pleura.training.released import restore

pytest.importorskip("nncf")
pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def model(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("float") / "model"
    export_run(run, folder, ExportOptions(version="3.1", mask_evidence=0.5, flip_average=True))
    return folder


@pytest.fixture(scope="module")
def copy(model, run):
    folder = model.with_name("model-int8")
    quantise(model, run, folder, Int8Options(images=8))
    return folder


def test_the_copy_is_a_whole_model_of_its_own(copy, model):
    manifest, source = Manifest.read(copy), Manifest.read(model)
    assert (manifest.name, manifest.version) == ("model-int8", "3.1")
    assert sorted(path.name for path in copy.iterdir()) == [
        "classifier.bin",
        "classifier.xml",
        "familiarity.npy",
        "manifest.json",
        "parity.json",
    ]
    weights = manifest.classifier.weights
    assert weights is not None
    for component in (manifest.classifier, weights, manifest.familiarity):
        assert component.sha256 == sha256_of(copy / component.file)
    assert set(manifest.files) == {"classifier.xml", "classifier.bin", "familiarity.npy"}
    assert manifest.training["quantised_from"] == "model 3.1"
    assert manifest.training["quantised_from_sha256"] == sha256_of(model / "manifest.json")
    assert manifest.preprocessing == source.preprocessing
    assert {point.name for point in manifest.operating_points} == {
        "sensitive",
        "balanced",
        "specific",
    }
    assert manifest.selftest
    assert manifest.performance.keys() == {"held_out_auc", "held_out_dice_positives"}


def test_it_is_integers_and_nearly_says_what_the_floats_say(copy, model, data):
    ours, theirs = Predictor(copy), Predictor(model)
    assert ours.model.engine is Engine.OPENVINO_BF16
    gaps = []
    for path in sorted(data.glob("*.png")):
        said, before = ours.predict_raw(path), theirs.predict_raw(path)
        gaps.append(abs(said.logit - before.logit))
        np.testing.assert_allclose(said.network_map, before.network_map, atol=0.1)
    assert 0 < max(gaps) < 0.3
    text = (copy / "classifier.xml").read_text()
    assert 'element_type="i8"' in text or 'element_type="u8"' in text
    assert "FakeQuantize" in text


def test_the_report_is_of_the_held_out_images(copy):
    report = json.loads((copy / "parity.json").read_text())
    assert report["images"] == 4
    assert 0 < report["rms_logit_difference"] <= report["max_logit_difference"] < 0.3
    assert 0 < report["mean_mask_probability_difference"] < 0.1
    assert 0 <= report["auc_int8"] <= 1


def test_no_path_of_this_machine_is_in_the_files(copy, model, tmp_path):
    for path in copy.iterdir():
        content = path.read_bytes()
        assert str(model.parent).encode() not in content, path.name
        assert b"/tmp/" not in content, path.name
        assert b"whole.onnx" not in content, path.name


def test_damaged_weights_are_refused(copy, tmp_path):
    for path in copy.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "classifier.bin").write_bytes(b"\0" * 100)
    with pytest.raises(ModelError, match="SHA-256"):
        Predictor(tmp_path)


def test_what_needs_onnx_says_so(copy, run, model, tmp_path):
    with pytest.raises(ModelError, match="not made of ONNX files"):
        quantise(copy, run, tmp_path / "again", Int8Options(images=8))
    with pytest.raises(ModelError):
        Predictor(copy, engine=Engine.ONNXRUNTIME)
    with pytest.raises(ModelError, match="ONNX"):
        write_bundle(copy, tmp_path / "bundle", None)
    with pytest.raises(ModelError, match="not made of ONNX files"):
        join(copy, model, tmp_path / "joined", "joined", "1")
    network = load_network(run, load_config(run / "config.yaml"), "last")
    with pytest.raises(ModelError, match="8-bit integers"):
        restore(network, copy, torch.zeros(2, 1, 32, 32))


def test_weights_stored_in_half_are_made_whole(model):
    stored = onnx.load(model / "classifier.onnx")
    halved = store_half(store_whole(stored), min_values=64)
    whole = store_whole(halved)
    assert not [node for node in whole.graph.node if node.op_type == "Cast"]
    values = {t.name: onnx.numpy_helper.to_array(t) for t in whole.graph.initializer}
    assert not [name for name in values if name.endswith("_int16")]
    before = {t.name: onnx.numpy_helper.to_array(t) for t in store_whole(stored).graph.initializer}
    assert values.keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_allclose(values[name], value, atol=1e-4 * max(np.abs(value).max(), 1))


def test_the_command_writes_both(run, tmp_path, capsys, monkeypatch):
    from pleura.export import quantised

    monkeypatch.setattr(quantised, "Int8Options", lambda **chosen: Int8Options(images=4))
    with pytest.raises(SystemExit) as ended:
        main(["export", str(run), "-o", str(tmp_path / "m"), "--mask-evidence", "0.5", "--int8"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "m-int8 1 written to" in said
    assert Manifest.read(tmp_path / "m-int8").training["quantised_from"] == "m 1"
