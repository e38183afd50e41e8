"""The radiograph with the segmentation network's map over it: where it saw air, and how surely.

The overlay shows what was decided, the heat map what the decision was made from, below the
operating point, too.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.inference.prediction import Prediction
from pleura.outputs.caption import burn_in
from pleura.outputs.overlay import caption_of, colours_of
from pleura.outputs.pictures import PictureWriter, grey_picture

FOLDER_NAME = "heatmaps"
EXPLANATION = "Colour: probability per pixel"
# The pleural line must stay visible where the network is sure.
MOST_OPACITY = 0.6
# Perceptually uniform, and without the black end that would darken lung like air does.
_COLOURS = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_PLASMA)[:, 0]
# The scale is drawn over a middle grey; over dark lung its colours are darker, over bone lighter.
_SCALE_GREY = 128


def draw_heatmap(prediction: Prediction) -> NDArray[np.uint8]:
    """Draw the heat map; a pixel is covered in proportion to its probability of air.

    Where the probability rounds to 0 of 255 steps, the radiograph is untouched.

    Returns:
        uint8, (rows, columns, 3) of the file, blue-green-red as OpenCV has it.

    Raises:
        ValueError: the segmentation network was not run, so that there is no map.
    """
    if not prediction.segmented:
        raise ValueError("a heat map needs the segmenter: predict with always_segment")
    picture = grey_picture(prediction.radiograph)
    steps = np.rint(np.clip(prediction.probability_map, 0.0, 1.0) * 255.0).astype(np.uint8)
    covered = steps > 0
    picture[covered] = blend(picture[covered], steps[covered])
    finding, point, disclaimer = caption_of(prediction)
    first, *others = colours_of(prediction)
    burn_in(
        picture,
        (finding, point, EXPLANATION, disclaimer),
        (first, *others, others[-1]),
        scale=colour_scale(),
    )
    return picture


def blend(grey: NDArray[np.uint8], steps: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels under the colours of their probabilities.

    Args:
        grey: uint8, (n, 3), blue-green-red.
        steps: uint8, (n,): probability in steps of 1/255.

    Returns:
        uint8, (n, 3).
    """
    opacity = (MOST_OPACITY / 255.0 * steps.astype(np.float32))[:, None]
    mixed = grey * (1.0 - opacity) + _COLOURS[steps] * opacity
    return np.asarray(np.rint(mixed), dtype=np.uint8)


def colour_scale() -> NDArray[np.uint8]:
    """The colours from probability 0 to 1 over a middle grey, uint8, (256, 3)."""
    return blend(np.full((256, 3), _SCALE_GREY, dtype=np.uint8), np.arange(256, dtype=np.uint8))


class HeatmapWriter(PictureWriter):
    """Writes `heatmaps/NAME.png`, under the name that the overlay has.

    Args:
        folder: where the folder `heatmaps` is made.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / FOLDER_NAME, draw_heatmap)
