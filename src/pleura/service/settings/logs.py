"""What is logged, and how."""

from typing import Literal

from pydantic import Field

from pleura.service.settings.section import Section


class LogSettings(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important lines of the service that are written."
    )
    format: Literal["text", "json"] = Field(
        default="text", description="Lines to read, or one JSON object a line for programs."
    )
