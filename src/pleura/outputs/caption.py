"""Text burned into a picture so that it can be read at the picture's own size, large or small."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
_FONT = cv2.FONT_HERSHEY_SIMPLEX
# Scale 1 draws capitals about 22 pixels high; below 0.3 the strokes of a letter run together.
_SCALE_PER_PIXEL = 1.0 / 1200.0
_MIN_SCALE, _MAX_SCALE = 0.3, 4.0
_MAX_SHARE_OF_HEIGHT = 0.5
_BAR_LINE = "0 1"  # takes the room of the colour scale's line
_BAR_LENGTH = 10  # of the colour scale, in heights of a line


@dataclass(frozen=True, slots=True)
class _Layout:
    lines: tuple[str, ...]
    scale: float
    thickness: int
    line_height: int


def burn_in(
    picture: NDArray[np.uint8],
    lines: tuple[str, ...],
    colours: tuple[Colour, ...],
    scale: NDArray[np.uint8] | None = None,
) -> None:
    """Draw lines of text into the lower left corner, in place.

    The lower corner shows the abdomen, where a pneumothorax does not lie. Lines that are wider than
    the picture are broken between words, and the letters shrink until everything fits.

    Args:
        picture: uint8, (rows, columns, 3), blue-green-red.
        lines: ASCII text.
        colours: one for each line, blue-green-red.
        scale: uint8, (n, 3): colours of a bar that stands above the lines, between 0 and 1, in the
            colour of the last line; None for no bar.
    """
    rows, columns = picture.shape[:2]
    margin = max(2, round(0.015 * min(rows, columns)))
    above = () if scale is None else (_BAR_LINE,)
    layouts = _fit((*above, *lines), columns - 2 * margin, rows)
    height = sum(len(layout.lines) * layout.line_height for layout in layouts)
    top = max(0, rows - margin - height)
    baseline = rows - margin - height - top
    if scale is not None:
        layout = layouts.pop(0)
        baseline += layout.line_height
        origin = (margin, baseline - layout.line_height // 4)
        _draw_scale(picture[top:], scale, origin, layout, colours[-1])
    for layout, colour in zip(layouts, colours, strict=True):
        for text in layout.lines:
            baseline += layout.line_height
            _draw(picture[top:], text, (margin, baseline - layout.line_height // 4), layout, colour)


def _draw(
    picture: NDArray[np.uint8],
    text: str,
    origin: tuple[int, int],
    layout: _Layout,
    colour: Colour,
) -> None:
    """One line in its colour, with a dark rim that keeps the letters apart from bone."""
    letters = np.zeros(picture.shape[:2], dtype=np.uint8)
    cv2.putText(
        letters, text, origin, _FONT, layout.scale, 255, layout.thickness, lineType=cv2.LINE_AA
    )
    # Spread from the letters themselves: a second, heavier text has other widths in OpenCV 5.
    reach = 2 * max(1, layout.thickness) + 1
    rim = cv2.dilate(letters, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    drawn = rim > 0
    cover = letters[drawn, None].astype(np.float32) / 255.0
    shade = 1.0 - rim[drawn, None].astype(np.float32) / 255.0
    below = picture[drawn].astype(np.float32) * shade
    ink = np.array(colour, dtype=np.float32)
    picture[drawn] = np.rint(below * (1.0 - cover) + ink * cover).astype(np.uint8)


def _draw_scale(
    picture: NDArray[np.uint8],
    scale: NDArray[np.uint8],
    origin: tuple[int, int],
    layout: _Layout,
    colour: Colour,
) -> None:
    """A bar in the colours of a scale, as high as a capital, with 0 before and 1 behind it."""
    left, baseline = origin
    digit = _width("0", layout.scale, layout.thickness)
    gap = layout.line_height // 4
    start = left + digit + gap
    room = picture.shape[1] - left - digit - gap - start
    length = max(1, min(_BAR_LENGTH * layout.line_height, room))
    height = max(3, round(22 * layout.scale))
    bar = cv2.resize(scale[None], (length, height), interpolation=cv2.INTER_LINEAR)
    top = max(0, baseline - height)
    picture[top:baseline, start : start + length] = bar[: baseline - top]
    _draw(picture, "0", (left, baseline), layout, colour)
    _draw(picture, "1", (start + length + gap, baseline), layout, colour)


def _fit(lines: tuple[str, ...], width: int, rows: int) -> list[_Layout]:
    """The largest letters, up to the usual size, with which all lines fit."""
    scale = min(max((width + rows) / 2 * _SCALE_PER_PIXEL, _MIN_SCALE), _MAX_SCALE)
    while True:
        layouts = [_layout(line, width, scale) for line in lines]
        height = sum(len(layout.lines) * layout.line_height for layout in layouts)
        widest = max(_width(t, lay.scale, lay.thickness) for lay in layouts for t in lay.lines)
        if scale <= _MIN_SCALE or (widest <= width and height <= _MAX_SHARE_OF_HEIGHT * rows):
            return layouts
        scale = max(_MIN_SCALE, scale * 0.9)


def _layout(line: str, width: int, scale: float) -> _Layout:
    thickness = max(1, round(1.8 * scale))
    broken: list[str] = []
    for word in line.split():
        joined = f"{broken[-1]} {word}" if broken else word
        if broken and _width(joined, scale, thickness) <= width:
            broken[-1] = joined
        else:
            broken.append(word)
    return _Layout(tuple(broken), scale, thickness, max(8, round(34 * scale)))


def _width(text: str, scale: float, thickness: int) -> int:
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    return int(width)
