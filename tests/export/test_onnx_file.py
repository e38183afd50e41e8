"""ONNX files: any batch size, no trace of the machine, weights in half the bytes."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from pleura.export.onnx_file import save, store_half, to_onnx


@pytest.fixture(scope="module")
def module() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 40, 5, padding=2), nn.ReLU(), nn.Conv2d(40, 40, 3, padding=1)
    return nn.Sequential(*layers, nn.Conv2d(40, 1, 1)).eval()


@pytest.fixture(scope="module")
def model(module) -> onnx.ModelProto:
    return to_onnx(module, [torch.zeros(2, 1, 16, 16)], ["image"], ["map"])


def run(model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(["map"], {"image": image})[0]


def image(count: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, 1, 16, 16)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_number_of_images_at_once(module, model, count):
    with torch.inference_mode():
        expected = module(torch.from_numpy(image(count))).numpy()
    np.testing.assert_allclose(run(model, image(count)), expected, atol=1e-5)


def test_the_file_says_nothing_of_the_machine_that_made_it(model, tmp_path: Path):
    content = save(model, tmp_path / "m.onnx").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    for trace in (str(Path(__file__).parents[1]), "site-packages", ".py"):
        assert trace.encode() not in content


def test_half_the_bytes_and_nearly_the_same_numbers(model, tmp_path: Path):
    halved = store_half(model, min_values=2000)
    full_bytes = save(model, tmp_path / "full.onnx").stat().st_size
    half_bytes = save(halved, tmp_path / "half.onnx").stat().st_size
    assert half_bytes < 0.65 * full_bytes
    stored = {tensor.name: tensor.data_type for tensor in halved.graph.initializer}
    assert [name for name, kind in stored.items() if kind == TensorProto.INT16] == [
        "2.weight_int16"
    ]
    expected, given_ = run(model, image(3)), run(halved, image(3))
    assert 0 < np.abs(expected - given_).max() < 1e-4


def test_the_model_that_was_given_is_left_alone(model):
    before = model.SerializeToString()
    store_half(model, min_values=1)
    assert model.SerializeToString() == before


@given(
    seed=st.integers(0, 1000),
    channels=st.integers(1, 6),
    exponents=st.lists(st.integers(-30, 30), min_size=6, max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_each_weight_moves_by_half_a_step_of_its_channel_at_most(seed, channels, exponents):
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((channels, 7)).astype(np.float32)
    weight *= np.float32(10.0) ** np.array(exponents[:channels], np.float32)[:, None]
    weight[rng.integers(channels)] = 0  # a channel of zeros has no scale of its own
    graph = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["map"])],
        "one",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, list(weight.shape))],
        [numpy_helper.from_array(weight, "w")],
    )
    opset = [helper.make_opsetid("", 18)]
    halved = store_half(helper.make_model(graph, opset_imports=opset, ir_version=10), min_values=1)
    restored = run(halved, np.zeros(1, np.float32))
    step = np.abs(weight).max(axis=1, keepdims=True) / 32767
    assert (np.abs(restored - weight) <= 0.501 * step).all()


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_weights_that_are_no_numbers_are_not_rounded(value):
    weight = np.full((2, 3), value, np.float32)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["map"])],
        "one",
        [],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, [2, 3])],
        [numpy_helper.from_array(weight, "w")],
    )
    (kept,) = store_half(helper.make_model(graph), min_values=1).graph.initializer
    assert kept.data_type == TensorProto.FLOAT
