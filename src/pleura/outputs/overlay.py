"""The radiograph at its own size with what the model says of it, as a picture for the eye.

The mask is a contour with a light tint, so that the pleural line below stays visible.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.inference.prediction import Prediction, Refusal, Result
from pleura.outputs.caption import Colour, burn_in
from pleura.outputs.decimals import decimals_for
from pleura.outputs.names import FileNamer, input_name

FOLDER_NAME = "overlays"
DISCLAIMER = "Research software - not for diagnosis"
# Blue-green-red. Orange and grey keep apart for people who cannot tell red from green.
CONTOUR: Colour = (0, 165, 255)
NEGATIVE: Colour = (230, 230, 230)
TINT_SHARE = 0.22


def caption_of(prediction: Prediction) -> tuple[str, str, str]:
    """The three lines of text in the picture: finding, operating point, disclaimer."""
    point = prediction.operating_point
    finding = "Pneumothorax" if prediction.present else "No pneumothorax found"
    sign = ">=" if prediction.present else "<"
    name = point.name.encode("ascii", "replace").decode("ascii")
    decimals = decimals_for(prediction.probability, point.threshold, least=2)
    return (
        f"{finding}: probability {prediction.probability:.{decimals}f}",
        f"{sign} {point.threshold:.{decimals}f}, operating point '{name}'",
        DISCLAIMER,
    )


def draw_overlay(prediction: Prediction) -> NDArray[np.uint8]:
    """Draw the overlay.

    Returns:
        uint8, (rows, columns, 3) of the file, blue-green-red as OpenCV has it.
    """
    grey = np.rint(np.clip(prediction.radiograph.pixels, 0.0, 1.0) * 255.0).astype(np.uint8)
    picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    if prediction.mask.any():
        _tint(picture, prediction.mask)
        _outline(picture, prediction.mask)
    finding = CONTOUR if prediction.present else NEGATIVE
    burn_in(picture, caption_of(prediction), (finding, NEGATIVE, NEGATIVE))
    return picture


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """PNG bytes of a blue-green-red picture."""
    done, encoded = cv2.imencode(".png", picture)
    if not done:
        raise OSError("the picture cannot be encoded as PNG")
    return encoded.tobytes()


class OverlayWriter:
    """Writes `overlays/NAME.png` for each prediction, and nothing for a refused input.

    A picture appears under its name only when it is complete.

    Args:
        folder: where the folder `overlays` is made.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FOLDER_NAME
        self.path.mkdir(exist_ok=True)
        self._namer = FileNamer()

    def write(self, result: Result) -> None:
        """Draw and write one picture."""
        if isinstance(result, Refusal):
            return
        target = self.path / f"{self._namer.name(input_name(result))}.png"
        partial = target.with_suffix(".png.part")
        partial.write_bytes(encode_png(draw_overlay(result)))
        partial.replace(target)

    def close(self) -> None:
        """Nothing stays open between pictures."""


def _tint(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
    inside = picture[mask].astype(np.float32)
    colour = np.array(CONTOUR, dtype=np.float32)
    picture[mask] = np.rint(inside * (1.0 - TINT_SHARE) + colour * TINT_SHARE).astype(np.uint8)


def _outline(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    thickness = max(1, round(max(mask.shape) / 500))
    cv2.drawContours(picture, contours, -1, CONTOUR, thickness)
