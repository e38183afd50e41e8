"""Matched masks that a teacher finds in another place."""

import numpy as np
import pandas as pd
import pytest

from pleura.masks import RunLengthConvention, encode
from pleura.training.examples import load_examples
from pleura.training.mending import overlap
from tiny_model import write_model
from tiny_run import IMAGES, SIDE, STORED, config, write_data

WRONG, HELD_OUT, PUBLISHED, UNKNOWN, RIGHT = 3, 1, 5, 9, 11  # positives; fold 0 holds 0, 1, 6, 7


def corner() -> str:
    """A mask in the lower right corner, where no image has its bright box."""
    mask = np.zeros((STORED, STORED), bool)
    mask[236:, 236:] = True
    return encode(mask, RunLengthConvention.SIIM_RELATIVE)


@pytest.fixture
def root(tmp_path):
    """Twelve images; four positives have a mask that lies elsewhere, each of another kind."""
    write_data(tmp_path)
    true = list(pd.read_parquet(tmp_path / "index.parquet")["rle"])
    masks = [
        corner() if n in (WRONG, HELD_OUT, PUBLISHED, UNKNOWN) else true[n] for n in range(IMAGES)
    ]
    weights = [1.0] * IMAGES
    for number, weight in ((WRONG, 0.8), (HELD_OUT, 0.8), (UNKNOWN, 0.1), (RIGHT, 0.8)):
        weights[number] = weight
    write_data(tmp_path, rle=masks, mask_weight=weights)
    return tmp_path


def load(root, *overrides):
    return load_examples(config(root, root / "run", *overrides).data)


def test_only_a_trained_doubtful_mask_that_lies_elsewhere_is_replaced(root):
    plain = load(root)
    model = write_model(root / "model")
    mended = load(root, f"data.mending.teacher={model}")
    changed = [
        n
        for n in range(IMAGES)
        if not np.array_equal(plain.examples.masks[n], mended.examples.masks[n])
    ]
    assert changed == [WRONG, UNKNOWN]
    for number in changed:
        bright = mended.examples.images[number] > 230
        assert overlap(mended.examples.masks[number], 255 * bright.astype(np.uint8)) > 0.8
    assert plain.examples.mask_weights[[WRONG, UNKNOWN]].tolist() == pytest.approx([0.8, 0])
    assert mended.examples.mask_weights[[WRONG, UNKNOWN]].tolist() == pytest.approx([0.8, 0.7])
    np.testing.assert_array_equal(mended.validation, plain.validation)


def test_the_cache_is_left_as_it_was(root):
    before = load(root).examples.masks.copy()
    load(root, f"data.mending.teacher={write_model(root / 'model')}")
    np.testing.assert_array_equal(load(root).examples.masks, before)


def test_a_teacher_that_is_never_believed_changes_nothing(root):
    model = write_model(root / "model")
    mended = load(root, f"data.mending.teacher={model}", "data.mending.below=0")
    np.testing.assert_array_equal(mended.examples.masks, load(root).examples.masks)


def test_overlap():
    empty, half = np.zeros((SIDE, SIDE), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    half[: SIDE // 2] = 255
    assert (overlap(empty, empty), overlap(half, half), overlap(half, empty)) == (1, 1, 0)
    assert overlap(half, np.full_like(half, 255)) == pytest.approx(2 / 3)
