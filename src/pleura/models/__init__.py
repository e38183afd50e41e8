"""Networks in PyTorch, by name."""

from pleura.models.outputs import Network, NetworkOutput
from pleura.models.registry import NETWORKS, create_network

__all__ = ["NETWORKS", "Network", "NetworkOutput", "create_network"]
