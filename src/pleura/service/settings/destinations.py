"""Where results are sent."""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from pleura.service.settings.node import AeTitle
from pleura.service.settings.section import Section
from pleura.service.settings.tls import ClientTls


class _Receiver(Section):
    """What receivers of both kinds have."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="How jobs and metrics name it."
    )
    objects: tuple[Literal["seg", "sr", "sc"], ...] = Field(
        default=("seg", "sr", "sc"),
        min_length=1,
        description="Which of the objects that worker.formats makes it gets.",
    )
    connect_seconds: float = Field(
        default=10, gt=0, description="Time for connection and association."
    )
    response_seconds: float = Field(
        default=30, gt=0, description="Time for the answer to one object, or to one request."
    )
    tls: ClientTls | None = Field(
        default=None, description="TLS; unset, C-STORE is sent without and https needs none."
    )


class DicomDestination(_Receiver):
    """A receiver of C-STORE."""

    kind: Literal["dicom"] = Field(description="C-STORE.")
    host: str = Field(min_length=1, description="Its address.")
    port: int = Field(ge=1, le=65535, description="Its port.")
    ae_title: AeTitle = Field(description="Its AE title.")
    calling_ae_title: AeTitle = Field(
        default="PLEURA", description="AE title that Pleura calls itself by."
    )


class StowDestination(_Receiver):
    """A DICOMweb server."""

    kind: Literal["stow"] = Field(description="STOW-RS.")
    url: str = Field(
        pattern=r"^https?://[^/?#@]+(/[^?#]*)?$",
        description="Base of its DICOMweb service, as https://pacs/dicom-web; /studies is added.",
    )
    username: str | None = Field(default=None, description="For basic authentication.")
    password: SecretStr | None = Field(default=None, description="For basic authentication.")
    token: SecretStr | None = Field(default=None, description="Bearer token.")
    headers: dict[str, SecretStr] = Field(default={}, description="Further headers of requests.")

    @field_validator("url")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if self.username is not None and self.token is not None:
            raise ValueError("either username and password or token")
        return self


Destination = Annotated[DicomDestination | StowDestination, Field(discriminator="kind")]
"""One receiver of every result."""
