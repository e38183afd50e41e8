"""A model folder as the start of a run: the same answers, and statistics to learn on with."""

import numpy as np
import pytest
import torch
from torch import nn

from pleura.errors import ModelError
from pleura.export.release import ExportOptions, export_run
from pleura.inference import Predictor
from pleura.inference.preprocess import prepare
from pleura.models import create_network
from pleura.radiograph import Radiograph
from pleura.training.config import load_config
from pleura.training.released import restore
from pleura.training.run import train
from tiny_run import config

SIDE = 64


@pytest.fixture(scope="module", params=[0.0, 0.5], ids=["head", "mask evidence"])
def released(request, run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("released") / "model"
    options = ExportOptions(version="1", licence="for tests", mask_evidence=request.param)
    export_run(run, folder, options)
    options = load_config(run / "config.yaml").network.options
    return folder, {**options, "mask_evidence": request.param}


def _images(count=12):
    rng = np.random.default_rng(2)
    return rng.random((count, SIDE, SIDE), dtype=np.float32)


def _standardised(predictor, images):
    made = [prepare(Radiograph(image), predictor.manifest.preprocessing)[0][0] for image in images]
    return torch.from_numpy(np.stack(made))


def test_the_network_says_what_the_files_say(released):
    folder, options = released
    predictor = Predictor.load(folder)
    network = create_network("unet", **options)
    report = restore(network, folder, _standardised(predictor, _images()))
    assert not report.missing
    with torch.inference_mode():
        output = network.eval()(_standardised(predictor, _images()))
    for image, logit, mask in zip(_images(), output.logit, output.mask_logits, strict=True):
        raw = predictor.predict_raw(Radiograph(image))
        assert float(logit) == pytest.approx(raw.logit, abs=1e-3)
        np.testing.assert_allclose(torch.sigmoid(mask[0]), raw.network_map, atol=1e-3)


def test_its_statistics_are_those_of_the_images(released):
    """So the whole batch, in training mode, gives what evaluation mode gives."""
    folder, options = released
    images = _standardised(Predictor.load(folder), _images())
    network = create_network("unet", **options, dropout=0.0)
    restore(network, folder, images)
    with torch.inference_mode():
        evaluated = network.eval()(images)
        trained = network.train()(images)
    torch.testing.assert_close(trained.logit, evaluated.logit, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(trained.mask_logits, evaluated.mask_logits, atol=2e-3, rtol=1e-3)


def test_the_mode_is_left_as_it_was(released):
    folder, options = released
    network = create_network("unet", **options).train()
    network.decoder.eval()
    restore(network, folder, _standardised(Predictor.load(folder), _images(4)))
    assert network.encoder.training
    assert not any(module.training for module in network.decoder.modules())


def test_another_architecture_is_refused_by_name(released):
    folder, options = released
    wider = create_network("unet", **{**options, "decoder_widths": [16, 12, 8, 16]})
    with pytest.raises(ModelError, match="does not fit this network"):
        restore(wider, folder, torch.zeros(2, 1, SIDE, SIDE))


def test_a_head_of_another_pooling_starts_at_random_where_it_differs(released):
    folder, options = released
    images = _standardised(Predictor.load(folder), _images())
    same = create_network("unet", **options)
    restore(same, folder, images)
    network = create_network("unet", **options, pooling="attention")
    before = {name: value.clone() for name, value in network.head.state_dict().items()}
    report = restore(network, folder, images)
    assert set(report.missing) == {
        f"head.attend.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")
    }
    assert report.mismatched == ("head.linear.weight",)
    for name in ("linear.weight", "attend.0.weight", "attend.2.weight"):
        assert torch.equal(network.head.state_dict()[name], before[name])
    with torch.inference_mode():
        mine, theirs = network.eval()(images), same.eval()(images)
    assert torch.equal(mine.mask_logits, theirs.mask_logits)


def test_changed_files_are_refused(released, tmp_path):
    folder, options = released
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "classifier.onnx").write_bytes(b"something else")
    with pytest.raises(ModelError, match="not the one of the manifest"):
        restore(create_network("unet", **options), tmp_path, torch.zeros(2, 1, SIDE, SIDE))


def test_a_run_goes_on_from_it_with_frozen_modules(released, data, joint, tmp_path):
    folder, options = released
    frozen = ["encoder.features.0", "decoder.blocks.0"]
    output = train(
        config(
            data,
            tmp_path / "next",
            *joint,
            f"network.checkpoint={folder}",
            f"network.frozen={frozen}",
            "optimiser.ema_decay=0",
        )
    )
    start = create_network("unet", **options)
    stored = torch.load(output / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    ended = {name.removeprefix("network."): value for name, value in stored.items()}
    restore(start, folder, torch.randn(4, 1, SIDE, SIDE))
    for name, module in start.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        same = torch.equal(module.weight, ended[f"{name}.weight"])
        assert same == any(name.startswith(f"{part}.") for part in frozen), name
