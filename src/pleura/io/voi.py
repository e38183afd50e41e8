"""Values of interest: which part of the modality values becomes black to white (PS3.3 C.11.2)."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pleura.io import tags
from pleura.io.elements import Header
from pleura.radiograph import Notice


class VoiChoice(StrEnum):
    """Which transformation is applied; the fallbacks are those of `AUTO`.

    Attributes:
        AUTO: VOI LUT Sequence, else window, else `FULL` for at most 8 stored bits without a
            modality transformation (such values are made for display already), else `RANGE`.
        WINDOW: the window even where there is a VOI LUT Sequence.
        RANGE: from the smallest to the largest value that is no padding.
        FULL: from the smallest to the largest value that the stored bits can express.
    """

    AUTO = "auto"
    WINDOW = "window"
    RANGE = "range"
    FULL = "full"


class VoiFunction(StrEnum):
    """VOI LUT Function (0028,1056)."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True)
class Window:
    """Window centre, width and function."""

    center: float
    width: float
    function: VoiFunction

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map modality values to [0, 1] by the formulas of PS3.3 C.11.2.1.2.1 and C.11.2.1.3."""
        # What overflows in a window beyond all values is black or white all the same.
        with np.errstate(over="ignore"):
            if self.function is VoiFunction.SIGMOID:
                return 1.0 / (1.0 + np.exp(-4.0 * (values - self.center) / self.width))
            if self.function is VoiFunction.LINEAR_EXACT:
                return np.clip((values - self.center) / self.width + 0.5, 0.0, 1.0)
            if self.width == 1.0:
                return np.where(values <= self.center - 0.5, 0.0, 1.0)
            scaled = (values - (self.center - 0.5)) / (self.width - 1.0) + 0.5
            return np.clip(scaled, 0.0, 1.0)


def read_window(header: Header) -> tuple[Window | None, tuple[Notice, ...]]:
    """The first usable window of a header; an unusable one is reported and left out."""
    centers = header.decimals(tags.WINDOW_CENTER)
    widths = header.decimals(tags.WINDOW_WIDTH)
    if not centers and not widths:
        return None, ()
    notices: list[Notice] = []
    function = VoiFunction.LINEAR
    named = header.text(tags.VOI_LUT_FUNCTION).upper()
    if named in set(VoiFunction):
        function = VoiFunction(named)
    elif named:
        notices.append(Notice("voi_function", "The VOI LUT Function is unknown; LINEAR is taken."))
    least = 1.0 if function is VoiFunction.LINEAR else np.finfo(np.float64).tiny
    pairs = list(zip(centers, widths, strict=False))
    usable = [(center, width) for center, width in pairs if np.isfinite(center) and width >= least]
    if len(usable) < max(len(centers), len(widths)):
        notices.append(Notice("window_ignored", "A window without a usable centre and width."))
    if not usable:
        return None, tuple(notices)
    if len(usable) > 1:
        notices.append(
            Notice("several_windows", f"The first of {len(usable)} windows was applied.")
        )
    return Window(*usable[0], function), tuple(notices)
