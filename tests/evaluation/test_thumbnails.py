"""What is drawn on a thumbnail, and where."""

import numpy as np

from pleura.evaluation.thumbnails import PREDICTED_COLOUR, SIDE, TRUE_COLOUR, draw_thumbnail


def box(shape, top, left, bottom, right):
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def drawn(picture, colour):
    rows, columns = np.nonzero((picture == colour).all(axis=-1))
    return rows.min(), columns.min(), rows.max(), columns.max()


def test_both_masks_are_outlined_each_from_its_own_grid():
    pixels = np.full((2 * SIDE, SIDE), 0.5, np.float32)
    true = box((4 * SIDE, 2 * SIDE), 400, 80, 800, 240)
    predicted = box(pixels.shape, 20, 20, 60, 100)
    picture = draw_thumbnail(pixels, true, predicted)
    assert picture.shape == (SIDE, SIDE // 2, 3)
    assert drawn(picture, TRUE_COLOUR) == (100, 20, 199, 59)
    assert drawn(picture, PREDICTED_COLOUR) == (10, 10, 29, 49)
    # Only outlines: what the reader should see stays visible.
    assert tuple(picture[150, 40]) == tuple(picture[60, 100]) == (128, 128, 128)


def test_a_region_of_one_pixel_is_seen():
    pixels = np.zeros((1000, 1000), np.float32)
    picture = draw_thumbnail(pixels, None, box(pixels.shape, 500, 500, 501, 501))
    assert drawn(picture, PREDICTED_COLOUR) == (120, 120, 120, 120)
    assert not (picture == TRUE_COLOUR).all(axis=-1).any()
