"""A model folder that does not keep its promises is refused with a clear sentence."""

import json
from pathlib import Path

import pytest

from pleura import Predictor
from pleura.errors import ModelError
from pleura.inference.manifest import Manifest, sha256_of
from pleura.inference.registry import find_model, installed_models
from tiny_model import write_model


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_model_reference_is_the_manifest_s_hash(model_folder: Path) -> None:
    model = Predictor.load(model_folder).model
    assert (model.name, model.version) == ("tiny", "0.0.1")
    assert model.sha256 == sha256_of(model_folder / "manifest.json")


@pytest.mark.parametrize("file", ["classifier.onnx", "segmenter.onnx"])
def test_one_changed_byte_is_found(model_folder: Path, file: str) -> None:
    content = bytearray((model_folder / file).read_bytes())
    content[-1] ^= 1
    (model_folder / file).write_bytes(content)
    with pytest.raises(ModelError, match="SHA-256"):
        Predictor.load(model_folder)


def test_a_missing_file_is_named(model_folder: Path) -> None:
    (model_folder / "segmenter.onnx").unlink()
    with pytest.raises(ModelError, match=r"segmenter\.onnx cannot be read"):
        Predictor.load(model_folder)


def test_a_file_that_is_no_network(model_folder: Path) -> None:
    junk = model_folder / "classifier.onnx"
    junk.write_bytes(b"not a network")
    rewrite(model_folder, classifier={"file": junk.name, "sha256": sha256_of(junk)})
    with pytest.raises(ModelError, match="cannot load"):
        Predictor.load(model_folder)


def test_wrong_names_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"must give 'logit'; it gives 'score', 'features'"):
        Predictor.load(write_model(tmp_path / "a", logit_name="score"))
    with pytest.raises(ModelError, match=r"asks for 'other', which the classifier does not give"):
        Predictor.load(write_model(tmp_path / "b", segmenter_input="other"))


def test_wrong_size_and_fixed_batch_are_found_at_load(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "a")
    rewrite(folder, preprocessing={"size": 128, "mean": 0.0, "std": 1.0})
    with pytest.raises(ModelError, match="the manifest needs float32"):
        Predictor.load(folder)
    with pytest.raises(ModelError, match="the manifest needs float32"):
        Predictor.load(write_model(tmp_path / "b", batch=1, flip_average=True))
    Predictor.load(write_model(tmp_path / "c", batch=1))


def test_the_only_model_is_the_default_until_a_file_names_one(tmp_path: Path) -> None:
    assert installed_models(tmp_path) == ()
    with pytest.raises(ModelError, match="no default model"):
        find_model(None, tmp_path)
    first = write_model(tmp_path / "first")
    assert find_model(None, tmp_path) == first
    second = write_model(tmp_path / "second")
    assert not any(model.is_default for model in installed_models(tmp_path))
    (tmp_path / "DEFAULT").write_text("second\n")
    assert find_model(None, tmp_path) == second
    assert [(m.name, m.is_default) for m in installed_models(tmp_path)] == [
        ("first", False),
        ("second", True),
    ]
    assert find_model("first", tmp_path) == first


def test_a_model_is_found_by_folder_or_manifest_or_not_at_all(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "elsewhere" / "mine")
    empty = tmp_path / "empty"
    assert find_model(folder, empty) == find_model(str(folder), empty) == folder
    assert find_model(folder / "manifest.json", empty) == folder
    with pytest.raises(ModelError, match="'nowhere'"):
        find_model("nowhere", empty)


def test_a_name_that_no_file_system_takes_is_a_model_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        find_model("x" * 300)


def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(ModelError, match="cannot be read"):
        Manifest.read(tmp_path)
