"""Certificates (PS3.15 B.12: TLS 1.2 or newer)."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from pleura.service.settings.section import Section


class ServerTls(Section):
    """TLS of a listener."""

    certificate: Path = Field(description="Certificate with its chain, PEM.")
    key: Path = Field(description="Its private key, PEM, without a password.")
    ca: Path | None = Field(
        default=None,
        description="Authorities, PEM, one of which must have signed what a peer shows; unset, no"
        " certificate is asked for.",
    )


class ClientTls(Section):
    """TLS towards a server."""

    ca: Path | None = Field(
        default=None,
        description="Authorities, PEM, that the server's certificate is held against; unset, those"
        " of the system.",
    )
    certificate: Path | None = Field(
        default=None, description="Certificate to show with its chain, PEM; unset, none is shown."
    )
    key: Path | None = Field(default=None, description="Its private key, PEM, without a password.")
    check_name: bool = Field(
        default=True,
        description="Whether the certificate must name the host; PACS often have one that does not."
        " For C-STORE only.",
    )

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together")
        return self
