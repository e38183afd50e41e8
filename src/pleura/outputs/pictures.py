"""Pictures of predictions as PNG files: what the kinds of picture have in common."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.inference.prediction import Prediction, Refusal, Result
from pleura.outputs.names import FileNamer, input_name
from pleura.radiograph import Radiograph

DISCLAIMER = "Research software, not a medical device."


def grey_picture(radiograph: Radiograph) -> NDArray[np.uint8]:
    """The radiograph in grey, uint8, (rows, columns, 3) of the file."""
    grey = np.rint(np.clip(radiograph.pixels, 0.0, 1.0) * 255.0).astype(np.uint8)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """PNG bytes of a blue-green-red picture."""
    done, encoded = cv2.imencode(".png", picture)
    if not done:
        raise OSError("the picture cannot be encoded as PNG")
    return encoded.tobytes()


class PictureWriter:
    """Writes `NAME.png` for each prediction, and nothing for a refused input.

    A picture appears under its name only when it is complete. The same results in the same order
    get the same names, whatever the kind of picture.

    Args:
        path: the folder of the pictures; made when it does not exist.
        draw: one prediction as a picture, uint8, (rows, columns, 3), blue-green-red.
    """

    def __init__(self, path: Path, draw: Callable[[Prediction], NDArray[np.uint8]]) -> None:
        self.path = path
        self.path.mkdir(exist_ok=True)
        self._draw = draw
        self._namer = FileNamer()

    def write(self, result: Result) -> None:
        """Draw and write one picture."""
        if isinstance(result, Refusal):
            return
        target = self.path / f"{self._namer.name(input_name(result))}.png"
        partial = target.with_suffix(".png.part")
        partial.write_bytes(encode_png(self._draw(result)))
        partial.replace(target)

    def close(self) -> None:
        """Nothing stays open between pictures."""
