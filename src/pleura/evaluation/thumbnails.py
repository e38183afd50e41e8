"""Small pictures of the worst errors: the radiograph with the true and the predicted mask."""

import logging

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.index import Index
from pleura.data.sources import open_image
from pleura.evaluation.cases import forced_mask, true_mask
from pleura.evaluation.report import WorstErrors
from pleura.inference import Predictor

SIDE = 240
"""Longer side of a thumbnail in pixels."""
# Blue-green-red; told apart by readers with any colour vision (Okabe and Ito, 2008).
TRUE_COLOUR = (233, 180, 86)
PREDICTED_COLOUR = (0, 94, 213)
_log = logging.getLogger(__name__)


def draw_thumbnails(predictor: Predictor, index: Index, worst: WorstErrors) -> dict[str, bytes]:
    """Read the images of the lists of errors again and draw them; PNG bytes by image_id.

    A picture that cannot be made is left out and logged by its place in the lists: a report without
    it is better than none.

    Args:
        predictor: the model that was measured.
        index: where the files and the true masks lie.
        worst: the lists of errors.
    """
    listed = (*worst.missed, *worst.false_alarms, *worst.masks)
    names = list(dict.fromkeys(line.image_id for line in listed))
    rows = {
        str(row["image_id"]): row
        for row in index.table[index.table["image_id"].isin(names)].to_dict("records")
    }
    pictures: dict[str, bytes] = {}
    for place, name in enumerate(names, start=1):
        try:
            row = rows[name]
            raw = predictor.predict_raw(open_image(index.root, row["path"]))
            picture = draw_thumbnail(
                raw.radiograph.pixels, true_mask(row), forced_mask(predictor, raw, None)
            )
            pictures[name] = _png(picture)
        except Exception as error:  # whatever fails here, the figures are worth more
            _log.warning("no thumbnail of error %d: %s", place, type(error).__name__)
    return pictures


def draw_thumbnail(
    pixels: NDArray[np.float32],
    true: NDArray[np.bool_] | None,
    predicted: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """The radiograph with the outlines of both masks, the predicted one on top.

    Args:
        pixels: (rows, columns) in [0, 1].
        true: the true mask, on a grid of its own; None when it is unknown or there is none.
        predicted: the segmenter's mask, on a grid of its own.

    Returns:
        uint8, blue-green-red, the longer side `SIDE` pixels.
    """
    rows, columns = pixels.shape
    scale = SIDE / max(rows, columns)
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    grey = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    grey = np.rint(np.clip(grey, 0.0, 1.0) * 255.0).astype(np.uint8)
    picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    if true is not None:
        _outline(picture, true, TRUE_COLOUR)
    _outline(picture, predicted, PREDICTED_COLOUR)
    return picture


def _outline(
    picture: NDArray[np.uint8], mask: NDArray[np.bool_], colour: tuple[int, int, int]
) -> None:
    """Draw the mask's contours, found on its own grid so that small regions are not lost."""
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    ratio = np.array(picture.shape[1::-1]) / mask.shape[::-1]
    for contour in contours:
        places = np.floor((contour + 0.5) * ratio).astype(np.int32)
        cv2.polylines(picture, [places], isClosed=True, color=colour)


def _png(picture: NDArray[np.uint8]) -> bytes:
    done, encoded = cv2.imencode(".png", picture)
    if not done:
        raise OSError("the picture cannot be encoded as PNG")
    return encoded.tobytes()
