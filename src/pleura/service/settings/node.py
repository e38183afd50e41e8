"""The DICOM listener."""

from ipaddress import ip_network
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from pleura.service.settings.section import Section
from pleura.service.settings.tls import ServerTls


def _ae_title(value: str) -> str:
    """As PS3.5 6.2 has it; outer spaces are padding."""
    printable = value.isascii() and value.isprintable() and "\\" not in value
    if not printable or not 1 <= len(value) <= 16 or value != value.strip():
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash")
    return value


AeTitle = Annotated[str, AfterValidator(_ae_title)]


class Peer(Section):
    """One system that may send."""

    ae_title: AeTitle = Field(description="Its calling AE title.")
    address: str | None = Field(
        default=None,
        description="IP address or network (10.1.0.0/16) that it must come from; unset, any.",
    )

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None:
            ip_network(value)
        return value


class NodeSettings(Section):
    """The DICOM listener."""

    host: str = Field(default="0.0.0.0", description="Address that it listens on.")
    port: int = Field(default=11112, ge=0, le=65535, description="Port; 0 for any free one.")
    ae_titles: tuple[AeTitle, ...] = Field(
        default=("PLEURA",), min_length=1, description="Called AE titles that it answers to."
    )
    peers: tuple[Peer, ...] = Field(
        default=(), description="Who may send; without any, and without any_peer, nobody may."
    )
    any_peer: bool = Field(
        default=False, description="Take images from whoever calls by a right AE title."
    )
    max_associations: int = Field(
        default=16, ge=1, le=256, description="Associations at a time; others are rejected."
    )
    max_object_mib: float = Field(
        default=512, gt=0, description="Largest object in MiB; a larger one gets status A701."
    )
    max_pdu_kib: int = Field(
        default=128, ge=4, le=1024, description="Largest PDU in KiB that peers are offered."
    )
    association_seconds: float = Field(
        default=15, gt=0, description="Time for TLS handshake, association request, and release."
    )
    idle_seconds: float = Field(
        default=60, gt=0, description="Silence, or time for one PDU, after which a peer is cut off."
    )
    object_seconds: float = Field(
        default=300, gt=0, description="Time for one object, after which a slow peer is cut off."
    )
    grace_seconds: float = Field(
        default=20, ge=0, description="Time that associations have to end when the node is stopped."
    )
    tls: ServerTls | None = Field(default=None, description="TLS; unset, without.")

    @model_validator(mode="after")
    def _peers_or_all(self) -> Self:
        if self.any_peer and self.peers:
            raise ValueError("either peers or any_peer")
        return self
