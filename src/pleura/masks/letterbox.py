"""From the file's grid to the square that a network takes, and back without a shift.

Coordinates count pixels from the upper left corner of the upper left pixel, so that the centre of
pixel i lies at i + 0.5: edges fall on edges and centres are kept at every scale.
"""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

_Pixel = TypeVar("_Pixel", np.uint8, np.float32)


@dataclass(frozen=True, slots=True)
class Letterbox:
    """A file's grid, centred in a square with its aspect kept.

    Attributes:
        rows: rows of the file.
        columns: columns of the file.
        size: side of the square in pixels.
    """

    rows: int
    columns: int
    size: int

    def __post_init__(self) -> None:
        if min(self.rows, self.columns, self.size) < 1:
            raise ValueError(f"rows, columns and size must be positive, not {self}")

    @property
    def is_identity(self) -> bool:
        """True when the file already is a square of this size."""
        return self.rows == self.columns == self.size

    @property
    def content_box(self) -> tuple[int, int, int, int]:
        """(top, left, bottom, right), half-open: the part of the square that shows the file."""
        long_side = max(self.rows, self.columns)
        # Whole pixels, so that the padding is exact; half a pixel at most is lost in the aspect.
        height = max(1, (2 * self.rows * self.size + long_side) // (2 * long_side))
        width = max(1, (2 * self.columns * self.size + long_side) // (2 * long_side))
        top, left = (self.size - height) // 2, (self.size - width) // 2
        return top, left, top + height, left + width

    def apply(self, pixels: NDArray[_Pixel], pad_value: float = 0.0) -> NDArray[_Pixel]:
        """Bring pixels to the square: area averages when shrinking, bilinear when enlarging.

        Args:
            pixels: uint8 or float32, (rows, columns).
            pad_value: value of the border, in the units of `pixels`.

        Returns:
            A new array of the same type, (size, size).

        Raises:
            ValueError: `pixels` is on another grid or of another type.
        """
        self._check(pixels)
        top, left, bottom, right = self.content_box
        shrinking = self.size < max(self.rows, self.columns)
        resized = cv2.resize(
            np.ascontiguousarray(pixels),
            (right - left, bottom - top),
            interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR,
        )
        square = np.full((self.size, self.size), pad_value, dtype=pixels.dtype)
        square[top:bottom, left:right] = resized.reshape(bottom - top, right - left)
        return square

    def apply_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Bring a mask to the square, as the share of each pixel that the mask covers.

        Args:
            mask: bool, (rows, columns).

        Returns:
            float32 in [0, 1], (size, size), 0 in the border; at least 0.5 is the mask itself.

        Raises:
            ValueError: `mask` is on another grid or not bool.
        """
        if mask.dtype != np.bool_:
            raise ValueError(f"mask must be bool, not {mask.dtype}")
        return np.clip(self.apply(mask.astype(np.float32)), 0.0, 1.0)

    def invert(self, square: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring a map of the square back to the file's grid: cut the border off, then bilinear.

        Args:
            square: float32, (side, side); `side` is `size`, or coarser by the network's stride.

        Returns:
            A new float32 array, (rows, columns).

        Raises:
            ValueError: `square` is not a square float32 map.
        """
        if square.ndim != 2 or square.shape[0] != square.shape[1] or square.dtype != np.float32:
            raise ValueError(f"map must be float32 (n, n), not {square.dtype} {square.shape}")
        square = np.ascontiguousarray(square)
        side = square.shape[0]
        box = np.array(self.content_box, dtype=np.int64)
        if (box * side % self.size).any():
            # The border ends inside a coarse cell: cut it on the network's own grid, where it ends
            # between pixels.
            square = _resize(square, self.size, self.size)
            side = self.size
        top, left, bottom, right = (box * side // self.size).tolist()
        return _resize(square[top:bottom, left:right], self.rows, self.columns)

    def _check(self, pixels: NDArray[np.uint8] | NDArray[np.float32]) -> None:
        if pixels.shape != (self.rows, self.columns):
            raise ValueError(f"pixels are {pixels.shape}, not {(self.rows, self.columns)}")
        if pixels.dtype not in (np.uint8, np.float32):
            raise ValueError(f"pixels must be uint8 or float32, not {pixels.dtype}")


def _resize(values: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    resized = cv2.resize(values, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.float32).reshape(rows, columns)
