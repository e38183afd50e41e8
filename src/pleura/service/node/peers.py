"""Who may associate, and what the others are told (PS3.8 9.3.4)."""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from pleura.service.settings.node import NodeSettings, Peer


@dataclass(frozen=True, slots=True)
class Rejection:
    """An A-ASSOCIATE-RJ.

    Attributes:
        code: for the log.
        result: 1 permanent, 2 transient.
        source: 1 the node as service user, 3 the service provider, presentation related.
        reason: of the source.
    """

    code: str
    result: int
    source: int
    reason: int


UNKNOWN_CALLED = Rejection("unknown_called_ae_title", 1, 1, 7)
UNKNOWN_CALLING = Rejection("unknown_calling_ae_title", 1, 1, 3)
WRONG_ADDRESS = Rejection("wrong_address", 1, 1, 3)
STOPPING = Rejection("stopping", 2, 3, 1)


def rejection_of(
    called: str, calling: str, address: str, settings: NodeSettings
) -> Rejection | None:
    """Why a peer may not associate; None where it may.

    Args:
        called: AE title that it calls.
        calling: AE title that it calls itself.
        address: IP address that it comes from.
        settings: with the titles and peers that are known.
    """
    if called.strip() not in settings.ae_titles:
        return UNKNOWN_CALLED
    if settings.any_peer:
        return None
    named = [peer for peer in settings.peers if peer.ae_title == calling.strip()]
    if not named:
        return UNKNOWN_CALLING
    return None if any(_comes_from(peer, address) for peer in named) else WRONG_ADDRESS


def _comes_from(peer: Peer, address: str) -> bool:
    if peer.address is None:
        return True
    found = ip_address(address)
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found in ip_network(peer.address)
