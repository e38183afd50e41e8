"""The input gate: header first, then the picture; what is said, what is refused, what is corrected.

Strictness is the caller's choice. A picture is only turned or inverted where the caller asks for
it, and the result says so.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pleura.errors import (
    CutOffError,
    InvertedPictureError,
    LateralPictureError,
    LowContrastError,
    NoRadiographError,
    OtherBodyPartError,
    PhotographedError,
    RefusedInputError,
    TurnedPictureError,
)
from pleura.quality.picture import PictureScores
from pleura.quality.spec import INVERTED, TURNED, Kind, Limit
from pleura.radiograph import Notice


class Strictness(StrEnum):
    """What the gate does with a picture that it finds wrong.

    `REFUSE` judges no picture that it is sure of being wrong, and warns of the doubtful; `WARN`
    judges everything and says what is wrong; `OFF` does not look at the picture.
    """

    REFUSE = "refuse"
    WARN = "warn"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class GateSettings:
    """How the input gate behaves.

    Attributes:
        strictness: see `Strictness`.
        correct: turn a picture that lies on its side or upside down, and invert one with black and
            white exchanged, before it is judged, instead of refusing it.
    """

    strictness: Strictness = Strictness.REFUSE
    correct: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of one picture.

    Attributes:
        warnings: what the reader of the result should know.
        refusal: why the picture must not be judged; None when it may.
        quarter_turns: to the right, that make it upright; 0 unless it shall be corrected.
        invert: black and white shall be exchanged.
    """

    warnings: tuple[Notice, ...] = ()
    refusal: RefusedInputError | None = None
    quarter_turns: int = 0
    invert: bool = False


_SENTENCES: dict[str, tuple[type[RefusedInputError], str]] = {
    Kind.LATERAL: (LateralPictureError, "The picture looks like a lateral view."),
    Kind.OTHER_PART: (
        OtherBodyPartError,
        "The picture looks like a radiograph of another part of the body.",
    ),
    Kind.NO_RADIOGRAPH: (NoRadiographError, "The picture does not look like a radiograph."),
    Kind.CUT_OFF: (CutOffError, "A large part of the lungs seems to lie outside the picture."),
    Kind.PHOTOGRAPHED: (
        PhotographedError,
        "The picture looks like a photograph of a screen or a film.",
    ),
    TURNED: (TurnedPictureError, "The picture seems to be turned by {degrees} degrees."),
    INVERTED: (InvertedPictureError, "Black and white seem to be exchanged in the picture."),
}

LOWEST_CONTRAST = 0.12
"""Distance of the 5th and 95th percentile of the picture's middle, below which nothing is seen.

The training split's 4,015 radiographs have 0.149 at least, and 0.243 all but one in a thousand.
"""
_MIDDLE = 0.1  # share of each border that is left out


def judge(
    pixels: NDArray[np.float32],
    scores: PictureScores,
    limits: dict[str, Limit],
    settings: GateSettings,
) -> Verdict:
    """Hold what the network saw, and the picture's contrast, against the limits.

    Args:
        pixels: float32, (rows, columns), in [0, 1].
        scores: of the same picture.
        limits: of the gate.
        settings: strictness, and whether to correct.
    """
    doubt = 1 - scores.kinds[Kind.FRONTAL]
    kind = max(
        (kind for kind in Kind if kind is not Kind.FRONTAL), key=lambda kind: scores.kinds[kind]
    )
    found = [_held(kind, doubt, limits, settings)]
    if doubt < limits[kind].refuse:  # how a picture of something else is turned, nobody knows
        turns = int(np.argmax(scores.turns))
        sideways = 1 - scores.turns[0] if turns else 0.0
        found.append(_held(TURNED, sideways, limits, settings, turns))
        found.append(_held(INVERTED, scores.inverted, limits, settings))
    if contrast(pixels) < LOWEST_CONTRAST:
        found.append(
            _said(LowContrastError("The picture has hardly any contrast."), True, settings)
        )
    return Verdict(
        warnings=tuple(notice for one in found for notice in one.warnings),
        refusal=next((one.refusal for one in found if one.refusal is not None), None),
        quarter_turns=max(one.quarter_turns for one in found),
        invert=any(one.invert for one in found),
    )


def contrast(pixels: NDArray[np.float32]) -> float:
    """Distance of the 5th and 95th percentile of the middle of a picture, in [0, 1]."""
    rows, columns = pixels.shape
    top, left = int(rows * _MIDDLE), int(columns * _MIDDLE)
    step = max(1, min(rows, columns) // 128)
    middle = pixels[top : rows - top : step, left : columns - left : step]
    low, high = np.percentile(middle, [5, 95])
    return float(high - low)


def _held(
    fault: str,
    probability: float,
    limits: dict[str, Limit],
    settings: GateSettings,
    turns: int = 0,
) -> Verdict:
    """One thing that may be wrong, against its limits."""
    limit = limits[fault]
    if probability < limit.warn:
        return Verdict()
    kind, sentence = _SENTENCES[fault]
    sure = probability >= limit.refuse
    error = kind(sentence.format(degrees=90 * turns))
    if sure and settings.correct and fault in (TURNED, INVERTED):
        note = f"{error.message} It was corrected before it was judged; masks lie on the file."
        return Verdict(
            warnings=(Notice(f"{error.code}_corrected", note),),
            quarter_turns=turns,
            invert=fault == INVERTED,
        )
    return _said(error, sure, settings)


def _said(error: RefusedInputError, sure: bool, settings: GateSettings) -> Verdict:
    if sure and settings.strictness is Strictness.REFUSE:
        return Verdict(refusal=error)
    return Verdict(warnings=(Notice(error.code, error.message),))
