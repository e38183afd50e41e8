"""The files of a model folder, and the engines that run them.

A room of its own below `inference`, because the input gate (`quality`) runs a network as well.
"""

from pathlib import Path

from pleura.engines.files import checked_bytes
from pleura.engines.network import Engine, Network, Port
from pleura.errors import ModelError

__all__ = ["Engine", "Network", "Port", "checked_bytes", "engine_of", "open_network"]

IR_SUFFIX = ".xml"
_OPENVINO = (Engine.OPENVINO, Engine.OPENVINO_BF16)


def engine_of(file: str, wanted: Engine | None) -> Engine:
    """The engine that runs a file: the one that is wanted, or else the file's own.

    Raises:
        ModelError: the engine that is wanted cannot run the file.
    """
    if wanted is Engine.PYTORCH:
        raise ModelError("PyTorch opens no file of a model folder.", "Choose another engine.")
    is_ir = file.endswith(IR_SUFFIX)
    if wanted is None:
        # An IR is the 8-bit copy, for speed: what it keeps in float may be bfloat16 as well.
        return Engine.OPENVINO_BF16 if is_ir else Engine.ONNXRUNTIME
    if is_ir and wanted not in _OPENVINO:
        raise ModelError(
            f"{file} is a file for OpenVINO, and {wanted} cannot run it.",
            f"Choose the engine {Engine.OPENVINO}, or a model with ONNX files.",
        )
    return wanted


def open_network(
    path: Path,
    sha256: str,
    threads: int,
    engine: Engine | None = None,
    weights: tuple[Path, str] | None = None,
) -> Network:
    """A network from the bytes whose hash was checked.

    Args:
        path: of the ONNX file, or of the XML of an OpenVINO IR.
        sha256: as in `checked_bytes`.
        threads: of one network run.
        engine: that runs it; None for the file's own, see `engine_of`.
        weights: path and SHA-256 of the file of weights beside an IR; None for ONNX.

    Raises:
        ModelError: as in `checked_bytes` and `engine_of`, or the engine cannot load the file.
        MissingDependencyError: the engine is not installed.
    """
    engine = engine_of(path.name, engine)
    content = checked_bytes(path, sha256)
    if engine in _OPENVINO:
        from pleura.engines.open_vino import OpenVinoNetwork

        beside = None if weights is None else checked_bytes(*weights)
        return OpenVinoNetwork(content, path, threads, engine, beside)
    from pleura.engines.onnx_runtime import open_session

    session: Network = open_session(content, path, threads, engine)
    return session
