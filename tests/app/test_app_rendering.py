"""What is sent to the browser is the film, to the last grey value, and the mask, to the pixel."""

import json
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest

from pleura.app.outline import filled
from pleura.app.rendering import contours_of, film, heat_of, thumbnail
from pleura.masks import Letterbox


def opened(content: bytes) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Header, heat map and grey values, as film.js reads them."""
    assert content[:4] == b"PLF1"
    (length,) = struct.unpack("<I", content[4:8])
    header = json.loads(content[8 : 8 + length])
    rows, columns = header["rows"], header["columns"]
    heat_rows, heat_columns = header["heat"] or (0, 0)
    end = 8 + length + heat_rows * heat_columns
    heat = np.frombuffer(content[8 + length : end], np.uint8).reshape(heat_rows, heat_columns)
    planes = np.frombuffer(zlib.decompress(content[end:]), np.uint8).reshape(2, rows, columns)
    folded = planes[0].astype(np.int64) << 8 | planes[1]
    steps = (folded >> 1) ^ -(folded & 1)
    return header, heat, np.cumsum(steps, axis=1)


def test_a_film_of_8_bits_arrives_as_it_is() -> None:
    values = np.random.default_rng(0).integers(0, 256, (211, 307))
    header, _, grey = opened(film("token", (values / 255).astype(np.float32), None))
    assert header["bits"] == 8
    assert header["token"] == "token"
    assert (grey == values).all()


def test_a_film_of_12_bits_keeps_them() -> None:
    values = np.random.default_rng(0).integers(0, 4096, (200, 333))
    header, _, grey = opened(film("t", (values / 4095).astype(np.float32), None))
    assert header["bits"] == 12
    assert (grey == values).all()


def test_one_fine_value_makes_a_film_fine() -> None:
    pixels = np.zeros((300, 200), dtype=np.float32)
    pixels[5, 7] = 0.5
    header, _, grey = opened(film("t", pixels, None))
    assert header["bits"] == 12
    assert grey[5, 7] == 2048


def test_steps_over_the_whole_range_survive() -> None:
    pixels = np.zeros((4, 200), dtype=np.float32)
    pixels[:, ::2] = 1.0
    pixels[2, 3] = 0.1234
    _, _, grey = opened(film("t", pixels, None))
    assert (grey[0, ::2] == 4095).all()
    assert (grey[0, 1::2] == 0).all()
    assert (grey[2, 3], grey[3, -1]) == (round(0.1234 * 4095), 0)


def test_the_heat_map_lies_on_the_film() -> None:
    letterbox = Letterbox(rows=900, columns=600, size=384)
    network_map = np.zeros((192, 192), dtype=np.float32)
    top, left, _, _ = (side // 2 for side in letterbox.content_box)
    network_map[top : top + 96, left : left + 64] = 1.0  # the upper left quarter of the film
    _, heat, _ = opened(
        film("t", np.zeros((900, 600), np.float32), heat_of(network_map, letterbox))
    )
    rows, columns = heat.shape
    assert max(rows, columns) == 512
    assert (heat[: rows // 2 - 6, : columns // 2 - 6] == 255).all()
    assert (heat[rows // 2 + 6 :] == 0).all()
    assert (heat[:, columns // 2 + 6 :] == 0).all()


def test_outlines_fill_to_the_mask_again() -> None:
    mask = np.zeros((120, 150), dtype=np.bool_)
    mask[20:80, 30:90] = True
    mask[40:60, 50:70] = False  # a hole
    mask[100:104, 10:13] = True
    outlines = contours_of(mask)
    assert len(outlines) == 3
    drawn = np.zeros(mask.shape, dtype=np.uint8)
    corners = [np.array(outline, dtype=np.int32).reshape(-1, 1, 2) for outline in outlines]
    cv2.drawContours(drawn, corners, -1, 1, cv2.FILLED)
    inner = cv2.erode(mask.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    outer = cv2.dilate(mask.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert (drawn[inner] == 1).all()
    assert (drawn[~outer] == 0).all()


def test_a_thumbnail_is_small_and_upright() -> None:
    pixels = np.zeros((1000, 500), dtype=np.float32)
    pixels[:500] = 1.0
    small = cv2.imdecode(np.frombuffer(thumbnail(pixels), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert small.shape == (112, 56)
    assert small[:50].mean() > 250
    assert small[62:].mean() < 5


def inside(points: list[tuple[float, float]], x: float, y: float) -> bool:
    """The even-odd rule by its definition: edges that a ray to the right crosses."""
    crossings = 0
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        if (y0 <= y < y1) or (y1 <= y < y0):
            crossings += x0 + (y - y0) / (y1 - y0) * (x1 - x0) > x
    return crossings % 2 == 1


@pytest.mark.parametrize("grid", [0.0, 0.5], ids=["anywhere", "corners on centres"])
@pytest.mark.parametrize("seed", range(8))
def test_a_drawn_polygon_is_the_pixels_whose_centre_it_holds(seed: int, grid: float) -> None:
    rng = np.random.default_rng(seed)
    drawn = rng.uniform(-5, 45, (int(rng.integers(3, 9)), 2))
    drawn = np.round(drawn / grid) * grid if grid else drawn
    points = [(float(x), float(y)) for x, y in drawn]
    mask = filled(points, (32, 40))
    expected = [[inside(points, x + 0.5, y + 0.5) for x in range(40)] for y in range(32)]
    assert (mask == np.array(expected)).all()


def test_a_drawn_box_of_whole_pixels_is_that_box() -> None:
    mask = filled([(10, 5), (20, 5), (20, 9), (10, 9)], (30, 30))
    expected = np.zeros((30, 30), dtype=np.bool_)
    expected[5:9, 10:20] = True
    assert (mask == expected).all()


def test_a_shape_outside_of_the_film_is_empty() -> None:
    assert not filled([(-9, -9), (-1, -9), (-1, -1)], (30, 30)).any()
    assert not filled([(40, 3), (50, 3), (50, 8)], (30, 30)).any()
