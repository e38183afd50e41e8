"""ONNX files and OpenVINO's own (IR) in OpenVINO, on the processor."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleura.engines.network import Engine
from pleura.errors import MissingDependencyError, ModelError

_TYPES = {"f32": "tensor(float)"}
_DEVICE = "CPU"


@dataclass(frozen=True, slots=True)
class OpenVinoPort:
    """An input or an output; a free dimension has the size None."""

    name: str
    type: str
    shape: tuple[int | None, ...]


class OpenVinoNetwork:
    """One network, compiled for the processor.

    A network whose batch alone is free is compiled for one image, which is faster by a tenth, and
    runs a batch one by one.

    Args:
        content: of an ONNX file, or of an IR's XML.
        path: that it came from, for messages.
        threads: of one network run.
        engine: `openvino` or `openvino-bf16`.
        weights: of an IR; None for ONNX, which holds its own.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
        ModelError: OpenVINO cannot load the file.
    """

    def __init__(
        self,
        content: bytes,
        path: Path,
        threads: int,
        engine: Engine,
        weights: bytes | None = None,
    ) -> None:
        try:
            import openvino
        except ImportError as error:
            raise MissingDependencyError(
                "OpenVINO is not installed.", "Install it: pip install 'pleura[openvino]'."
            ) from error
        try:
            core = openvino.Core()
            # Where bfloat16 is emulated it is slower than float32, and less exact for nothing.
            native = "BF16" in core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
            settings = {
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": (
                    "bf16" if engine is Engine.OPENVINO_BF16 and native else "f32"
                ),
            }
            model = core.read_model(content, b"" if weights is None else weights)
            # Those of the file: compiling gives some tensors the names of others.
            self._inputs = [_port(node) for node in model.inputs]
            self._outputs = [_port(node) for node in model.outputs]
            self._one_by_one = all(_is_free_batch(port) for port in self._inputs)
            if self._one_by_one:
                model.reshape({i: [1, *port.shape[1:]] for i, port in enumerate(self._inputs)})
            self._compiled = core.compile_model(model, _DEVICE, settings)
        except RuntimeError as error:
            raise ModelError(f"OpenVINO cannot load {path}: {error}") from error
        self._places = {port.name: place for place, port in enumerate(self._outputs)}
        self._requests = threading.local()

    def get_inputs(self) -> Sequence[OpenVinoPort]:
        """In the file's order."""
        return self._inputs

    def get_outputs(self) -> Sequence[OpenVinoPort]:
        """In the file's order."""
        return self._outputs

    def run(self, wanted: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs of these names, in this order, as copies; each thread has its own request."""
        request = getattr(self._requests, "request", None)
        if request is None:
            request = self._requests.request = self._compiled.create_infer_request()
        given = [feeds[port.name] for port in self._inputs]
        batch = len(given[0]) if self._one_by_one else 1
        if batch == 1:
            return self._infer(request, given, wanted)
        images = [
            self._infer(request, [values[i : i + 1] for values in given], wanted)
            for i in range(batch)
        ]
        return [np.concatenate(values) for values in zip(*images, strict=True)]

    def _infer(
        self, request: Any, given: list[NDArray[Any]], wanted: Sequence[str]
    ) -> list[NDArray[Any]]:
        request.infer(dict(enumerate(given)), share_inputs=True)
        return [request.get_output_tensor(self._places[name]).data.copy() for name in wanted]


def _is_free_batch(port: OpenVinoPort) -> bool:
    """Whether the first dimension alone is free."""
    return len(port.shape) > 0 and [size is None for size in port.shape] == [
        place == 0 for place in range(len(port.shape))
    ]


def _port(node: Any) -> OpenVinoPort:
    kind = node.element_type.get_type_name()
    shape = tuple(
        dimension.get_length() if dimension.is_static else None
        for dimension in node.get_partial_shape()
    )
    return OpenVinoPort(node.get_any_name(), _TYPES.get(kind, kind), shape)
