"""Where results are sent."""

from typing import Literal

from pydantic import Field

from pleura.service.settings.section import Section


class Destination(Section):
    """One receiver of every result."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="How jobs and metrics name it."
    )
    kind: Literal["dicom", "stow"] = Field(description="C-STORE, or STOW-RS.")
