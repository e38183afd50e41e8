"""Files for the comparison with dcmtk: each photometric interpretation, window, table and depth."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from dicom_maker import DX, gradient, table

EXACT = 2 / 65535
ROUNDED = 1.5 / 255
STEP_OF_8_BITS = 1 / 255 + EXACT
STEP_OF_12_BITS = 1 / 4095 + EXACT


@dataclass(frozen=True)
class Case:
    """A file made here, and how dcmtk is asked to show it."""

    name: str
    pixels: np.ndarray
    options: list[str]
    elements: dict[str, Any] = field(default_factory=dict)
    deep: bool = True
    bound: float = EXACT


def deep(low: int, high: int, dtype: Any = np.uint16) -> np.ndarray:
    return gradient(60, 80, low, high, dtype)


SHALLOW = gradient(60, 80)
WI, WL, WM = ["+Wi", "1"], ["+Wl", "1"], ["+Wm"]
WINDOW = {"WindowCenter": 900.0, "WindowWidth": 1200.0}
RAMP = np.rint(4095 * (np.arange(4096) / 4095) ** 0.5).astype(np.uint16)

CASES = [
    Case("8-bit", SHALLOW, ["-W"], deep=False, bound=STEP_OF_8_BITS),
    Case(
        "8-bit-inverted",
        SHALLOW,
        ["-W"],
        {"PhotometricInterpretation": "MONOCHROME1"},
        deep=False,
        bound=STEP_OF_8_BITS,
    ),
    Case("12-bit-range", deep(37, 3001), WM, {"BitsStored": 12}),
    Case("16-bit-range", deep(0, 65535), WM),
    Case("signed-range", deep(-2000, 1500, np.int16), WM),
    Case("window", deep(0, 4095), WI, {"BitsStored": 12, **WINDOW}),
    Case(
        "window-of-several", deep(0, 4095), WI, {"WindowCenter": [900, 9], "WindowWidth": [70, 9]}
    ),
    Case("width-1", deep(0, 4095), WI, {"WindowCenter": 900, "WindowWidth": 1}),
    Case(
        "sigmoid",
        deep(0, 4095),
        WI,
        {"BitsStored": 12, "VOILUTFunction": "SIGMOID", **WINDOW},
    ),
    Case(
        "inverted-window",
        deep(0, 4095),
        WI,
        {"BitsStored": 12, "PhotometricInterpretation": "MONOCHROME1", **WINDOW},
    ),
    Case(
        "inverted-by-both",
        deep(0, 4095),
        WI,
        {
            "BitsStored": 12,
            "PhotometricInterpretation": "MONOCHROME1",
            "PresentationLUTShape": "INVERSE",
            "SOPClassUID": DX,
            "Modality": "DX",
            **WINDOW,
        },
    ),
    Case(
        "inverse-shape",
        deep(0, 4095),
        [*WI, "+Piv"],
        {"BitsStored": 12, "PresentationLUTShape": "INVERSE", **WINDOW},
    ),
    Case(
        "rescale",
        deep(0, 4095),
        WI,
        {"BitsStored": 12, "RescaleSlope": 2, "RescaleIntercept": -1024, **WINDOW},
    ),
    Case(
        "rescale-fraction",
        deep(0, 4095),
        WI,
        {"BitsStored": 12, "RescaleSlope": 0.37, "RescaleIntercept": 10.5, **WINDOW},
        bound=ROUNDED,
    ),
    Case(
        "negative-slope",
        deep(0, 4095),
        WI,
        {"BitsStored": 12, "RescaleSlope": -1, "RescaleIntercept": 4095, **WINDOW},
    ),
    Case(
        "signed-12-of-16",
        deep(-2048, 2047, np.int16),
        WI,
        {"BitsStored": 12, "WindowCenter": -100, "WindowWidth": 3000},
    ),
    Case(
        "high-bit-15",
        (deep(0, 4095) << 4).astype(np.uint16),
        WI,
        {"BitsStored": 12, "HighBit": 15, **WINDOW},
    ),
    Case(
        "foreign-bits",
        (deep(0, 4095) | 0xA000).astype(np.uint16),
        WI,
        {"BitsStored": 12, **WINDOW},
    ),
    Case(
        "voi-lut",
        deep(0, 4095),
        WL,
        {"BitsStored": 12, "VOILUTSequence": table(0, RAMP, 12)},
        bound=STEP_OF_12_BITS,
    ),
    Case(
        "voi-lut-short",
        deep(0, 4095),
        WL,
        {"BitsStored": 12, "VOILUTSequence": table(500, RAMP[:2000], 12)},
        bound=STEP_OF_12_BITS,
    ),
    Case(
        "modality-lut",
        deep(0, 4095),
        WI,
        {"BitsStored": 12, "ModalityLUTSequence": table(0, RAMP, 12), **WINDOW},
    ),
    Case(
        "both-luts-inverted",
        deep(0, 4095),
        WL,
        {
            "BitsStored": 12,
            "ModalityLUTSequence": table(0, RAMP[::-1], 12),
            "VOILUTSequence": table(0, RAMP, 12),
            "PhotometricInterpretation": "MONOCHROME1",
        },
        bound=STEP_OF_12_BITS,
    ),
]
