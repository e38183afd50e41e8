"""The REST API."""

import ipaddress
from typing import Self

from pydantic import Field, model_validator

from pleura.service.settings.section import Section
from pleura.service.settings.tls import ServerTls


class ApiSettings(Section):
    """The REST API: where it listens, who may ask, and how much of it."""

    host: str = Field(
        default="127.0.0.1", description="Address to listen on; 0.0.0.0 or :: for every one."
    )
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port to listen on; 0 for any that is free."
    )
    tls: ServerTls | None = Field(default=None, description="TLS; unset, plain HTTP.")
    require_keys: bool = Field(
        default=True,
        description="Callers need a key; without, everybody who reaches the loopback address may"
        " do everything.",
    )
    open_metrics: bool = Field(
        default=False, description="Metrics are shown without a key, to everybody."
    )
    forwarded_from: tuple[str, ...] = Field(
        default=(),
        description="Addresses of reverse proxies whose X-Forwarded-For and -Proto are believed.",
    )
    file_mib: float = Field(default=128, gt=0, description="Largest image in MiB.")
    request_mib: float = Field(
        default=2048,
        gt=0,
        description="Largest upload in MiB, and most that its archives may unpack to.",
    )
    files: int = Field(default=1000, ge=1, description="Most images of one upload.")
    uploads: int = Field(
        default=8, ge=1, description="Uploads that may arrive at the same time; more are told 429."
    )
    connections: int = Field(
        default=200,
        ge=1,
        description="Open connections; more are told 503, or cut at twice as many.",
    )
    request_seconds: float = Field(
        default=600, gt=0, le=1800, description="Seconds that an upload may take to arrive."
    )
    stall_seconds: float = Field(
        default=20,
        gt=0,
        description="Seconds that a client may stand still while it sends or reads.",
    )
    head_seconds: float = Field(
        default=10, gt=0, description="Seconds that the head of a request may take to arrive."
    )
    head_kib: int = Field(default=16, ge=4, le=256, description="Largest head of a request in KiB.")
    keep_alive_seconds: int = Field(
        default=15, ge=1, description="Seconds that an idle connection is kept open."
    )
    wait_seconds: float = Field(
        default=60, ge=0, description="Longest that an upload waits for its results, in seconds."
    )
    stop_seconds: int = Field(
        default=20, ge=1, description="Seconds that open requests have to end when it is stopped."
    )
    wrong_keys_per_minute: int = Field(
        default=10,
        ge=1,
        description="Requests without a valid key that one address may send in a minute; more are"
        " told 429. A valid key is always served.",
    )
    keep_audit_days: float = Field(
        default=730, gt=0, description="Days after which lines of the audit log are removed."
    )

    @property
    def on_loopback(self) -> bool:
        """Only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @model_validator(mode="after")
    def _open_on_loopback_alone(self) -> Self:
        if not self.require_keys and not self.on_loopback:
            raise ValueError("require_keys may be false on a loopback address alone")
        return self

    @model_validator(mode="after")
    def _request_holds_a_file(self) -> Self:
        if self.request_mib < self.file_mib:
            raise ValueError("request_mib must not be below file_mib")
        return self
