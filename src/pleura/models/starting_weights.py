"""Where a network's starting weights come from, by preference, and which it was."""

from dataclasses import replace
from pathlib import Path

from torch import nn

from pleura.errors import ModelError
from pleura.inference.manifest import sha256_of
from pleura.models.chexnet.checkpoints import densenet_state
from pleura.models.encoders import Encoder
from pleura.models.outputs import Network
from pleura.models.weights import LoadReport, fill, grey_kernels, read_checkpoint

RANDOM = LoadReport(source="random initialisation")
_RUN_PREFIX = "network."  # of the parameters in the checkpoints of a training run


def load_starting_weights(
    network: Network,
    checkpoint: Path | None = None,
    weights_folder: Path | None = None,
    mean: float = 0.5,
    std: float = 0.25,
) -> LoadReport:
    """Fill a network: from the checkpoint if given, else from the folder if it fits, else random.

    Args:
        network: changed in place.
        checkpoint: a file of the user's own: a state dict of this network, or, for CheXNet, a
            torchvision, torchxrayvision or original CheXNet checkpoint (told apart by their keys),
            or, for a network with an encoder, torchvision's or timm's weights of that encoder.
            The checkpoints of a run of `pleura train` fit, too.
        weights_folder: holds `<encoder.weights_file>.safetensors` with ImageNet weights.
        mean: of this network's standardisation of pixels in [0, 1]; needed where a checkpoint
            expects another input range.
        std: likewise.

    Raises:
        ModelError: the checkpoint cannot be read, or none of its tensors fits.
    """
    if checkpoint is not None:
        return _from_checkpoint(network, checkpoint, mean, std)
    encoder = getattr(network, "encoder", None)
    if weights_folder is not None and isinstance(encoder, Encoder):
        path = weights_folder / f"{encoder.weights_file}.safetensors"
        if path.is_file():
            state = read_checkpoint(path)
            if encoder.stem_key in state:
                state = encoder.from_imagenet(state, mean, std)
            return _checked(fill(encoder, state, f"ImageNet weights {path.name}"), path)
    return RANDOM


def _from_checkpoint(network: Network, checkpoint: Path, mean: float, std: float) -> LoadReport:
    state = {
        name.removeprefix(_RUN_PREFIX): tensor
        for name, tensor in read_checkpoint(checkpoint).items()
    }
    densenet = getattr(network, "densenet", None)
    target: nn.Module = network
    source = f"checkpoint {checkpoint.name}"
    if isinstance(densenet, nn.Module) and not set(state) & set(network.state_dict()):
        state, kind = densenet_state(state, mean, std)
        target, source = densenet, f"{kind} checkpoint {checkpoint.name}"
    encoder = getattr(network, "encoder", None)
    if isinstance(encoder, Encoder) and encoder.stem_key in state:
        state[encoder.stem_key] = grey_kernels(state[encoder.stem_key])
        target, source = encoder, f"encoder's checkpoint {checkpoint.name}"
    return _checked(fill(target, state, source), checkpoint)


def _checked(report: LoadReport, path: Path) -> LoadReport:
    if not report.loaded:
        raise ModelError(
            f"No tensor of the checkpoint {path.name} fits this network.",
            "Check that it belongs to the architecture that the configuration names.",
        )
    return replace(report, sha256=sha256_of(path))
