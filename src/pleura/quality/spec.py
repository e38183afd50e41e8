"""What a model folder says of its picture gate: the network's file, its input, its thresholds."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class Kind(StrEnum):
    """What a picture may show; the gate's network gives a probability for each, in this order."""

    FRONTAL = "frontal"
    LATERAL = "lateral"
    OTHER_PART = "other_part"
    NO_RADIOGRAPH = "no_radiograph"
    CUT_OFF = "cut_off"
    PHOTOGRAPHED = "photographed"


class Limit(BaseModel):
    """Probabilities of one thing that is wrong, from which on something is said or done.

    Attributes:
        warn: from here on the result carries a warning.
        refuse: from here on the picture is not judged, where the strictness is `refuse`; above 1
            for never.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    warn: float = Field(ge=0.0)
    refuse: float = Field(ge=0.0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.warn > self.refuse:
            raise ValueError(f"the limit to warn at must not be above {self.refuse}")
        return self


class GateSpec(BaseModel):
    """The gate of one model.

    Attributes:
        file: ONNX file in the model folder: `image` (n, 1, size, size) to the logits `kind`
            (n, 6) in the order of `Kind`, `turn` (n, 4) for quarter turns to the left, and
            `inverted` (n, 1).
        sha256: of the file.
        size: side of the network's square input in pixels.
        mean: subtracted from pixels in [0, 1].
        std: divides afterwards.
        limits: by what is wrong: each `Kind` but the frontal one, `turned` and `inverted`.
        fitted_on: what it learned from and how the limits were chosen, in words.
        measured: figures, in words or numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(gt=0)
    mean: float
    std: float = Field(gt=0)
    limits: dict[str, Limit]
    fitted_on: str = ""
    measured: dict[str, Any] = {}

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if Path(self.file).name != self.file:
            raise ValueError(
                f"file must be a plain name inside the model folder, not {self.file!r}"
            )
        if set(self.limits) != set(FAULTS):
            raise ValueError(f"limits must be given for {', '.join(FAULTS)}")
        return self


TURNED, INVERTED = "turned", "inverted"
FAULTS = (*(kind.value for kind in Kind if kind is not Kind.FRONTAL), TURNED, INVERTED)
