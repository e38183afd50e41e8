"""Files of a model folder: the bytes whose SHA-256 was checked, and a session that runs them."""

import hashlib
from pathlib import Path
from typing import Any

from pleura.errors import ModelError


def checked_bytes(path: Path, sha256: str) -> bytes:
    """The content of a file.

    Args:
        path: of the file.
        sha256: that the model's manifest gives, 64 hexadecimal digits.

    Raises:
        ModelError: the file cannot be read, or it is not the one of the manifest.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"The model file {path} cannot be read.") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelError(f"The SHA-256 of {path} is not the one in the manifest.")
    return content


def open_network(path: Path, sha256: str, threads: int) -> Any:
    """One ONNX Runtime session from the bytes whose hash was checked, deterministic, in float32.

    Args:
        path: of the ONNX file.
        sha256: as in `checked_bytes`.
        threads: of one network run.

    Raises:
        ModelError: as in `checked_bytes`, or ONNX Runtime cannot load the file.
    """
    content = checked_bytes(path, sha256)

    import onnxruntime  # takes 0.2 s, which training and `pleura models list` need not pay

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    # Threads that spin between two images would take the processor from decoding and from others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(
            content, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        raise ModelError(f"ONNX Runtime cannot load {path}: {error}") from error
