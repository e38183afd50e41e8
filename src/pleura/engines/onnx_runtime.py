"""ONNX files in ONNX Runtime: on the processor, or on a GPU."""

from pathlib import Path
from typing import Any

from pleura.engines.network import Engine
from pleura.errors import MissingDependencyError, ModelError

_CPU = "CPUExecutionProvider"
PROVIDERS = {
    Engine.ONNXRUNTIME: (_CPU,),
    Engine.CUDA: ("CUDAExecutionProvider", _CPU),
    Engine.TENSORRT: ("TensorrtExecutionProvider", "CUDAExecutionProvider", _CPU),
}
"""Execution providers by engine; what the first cannot run is left to the next."""


def open_session(content: bytes, path: Path, threads: int, engine: Engine) -> Any:
    """One session, deterministic, in float32.

    Args:
        content: of an ONNX file.
        path: that it came from, for messages.
        threads: of one network run, on the processor.
        engine: one of `PROVIDERS`.

    Raises:
        MissingDependencyError: the installed ONNX Runtime has not this engine.
        ModelError: ONNX Runtime cannot load the file, or the GPU cannot be used.
    """
    import onnxruntime  # takes 0.2 s, which training and `pleura models list` need not pay

    providers = PROVIDERS[engine]
    if providers[0] not in onnxruntime.get_available_providers():
        raise MissingDependencyError(
            f"The installed ONNX Runtime has no {providers[0]}.",
            "Install onnxruntime-gpu in the place of onnxruntime, with the CUDA libraries that it"
            " names, or choose another engine.",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    # Threads that spin between two images would take the processor from decoding and from others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            content, sess_options=options, providers=list(providers)
        )
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        raise ModelError(f"ONNX Runtime cannot load {path}: {error}") from error
    # Without a GPU that answers, ONNX Runtime would go on with the processor and say nothing.
    if session.get_providers()[0] != providers[0]:
        raise ModelError(
            f"ONNX Runtime could not start {providers[0]}.",
            "Check the driver and the CUDA libraries, or choose another engine.",
        )
    return session
