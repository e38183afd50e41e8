"""PyTorch stages -> ONNX files: dynamic batch, and weights stored in 16 bits."""

import copy
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

_MIN_HALVED = 16384
"""Tensors with fewer values stay float32: they cost little and are often the sensitive ones."""
_LARGEST = np.iinfo(np.int16).max


def to_onnx(
    module: nn.Module,
    inputs: Sequence[Tensor],
    input_names: Sequence[str],
    output_names: Sequence[str],
) -> onnx.ModelProto:
    """Export a stage with a dynamic batch.

    Args:
        module: in evaluation mode.
        inputs: example tensors, each (n, c, h, w) with n > 1.
        input_names: names in the ONNX graph.
        output_names: likewise.
    """
    batch = torch.export.Dim("batch", min=1, max=1024)
    shapes = tuple({0: batch} for _ in inputs)
    parameters = inspect.signature(module.forward).parameters.values()
    variadic = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    program = torch.onnx.export(
        module,
        tuple(inputs),
        input_names=list(input_names),
        output_names=list(output_names),
        dynamic_shapes=(shapes,) if variadic else shapes,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    model: onnx.ModelProto = program.model_proto
    _strip(model)
    onnx.checker.check_model(model)
    return model


def _strip(model: onnx.ModelProto) -> None:
    """Take out the exporter's notes: stack traces with the paths of the machine that exported."""
    graph = model.graph
    parts = [*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer]
    for part in (model, graph, *parts):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def store_half(model: onnx.ModelProto, min_values: int = _MIN_HALVED) -> onnx.ModelProto:
    """Store large float32 weights in half the bytes: 16-bit integers, one scale an output channel.

    The file halves; ONNX Runtime folds the casts and products when it loads the file, and computes
    in float32 with the rounded weights. With float16 in their place the logits of EfficientNetV2-B0
    move more than ten times as far: its numbers have 11 significant bits and these have 16.

    Args:
        model: of float32 weights, the output channel being the first axis.
        min_values: tensors with fewer values stay as they are.
    """
    halved = copy.deepcopy(model)
    kept: list[TensorProto] = []
    nodes: list[onnx.NodeProto] = []
    for tensor in halved.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if not _worth_halving(values, min_values):
            kept.append(tensor)
            continue
        name = tensor.name
        integers, scale = _rounded(values)
        stored, scales, cast = f"{name}_int16", f"{name}_scale", f"{name}_float"
        kept += [
            numpy_helper.from_array(integers, stored),
            numpy_helper.from_array(scale, scales),
        ]
        nodes += [
            helper.make_node("Cast", [stored], [cast], to=TensorProto.FLOAT),
            helper.make_node("Mul", [cast, scales], [name]),
        ]
    replaced = {node.output[0] for node in nodes}
    _replace(halved.graph.node, [*nodes, *halved.graph.node])
    _replace(halved.graph.initializer, kept)
    # What is said of an initialiser's type would clash with the product of the same name.
    infos = [info for info in halved.graph.value_info if info.name not in replaced]
    _replace(halved.graph.value_info, infos)
    onnx.checker.check_model(halved)
    return halved


def store_whole(model: onnx.ModelProto) -> onnx.ModelProto:
    """Undo `store_half`: float32 weights, rounded as they are, and no casts in front of them."""
    whole = copy.deepcopy(model)
    stored = {tensor.name: tensor for tensor in whole.graph.initializer}
    casts = {
        node.output[0]: node
        for node in whole.graph.node
        if node.op_type == "Cast" and node.input[0] in stored
    }
    products = {
        node.output[0]: node
        for node in whole.graph.node
        if node.op_type == "Mul" and node.input[0] in casts and node.input[1] in stored
    }
    made: list[TensorProto] = []
    gone: set[str] = set()
    for name, product in products.items():
        integers, scale = casts[product.input[0]].input[0], product.input[1]
        values = numpy_helper.to_array(stored[integers]).astype(np.float32)
        made.append(numpy_helper.from_array(values * numpy_helper.to_array(stored[scale]), name))
        gone |= {integers, scale, name, product.input[0]}
    _replace(whole.graph.node, [n for n in whole.graph.node if n.output[0] not in gone])
    kept = [tensor for tensor in whole.graph.initializer if tensor.name not in gone]
    _replace(whole.graph.initializer, [*kept, *made])
    onnx.checker.check_model(whole)
    return whole


def _worth_halving(values: NDArray[np.generic], min_values: int) -> bool:
    is_matrix = values.dtype == np.float32 and values.ndim > 1
    return is_matrix and values.size >= min_values and bool(np.isfinite(values).all())


def _rounded(values: NDArray[np.float32]) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Integers (m, ...) and scales (m, 1, ...) whose product is nearest to the values."""
    axes = tuple(range(1, values.ndim))
    scale = np.abs(values).max(axis=axes, keepdims=True) / np.float32(_LARGEST)
    scale[scale == 0] = 1
    integers = np.clip(np.rint(values / scale), -_LARGEST, _LARGEST)
    return integers.astype(np.int16), scale


def _replace(field: Any, content: Sequence[Any]) -> None:
    """Give a repeated field of a protocol buffer a new content."""
    content = [copy.deepcopy(item) for item in content]
    del field[:]
    field.extend(content)


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write one self-contained file."""
    onnx.save_model(model, path, save_as_external_data=False)
    return path
