"""The input gate's network as a file of a model folder, and from one folder into another."""

import shutil
from pathlib import Path

import torch

from pleura.errors import ModelError
from pleura.export.onnx_file import save, store_half, to_onnx
from pleura.inference import Manifest
from pleura.inference.manifest import sha256_of
from pleura.quality import GateSpec, Limit
from pleura.training.gate import MEAN, SIDE, STD, GateNetwork

FILE_NAME = "gate.onnx"


def write_gate(
    network: GateNetwork,
    folder: Path,
    limits: dict[str, Limit],
    fitted_on: str = "",
    measured: dict[str, object] | None = None,
) -> Manifest:
    """Put a trained gate into a model folder, in the place of one that is there.

    Args:
        network: in evaluation mode.
        folder: of the model; `gate.onnx` is written and its manifest changed.
        limits: see `GateSpec`.
        fitted_on: what it learned from, and how the limits were chosen.
        measured: figures.

    Returns:
        The model's new manifest.

    Raises:
        ModelError: the folder holds no model.
    """
    manifest = Manifest.read(folder)
    model = to_onnx(
        network, [torch.zeros(2, 1, SIDE, SIDE)], ["image"], ["kind", "turn", "inverted"]
    )
    partial = folder / f".{FILE_NAME}"
    save(store_half(model), partial)
    spec = GateSpec(
        file=FILE_NAME,
        sha256=sha256_of(partial),
        size=SIDE,
        mean=MEAN,
        std=STD,
        limits=limits,
        fitted_on=fitted_on,
        measured=measured or {},
    )
    partial.replace(folder / FILE_NAME)
    manifest.model_copy(update={"gate": spec}).write(folder)
    return Manifest.read(folder)


def copy_gate(source: Path, target: Path) -> Manifest:
    """Put one model's gate into another model's folder; returns the target's new manifest.

    Raises:
        ModelError: the source has no gate, or its file is not the one of its manifest.
    """
    spec = Manifest.read(source).gate
    if spec is None:
        raise ModelError("This model has no input gate.", "Name one that has.")
    if sha256_of(source / spec.file) != spec.sha256:
        raise ModelError(f"The SHA-256 of {source / spec.file} is not the one in the manifest.")
    manifest = Manifest.read(target)
    shutil.copyfile(source / spec.file, target / spec.file)
    manifest.model_copy(update={"gate": spec}).write(target)
    return Manifest.read(target)
