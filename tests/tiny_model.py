"""A model small enough to reckon by hand, as real ONNX files with a real manifest."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pleura.inference.manifest import (
    Calibration,
    Component,
    Manifest,
    MaskRule,
    OperatingPoint,
    Preprocessing,
    SelftestCase,
    sha256_of,
)
from pleura.radiograph import Radiograph

SIZE = 64
STRIDE = 2
GAIN = 100.0
OFFSET = -3.0
MASK_GAIN = 20.0
MASK_OFFSET = -12.0


def weights(size: int = SIZE, lopsided: bool = False) -> NDArray[np.float32]:
    """The weight of each pixel in the logit; heavier on the left when lopsided."""
    flat = np.ones((size, size), dtype=np.float32)
    return flat * np.linspace(2.0, 0.0, size, dtype=np.float32) if lopsided else flat


def write_model(
    folder: Path,
    *,
    flip_average: bool = False,
    mirror_from: float | None = None,
    lopsided: bool = False,
    mask_rule: MaskRule | None = None,
    calibration: Calibration | None = None,
    selftest: tuple[SelftestCase, ...] = (),
    logit_name: str = "logit",
    segmenter_input: str = "features",
    batch: int | str = "n",
) -> Path:
    """logit = GAIN * mean(w * image) + OFFSET; mask_logits = MASK_GAIN * pooled + MASK_OFFSET.

    The segmenter takes the classifier's `features`, the image pooled by STRIDE; when lopsided, each
    of its pixels also loses half of its right neighbour.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _save(folder / "classifier.onnx", _classifier(lopsided, logit_name, batch))
    _save(folder / "segmenter.onnx", _segmenter(lopsided, segmenter_input))
    Manifest(
        schema="pleura.model/1",
        name="tiny",
        version="0.0.1",
        description="reckons with brightness",
        preprocessing=Preprocessing(size=SIZE, mean=0.0, std=1.0),
        classifier=_component(folder / "classifier.onnx"),
        segmenter=_component(folder / "segmenter.onnx"),
        flip_average=flip_average,
        mirror_from=mirror_from,
        calibration=calibration or Calibration(),
        operating_points=(
            OperatingPoint(name="balanced", threshold=0.5, sensitivity=0.8, specificity=0.9),
            OperatingPoint(name="sensitive", threshold=0.01, sensitivity=0.95, specificity=0.6),
        ),
        default_operating_point="balanced",
        mask=mask_rule or MaskRule(),
        selftest=selftest,
    ).write(folder)
    return folder


def radiograph(
    rows: int = 300,
    columns: int = 240,
    box: tuple[int, int, int, int] | None = (60, 40, 120, 100),
    level: float = 0.02,
    source: str = "made.png",
) -> Radiograph:
    """A dark picture with a bright box (top, left, bottom, right); positive when it has one."""
    pixels = np.full((rows, columns), level, dtype=np.float32)
    pixels[::2, ::2] = 0.0
    if box is not None:
        top, left, bottom, right = box
        pixels[top:bottom, left:right] = 1.0
    return Radiograph(pixels, source=source)


def _component(path: Path) -> Component:
    return Component(file=path.name, sha256=sha256_of(path))


def _constant(name: str, value: NDArray[np.float32]) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)


def _classifier(lopsided: bool, logit_name: str, batch: int | str) -> onnx.GraphProto:
    return helper.make_graph(
        [
            helper.make_node("Mul", ["image", "w"], ["weighted"]),
            helper.make_node("GlobalAveragePool", ["weighted"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["flat"], axis=1),
            helper.make_node("Mul", ["flat", "gain"], ["scaled"]),
            helper.make_node("Add", ["scaled", "offset"], [logit_name]),
            helper.make_node(
                "AveragePool",
                ["image"],
                ["features"],
                kernel_shape=[STRIDE, STRIDE],
                strides=[STRIDE, STRIDE],
            ),
        ],
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 1, SIZE, SIZE])],
        [
            helper.make_tensor_value_info(logit_name, TensorProto.FLOAT, [batch, 1]),
            helper.make_tensor_value_info(
                "features", TensorProto.FLOAT, [batch, 1, SIZE // STRIDE, SIZE // STRIDE]
            ),
        ],
        [
            _constant("w", weights(lopsided=lopsided)),
            _constant("gain", np.array([GAIN], dtype=np.float32)),
            _constant("offset", np.array([OFFSET], dtype=np.float32)),
        ],
    )


def _segmenter(lopsided: bool, input_name: str) -> onnx.GraphProto:
    kernel = np.zeros((1, 1, 1, 3), dtype=np.float32)
    kernel[..., 1] = MASK_GAIN
    if lopsided:
        kernel[..., 2] = -0.5 * MASK_GAIN
    side = SIZE // STRIDE
    return helper.make_graph(
        [
            helper.make_node(
                "Conv", [input_name, "kernel", "bias"], ["mask_logits"], pads=[0, 1, 0, 1]
            )
        ],
        "segmenter",
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["n", 1, side, side])],
        [helper.make_tensor_value_info("mask_logits", TensorProto.FLOAT, ["n", 1, side, side])],
        [
            _constant("kernel", kernel),
            _constant("bias", np.array([MASK_OFFSET], dtype=np.float32)),
        ],
    )


def _save(path: Path, graph: onnx.GraphProto) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
