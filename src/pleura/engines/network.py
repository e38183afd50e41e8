"""What every engine gives: a network by the names of its inputs and outputs."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

from numpy.typing import NDArray


class Engine(StrEnum):
    """What runs a network, and on what.

    - `onnxruntime`: ONNX Runtime on the processor, float32. The base install has it.
    - `openvino`: OpenVINO on the processor, float32; the extra `pleura[openvino]`.
    - `openvino-bf16`: the same with bfloat16 where the processor computes it by itself
      (avx512_bf16, AMX), and float32 elsewhere. Faster; the logits move a little.
    - `cuda`, `tensorrt`: ONNX Runtime on an NVIDIA GPU; the package onnxruntime-gpu in the place of
      onnxruntime.
    - `pytorch`: a network that was handed over loaded, as a MONAI bundle does; opens no file.
    """

    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"
    OPENVINO_BF16 = "openvino-bf16"
    CUDA = "cuda"
    TENSORRT = "tensorrt"
    PYTORCH = "pytorch"


class Port(Protocol):
    """An input or an output: what ONNX Runtime tells of it."""

    @property
    def name(self) -> str:
        """In the file."""

    @property
    def type(self) -> str:
        """`tensor(float)` for float32."""

    @property
    def shape(self) -> Sequence[Any]:
        """A whole number for a fixed dimension, anything else for a free one."""


class Network(Protocol):
    """A network that is loaded. The methods are those of ONNX Runtime's session."""

    def get_inputs(self) -> Sequence[Port]:
        """In the file's order."""

    def get_outputs(self) -> Sequence[Port]:
        """In the file's order."""

    def run(self, wanted: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs of these names, in this order; safe for several threads at once."""
