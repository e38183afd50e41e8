"""A model folder as a MONAI bundle: MONAI runs it, and it says what `pleura predict` says."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, verify_net_in_out
from monai.bundle.workflows import ConfigWorkflow

from pleura.cli.main import main
from pleura.errors import ModelError, OutputError
from pleura.export import bundle as bundling
from pleura.export.bundle import network_of, write_bundle
from pleura.export.bundle_parity import measure_bundle_parity
from pleura.export.bundle_parts import BundleNetwork, RadiographInferer, ReadRadiographd
from pleura.export.release import ExportOptions, export_run
from pleura.inference import Manifest, Predictor, find_model
from pleura.io import read_radiograph
from pleura.masks import decode
from pleura.training.run import train
from tiny_model import write_model
from tiny_run import config

TENSOR_KEYS = {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range"}
METADATA_KEYS = {  # those that MONAI's schema of 2024-07-25 requires
    "schema",
    "version",
    "monai_version",
    "pytorch_version",
    "numpy_version",
    "required_packages_version",
    "task",
    "description",
    "authors",
    "copyright",
    "network_data_format",
}


@pytest.fixture(scope="module")
def model(run, tmp_path_factory):
    """A model with all that a bundle must follow: mask evidence, mirror image, clear negatives."""
    folder = tmp_path_factory.mktemp("bundled") / "model"
    options = ExportOptions(
        version="3.1", licence="for tests", mask_evidence=0.5, flip_average=True
    )
    export_run(run, folder, options)
    return folder


@pytest.fixture(scope="module")
def bundle(model, data):
    """The bundle, with the statistics and the comparison on the tiny data set."""
    write_bundle(model, model.parent / "bundle", data / "index.parquet")
    return model.parent / "bundle"


def _files(bundle):
    return {
        "config_file": str(bundle / "configs/inference.json"),
        "meta_file": str(bundle / "configs/metadata.json"),
    }


def _network(bundle):
    said = json.loads((bundle / "configs/inference.json").read_text())["network_def"]
    network = BundleNetwork(**{key: value for key, value in said.items() if key != "_target_"})
    network.load_state_dict(torch.load(bundle / "models/model.pt", weights_only=True))
    return network.eval()


def test_monai_runs_the_bundle_with_the_results_of_predict(bundle, model, data, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for path in sorted(data.glob("*.png"))[:6]:
        shutil.copyfile(path, images / path.name)
    (images / "notes.txt").write_text("no picture")
    subprocess.run(
        [
            *(sys.executable, "-m", "monai.bundle", "run"),
            *("--config_file", "configs/inference.json", "--bundle_root", "."),
            *("--dataset_dir", str(images), "--output_dir", str(tmp_path / "out")),
            *("--operating_point", "sensitive", "--gate", "off"),
        ],
        cwd=bundle,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        timeout=120,
    )
    arguments = ["predict", str(images), "-o", str(tmp_path / "ours"), "--model", str(model)]
    with pytest.raises(SystemExit):
        main([*arguments, "--operating-point", "sensitive", "--gate", "off"])

    def lines(folder):
        text = (tmp_path / folder / "predictions.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    theirs, ours = lines("out"), lines("ours")
    assert len(theirs) == len(ours) == 7
    assert theirs[-1] == ours[-1]
    assert theirs[-1]["error"]["code"] == "not_an_image"
    for own, other in zip(ours[:-1], theirs[:-1], strict=True):
        assert own["model"].pop("engine") == "onnxruntime"
        assert other["model"].pop("engine") == "pytorch"
        assert other["probability"] == pytest.approx(own["probability"], abs=1e-3)
        assert other["uncertainty"] == pytest.approx(own["uncertainty"], abs=1e-3)
        for key in ("schema", "input", "present", "operating_point", "model", "status"):
            assert other[key] == own[key]
        masks = [
            decode(said["mask"]["rle"], (said["mask"]["rows"], said["mask"]["columns"]))
            for said in (own, other)
        ]
        assert (masks[0] == masks[1]).mean() > 0.9999
    assert any(line["present"] for line in ours[:-1])
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == sorted(path.name for path in (tmp_path / "ours").iterdir())


def test_the_parity_report_is_of_the_written_bundle(bundle):
    report = json.loads((bundle / "docs/parity.json").read_text())
    assert report["holds"]
    assert report["radiographs"] == 12
    assert report["cohort"] == "images of the training split"
    assert 0 < report["called"] <= 12
    assert report["max_logit_difference"] <= report["bounds"]["max_logit_difference"]


def test_other_weights_are_noticed(bundle, data):
    radiographs = [read_radiograph(path) for path in sorted(data.glob("*.png"))[:2]]
    network = _network(bundle)
    assert measure_bundle_parity(bundle / "models", network, radiographs, "two").holds
    with torch.no_grad():
        network.network.head.linear.bias += 0.1
    parity = measure_bundle_parity(bundle / "models", network, radiographs, "two")
    assert not parity.holds
    assert parity.max_logit_difference == pytest.approx(0.05, rel=0.05)  # half is the mask's


def test_the_metadata_is_whole_and_true_of_the_network(bundle):
    metadata = json.loads((bundle / "configs/metadata.json").read_text())
    assert set(metadata) >= METADATA_KEYS
    assert metadata["version"] == "3.1"
    assert set(metadata["required_packages_version"]) == {"pleura", "pytorch-ignite", "fire"}
    formats = metadata["network_data_format"]
    for tensor in (*formats["inputs"].values(), *formats["outputs"].values()):
        assert set(tensor) >= TENSOR_KEYS
        assert all(isinstance(number, int | float) for number in tensor["value_range"])
    assert formats["outputs"]["pred"]["spatial_shape"] == [32, 32]
    with torch.inference_mode():
        assert _network(bundle)(torch.zeros(1, 1, 64, 64)).shape == (1, 2, 32, 32)
    verify_net_in_out(net_id="network_def", device="cpu", **_files(bundle))


def test_the_workflow_has_the_properties_of_inference(bundle):
    workflow = ConfigWorkflow(workflow_type="infer", logging_file=False, **_files(bundle))
    workflow.initialize()
    assert workflow.check_properties() == []


def test_the_card_states_terms_limits_and_that_it_is_no_medical_device(bundle, model):
    card = (bundle / "docs/README.md").read_text()
    for said in ("Research software, not a medical device", "## Limits", "for tests", "sensitive"):
        assert said in card
    assert "for tests" in (bundle / "LICENSE").read_text()
    assert Manifest.read(bundle / "models") == Manifest.read(model)
    Predictor(bundle / "models", threads=1)  # a model folder that Pleura loads


def test_the_network_can_be_trained_further(bundle, data):
    """As the card says: network_def with model.pt, and the input from the transforms."""
    parser = ConfigParser()
    parser.read_config(_files(bundle)["config_file"])
    preprocessing = Manifest.read(bundle / "models").preprocessing
    parser["inputs"] = {
        "_target_": "pleura.export.bundle_parts.NetworkInputd",
        "keys": "image",
        **preprocessing.model_dump(),
    }
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(bundle / "models/model.pt", weights_only=True))
    paths = sorted(data.glob("*.png"))[:4]
    read, inputs = ReadRadiographd("image"), parser.get_parsed_content("inputs")
    images = torch.stack([inputs(read({"image": path}))["image"] for path in paths])
    with torch.inference_mode():
        said = network.eval()(images)
    raw = Predictor(bundle / "models", threads=1).predict_raw(paths[0])
    assert float(said[0, 1, 0, 0]) == pytest.approx(raw.view_logits[0], abs=1e-3)
    optimiser = torch.optim.SGD(network.train().parameters(), lr=1e-3)
    before = network(images)[:, 1].mean()
    before.backward()
    optimiser.step()
    assert network(images)[:, 1].mean() < before


def test_the_inferer_takes_a_tensor_of_pixels(bundle, data):
    radiograph = read_radiograph(sorted(data.glob("*.png"))[1])
    inferer = RadiographInferer(bundle / "models", gate="off")
    batch = torch.from_numpy(np.stack([radiograph.pixels[None]] * 2))
    first, second = inferer(batch, _network(bundle))
    expected = Predictor(bundle / "models", threads=1).predict(radiograph)
    assert first.probability == second.probability
    assert first.probability == pytest.approx(expected.probability, abs=1e-3)
    assert first.mask.shape == radiograph.shape


def test_the_embedded_model_by_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bundling, "PHANTOMS", 2)
    with pytest.raises(SystemExit) as ended:
        main(["bundle", "-o", str(tmp_path / "bundle")])
    assert not ended.value.code
    said = capsys.readouterr().out
    assert "2 synthetic radiographs" in said
    assert "Research software, not a medical device." in said
    report = json.loads((tmp_path / "bundle/docs/parity.json").read_text())
    assert (report["called"], report["called_differently"], report["masks"]) == (1, 0, 1)
    assert report["max_map_difference"] < 1e-4


@pytest.mark.real_data
def test_real_radiographs_are_judged_alike(real_data, tmp_path, monkeypatch):
    """The embedded model's bundle on radiographs, where the calibration is not flat."""
    monkeypatch.setattr(bundling, "PHANTOMS", 1)
    write_bundle(find_model(), tmp_path / "bundle")
    paths = sorted((real_data / "test_dicom").rglob("*.dcm"))[:8]
    assert paths, "no DICOM files under test_dicom"
    radiographs = [read_radiograph(path) for path in paths]
    network = _network(tmp_path / "bundle")
    parity = measure_bundle_parity(tmp_path / "bundle/models", network, radiographs, "test_dicom")
    assert parity.holds, parity


def test_a_pruned_nested_unet_and_a_model_that_cannot_be_restored(data, tmp_path):
    sizes = ("schedule.sizes=[[0, 64]]", "preprocessing.size=64", "schedule.epochs=1")
    options = "{encoder: mobilenet_v2, decoder_widths: [16, 12, 8, 8], deep_supervision: true}"
    nested = ("network.name=nested_unet", f"network.options={options}", "schedule.batch_size=4")
    run = train(config(data, tmp_path / "nested", *nested, *sizes))
    export_run(run, tmp_path / "model", ExportOptions(depth=2))
    parity = write_bundle(tmp_path / "model", tmp_path / "bundle", data / "index.parquet")
    assert parity.holds
    chexnet = Manifest.read(tmp_path / "model").model_copy(
        update={"training": {"network": {"name": "chexnet", "options": {}}}}
    )
    with pytest.raises(ModelError, match="A CheXNet cannot be restored"):
        network_of(chexnet)
    manifest = Manifest.read(tmp_path / "model")
    other = manifest.classifier.model_copy(update={"file": "classifier.xml"})
    with pytest.raises(ModelError, match=r"cannot be restored from classifier\.xml"):
        network_of(manifest.model_copy(update={"classifier": other}))


def test_a_model_that_names_no_network_is_refused(tmp_path):
    folder = write_model(tmp_path / "tiny")
    with pytest.raises(ModelError, match="names no network"):
        write_bundle(folder, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_folder_that_holds_something_is_left_alone(model, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds something already"):
        write_bundle(model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_run_folder_is_told_from_a_model(run, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["bundle", str(run), "-o", str(tmp_path / "bundle")])
    assert ended.value.code == 2
    assert "pleura export" in capsys.readouterr().err
