"""Networks by name: what a configuration file may ask for."""

from collections.abc import Callable
from typing import Any

from pleura.errors import ConfigError
from pleura.models.outputs import Network


def _unet(**options: Any) -> Network:
    from pleura.models.unet import UNet

    return UNet(**options)


def _nested_unet(**options: Any) -> Network:
    from pleura.models.nested_unet import NestedUNet

    return NestedUNet(**options)


def _double_unet(**options: Any) -> Network:
    from pleura.models.double_unet import DoubleUNet

    return DoubleUNet(**options)


def _chexnet(**options: Any) -> Network:
    from pleura.models.chexnet import CheXNet  # MONAI takes seconds to import

    return CheXNet(**options)


NETWORKS: dict[str, Callable[..., Network]] = {
    "unet": _unet,
    "nested_unet": _nested_unet,
    "double_unet": _double_unet,
    "chexnet": _chexnet,
}


def create_network(name: str, **options: Any) -> Network:
    """Make a network with random weights.

    Args:
        name: a key of `NETWORKS`.
        options: arguments of the network's class.

    Raises:
        ConfigError: unknown name, or options that the network does not take.
    """
    if name not in NETWORKS:
        raise ConfigError(f"There is no network '{name}'.", f"Use one of: {', '.join(NETWORKS)}.")
    try:
        return NETWORKS[name](**options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"The network '{name}' refuses its options: {error}.") from error
