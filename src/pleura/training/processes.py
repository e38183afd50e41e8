"""The processes that train together: those that torchrun or SLURM started, or as many as asked for.

A launcher has started them all before the first line of Pleura runs. How many they are, on how many
machines, only its environment variables say; whoever did not read them would train as many times on
his own, into one folder.
"""

import os
from dataclasses import dataclass

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from pleura.errors import ConfigError
from pleura.training.config import HardwareConfig

_RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK")


@dataclass(frozen=True)
class Processes:
    """How many train together.

    Attributes:
        devices: processes on each machine; `auto` for one a device.
        nodes: machines.
        slurm: whether SLURM started them.
    """

    devices: int | str
    nodes: int
    slurm: bool = False


def processes_of(hardware: HardwareConfig) -> Processes:
    """As the launcher says, or the configuration where there is none.

    Raises:
        ConfigError: the launcher started another number on one machine than on another, SLURM does
            not tell how many on each, or more devices are asked for than it has processes for.
    """
    slurm = False
    if TorchElasticEnvironment.detect():
        here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    elif SLURMEnvironment.detect():
        slurm, everywhere = True, int(os.environ["SLURM_NTASKS"])
        here = int(os.environ.get("SLURM_NTASKS_PER_NODE", 0 if everywhere > 1 else 1))
    else:
        return Processes(hardware.devices, 1)
    if here < 1 or everywhere % here:
        raise ConfigError(
            f"{everywhere} processes were started, and not a known, equal number on each machine.",
            "Start as many on each: torchrun --nproc-per-node, or SLURM's --ntasks-per-node.",
        )
    if hardware.devices != "auto" and hardware.devices > here:
        raise ConfigError(
            f"hardware.devices is {hardware.devices}, but {here} processes run on this machine.",
            "Start one for each device: torchrun --nproc-per-node, or SLURM's --ntasks-per-node.",
        )
    return Processes(here, everywhere // here, slurm)


def is_first() -> bool:
    """Whether this process speaks for all; told from the environment, before anything is set up."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)
