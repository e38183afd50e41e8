"""The radiograph at its own size with what the model says of it, as a picture for the eye.

The mask is a contour with a light tint, so that the pleural line below stays visible.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.inference.prediction import Prediction
from pleura.outputs.caption import Colour, burn_in
from pleura.outputs.decimals import decimals_for
from pleura.outputs.pictures import DISCLAIMER, PictureWriter, grey_picture

FOLDER_NAME = "overlays"
# Blue-green-red. Orange and grey keep apart for people who cannot tell red from green.
CONTOUR: Colour = (0, 165, 255)
NEGATIVE: Colour = (230, 230, 230)
TINT_SHARE = 0.22


def caption_of(prediction: Prediction) -> tuple[str, str, str]:
    """The three lines of text in a picture: finding, operating point, disclaimer."""
    point = prediction.operating_point
    finding = "Pneumothorax" if prediction.present else "No pneumothorax found"
    sign = ">=" if prediction.present else "<"
    name = point.name.encode("ascii", "replace").decode("ascii")
    decimals = decimals_for(prediction.probability, point.threshold, least=2)
    spread = prediction.uncertainty
    views = "" if spread is None else f", spread of views {spread:.2f}"
    return (
        f"{finding}: probability {prediction.probability:.{decimals}f}{views}",
        f"{sign} {point.threshold:.{decimals}f}, operating point '{name}'",
        DISCLAIMER,
    )


def colours_of(prediction: Prediction) -> tuple[Colour, Colour, Colour]:
    """The colours of these three lines."""
    return (CONTOUR if prediction.present else NEGATIVE, NEGATIVE, NEGATIVE)


def draw_overlay(prediction: Prediction) -> NDArray[np.uint8]:
    """Draw the overlay.

    Returns:
        uint8, (rows, columns, 3) of the file, blue-green-red as OpenCV has it.
    """
    picture = grey_picture(prediction.radiograph)
    if prediction.mask.any():
        _tint(picture, prediction.mask)
        _outline(picture, prediction.mask)
    burn_in(picture, caption_of(prediction), colours_of(prediction))
    return picture


class OverlayWriter(PictureWriter):
    """Writes `overlays/NAME.png`.

    Args:
        folder: where the folder `overlays` is made.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / FOLDER_NAME, draw_overlay)


def _tint(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
    inside = picture[mask].astype(np.float32)
    colour = np.array(CONTOUR, dtype=np.float32)
    picture[mask] = np.rint(inside * (1.0 - TINT_SHARE) + colour * TINT_SHARE).astype(np.uint8)


def _outline(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    thickness = max(1, round(max(mask.shape) / 500))
    cv2.drawContours(picture, contours, -1, CONTOUR, thickness)
