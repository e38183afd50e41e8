"""Parity holds for the same network and breaks when either output moves."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from onnx import numpy_helper

from pleura.export.onnx_file import store_half, to_onnx
from pleura.export.parity import OnnxStages, Parity, measure_parity
from pleura.export.stages import EMBEDDING, IMAGE, LOGIT, MASK_LOGITS, cut
from pleura.models import create_network


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(5)
    options = {"encoder": "mobilenet_v2", "decoder_widths": [16, 12, 8], "output_stride": 4}
    return create_network("unet", **options).eval()


@pytest.fixture(scope="module")
def files(network):
    stages = cut(network)
    example = torch.zeros(2, 1, 64, 64)
    with torch.inference_mode():
        features = [value.clone() for value in stages.classifier(example)[2:]]
    return (
        to_onnx(stages.classifier, [example], [IMAGE], [LOGIT, EMBEDDING, *stages.features]),
        to_onnx(stages.segmenter, features, list(stages.features), [MASK_LOGITS]),
    )


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(2)
    return [rng.standard_normal((1, 1, 64, 64)).astype(np.float32) for _ in range(3)]


def shifted(model, name, by):
    """The same file with a constant added to one bias."""
    changed = type(model)()
    changed.CopyFrom(model)
    (bias,) = [tensor for tensor in changed.graph.initializer if tensor.name == name]
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(by), name))
    return changed


def test_the_exported_network_is_the_trained_one(network, files, images):
    parity = measure_parity(network, OnnxStages(*files), images)
    assert parity.holds
    assert parity.images == 3
    assert parity.max_logit_difference < 1e-4
    assert parity.max_mask_logit_difference < 1e-4


def test_halved_weights_of_a_small_network_pass(network, files, images):
    halves = [store_half(model, min_values=100) for model in files]
    parity = measure_parity(network, OnnxStages(*halves), images)
    assert parity.holds
    assert parity.max_logit_difference > 0


def test_a_logit_that_moved_is_found(network, files, images):
    classifier = shifted(files[0], "head.linear.bias", 0.002)
    parity = measure_parity(network, OnnxStages(classifier, files[1]), images)
    assert parity.max_logit_difference == pytest.approx(0.002, abs=1e-5)
    assert not parity.holds


def test_a_mask_that_moved_is_found(network, files, images):
    segmenter = shifted(files[1], "decoder.mask_head.bias", 0.02)
    parity = measure_parity(network, OnnxStages(files[0], segmenter), images)
    assert parity.max_logit_difference < 1e-4
    assert parity.max_mask_logit_difference == pytest.approx(0.02, abs=1e-4)
    assert parity.max_mask_probability_difference == pytest.approx(0.005, rel=0.1)
    assert not parity.holds


def test_far_below_the_threshold_a_logit_may_move(network, files, images):
    low = create_network(
        "unet", encoder="mobilenet_v2", decoder_widths=[16, 12, 8], output_stride=4
    ).eval()
    low.load_state_dict(network.state_dict())
    low.decoder.mask_head.bias.data -= 20
    segmenter = shifted(files[1], "decoder.mask_head.bias", -19.9)
    parity = measure_parity(low, OnnxStages(files[0], segmenter), images)
    assert parity.max_mask_logit_difference == pytest.approx(0.1, abs=1e-3)
    assert parity.max_mask_probability_difference < 1e-6
    assert parity.positive_masks == 0
    assert parity.holds


def test_masks_are_compared_at_the_threshold(network, files, images):
    """Pixels that change sides are counted one by one."""
    with torch.inference_mode():
        references = [network(torch.from_numpy(image)).mask_logits.numpy() for image in images]
    by = float(np.std(references))
    cut_at = float(np.median(references)) - by / 2  # where an untrained network has its pixels
    stages = OnnxStages(files[0], shifted(files[1], "decoder.mask_head.bias", by))
    threshold = 1 / (1 + np.exp(-cut_at))
    parity = measure_parity(network, stages, images, mask_threshold=threshold)
    differing, dices = 0, []
    for reference in references:
        ours, theirs = reference >= cut_at, reference + by >= cut_at
        differing += (ours != theirs).sum()
        dices.append(2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()))
    assert 0 < differing < 0.9 * 3 * 16 * 16
    assert parity.disagreeing_pixels == pytest.approx(differing / (3 * 16 * 16), abs=3e-3)
    assert parity.min_mask_dice == pytest.approx(min(dices), abs=1e-3)
    assert parity.mean_mask_dice == pytest.approx(np.mean(dices), abs=1e-3)


GOOD = Parity(4, 2, 1e-4, 5e-3, 1e-3, 0.99, 0.9995, 1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"max_logit_difference": 1.1e-3},
        {"max_mask_probability_difference": 2.6e-3},
        {"mean_mask_dice": 0.9989},
        {"max_logit_difference": float("nan")},
        {"max_mask_probability_difference": float("nan")},
        {"mean_mask_dice": float("nan")},
    ],
)
def test_each_bound_counts_and_a_nan_keeps_none(change):
    assert GOOD.holds
    assert GOOD.as_dict()["holds"] is True
    assert not replace(GOOD, **change).holds


def test_nothing_is_proved_without_an_image(network, files):
    with pytest.raises(ValueError, match="at least one image"):
        measure_parity(network, OnnxStages(*files), [])
