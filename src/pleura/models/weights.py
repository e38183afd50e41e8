"""Starting weights: read safely, mapped by name, reported key by key.

Nothing here executes code from a file: safetensors, or `torch.load(weights_only=True)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pleura.errors import ModelError


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What became of every key.

    Attributes:
        source: where the weights came from, in words.
        loaded: keys of the network that were filled.
        missing: keys of the network that kept their random start.
        unused: keys of the file that the network has no place for.
        mismatched: keys present on both sides with different shapes.
        sha256: of the file, 64 hexadecimal digits, or "" without one: a name can be given twice.
    """

    source: str
    loaded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    sha256: str = ""

    def summary(self) -> str:
        """One line for a log."""
        if not self.loaded:
            return self.source
        return (
            f"{self.source}: {len(self.loaded)} tensors loaded, {len(self.missing)} random, "
            f"{len(self.unused)} unused, {len(self.mismatched)} of another shape"
        )


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a state dict from safetensors or a PyTorch file, without executing code.

    A PyTorch file may hold the state dict itself or under `state_dict`.

    Raises:
        ModelError: unreadable, or it holds something else than tensors (a pickled network, say).
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"There is no checkpoint {path}.", "Check the path.") from error
    except Exception as error:
        raise ModelError(
            f"The checkpoint {path.name} cannot be read safely ({type(error).__name__}).",
            "Save its state dict alone: torch.save(model.state_dict(), path).",
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else None
    if state is None or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(
            f"The checkpoint {path.name} holds no state dict.",
            "Save its state dict alone: torch.save(model.state_dict(), path).",
        )
    return dict(state)


def grey_kernels(kernels: Tensor) -> Tensor:
    """Sum a first layer's kernels over RGB: (o, 3, k, k) -> (o, 1, k, k).

    A grey picture given as three equal channels excites the layer exactly so.
    """
    return kernels.sum(1, keepdim=True) if kernels.shape[1] == 3 else kernels


def fill(module: nn.Module, state: Mapping[str, Tensor], source: str) -> LoadReport:
    """Copy every tensor whose name and shape fit into `module`; floating types become float32."""
    own = module.state_dict()
    loaded, mismatched = [], []
    for name, target in own.items():
        if name not in state:
            continue
        if state[name].shape != target.shape:
            mismatched.append(name)
            continue
        own[name] = state[name].to(target.dtype)
        loaded.append(name)
    module.load_state_dict(own)
    filled = {*loaded, *mismatched}
    return LoadReport(
        source=source,
        loaded=tuple(loaded),
        missing=tuple(n for n in own if n not in filled and not n.endswith("num_batches_tracked")),
        unused=tuple(name for name in state if name not in own),
        mismatched=tuple(mismatched),
    )
