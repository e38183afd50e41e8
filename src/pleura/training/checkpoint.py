"""The trained network of a run."""

import pickle
from pathlib import Path
from typing import Any

import torch

from pleura.errors import ModelError
from pleura.models import Network, create_network
from pleura.training.config import TrainingConfig
from pleura.training.record import CHECKPOINTS, CONFIG_NAME

_PREFIX = "network."


def load_network(run: Path, config: TrainingConfig, checkpoint: str) -> Network:
    """The trained network in evaluation mode, with the averaged weights where the run kept them.

    Args:
        run: folder that `pleura train` wrote.
        config: of the run.
        checkpoint: `best` or `last`.

    Raises:
        ModelError: there is no such checkpoint, it is damaged, or it does not fit the
            configuration.
    """
    path = run / CHECKPOINTS / f"{checkpoint}.ckpt"
    network = create_network(config.network.name, **config.network.options)
    state = {
        key.removeprefix(_PREFIX): value
        for key, value in _state(path).items()
        if key.startswith(_PREFIX)
    }
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"The checkpoint {path} does not fit {CONFIG_NAME}: {error}") from error
    return network.eval()


def _state(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)[
            "state_dict"
        ]
    except FileNotFoundError as error:
        raise ModelError(f"The run has no checkpoint {path}.", "Train it first.") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} is not a checkpoint of `pleura train`.", "Train again, or use the other one."
        ) from error
    return state
