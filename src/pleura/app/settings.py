"""What the page is started with."""

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from pleura.io import Limits

VARIABLE = "PLEURA_APP_SETTINGS"
KEY_VARIABLE = "PLEURA_API_KEY"
MEBIBYTE = 1 << 20


class AppSettings(BaseModel):
    """Choices of whoever starts the page; nobody who only uses it can change them.

    Attributes:
        model: name or folder of a model; None for the embedded one.
        operating_point: the one that is chosen at first; None for the model's default.
        threads: of one network run; None for the usual number.
        gate: what the input gate does with a picture that is no frontal chest radiograph.
        correct: turn and invert pictures that lie wrong, before they are judged.
        root: folder below which films may be opened; None for none.
        feedback: file that feedback is written to; None for no feedback.
        keep_images: films that somebody gave feedback on are kept beside that file.
        api_url: of a REST API that judges instead of this process; the key is read from
            `PLEURA_API_KEY`.
        evaluation: folder that `pleura evaluate` wrote, shown with the model.
        max_upload_mib: largest file, in MiB.
        max_files: most films of one session.
        max_session_mib: most bytes of uploads that one session holds, in MiB.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = None
    operating_point: str | None = None
    threads: int | None = Field(None, ge=1)
    gate: Literal["refuse", "warn", "off"] = "refuse"
    correct: bool = False
    root: Path | None = None
    feedback: Path | None = None
    keep_images: bool = False
    api_url: str | None = None
    evaluation: Path | None = None
    max_upload_mib: int = Field(200, ge=1, le=2000)
    max_files: int = Field(200, ge=1, le=5000)
    max_session_mib: int = Field(1024, ge=1)

    @property
    def limits(self) -> Limits:
        """Bounds on one film: less than the reader allows, because a page has many users."""
        return Limits(max_bytes=self.max_upload_mib * MEBIBYTE, max_pixels=50_000_000)

    def to_environment(self) -> None:
        """Hand the settings to the script that Streamlit runs in this process."""
        os.environ[VARIABLE] = self.model_dump_json()

    @classmethod
    def from_environment(cls) -> Self:
        """The settings that were handed over, or the usual ones.

        Raises:
            pydantic.ValidationError: the variable holds something else.
        """
        return cls.model_validate_json(os.environ.get(VARIABLE, "{}"))
