import logging
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pleura.data.cache import open_cache
from pleura.data.columns import COLUMNS, NO_MASK, conform
from pleura.data.index import Index
from pleura.errors import DataError, NotFoundError
from pleura.io import read_radiograph
from pleura.masks import Letterbox, RunLengthConvention, encode

SIZE = 64
_UNKNOWN = {"str": "", "float64": float("nan")}


def _write_images(root: Path, shapes) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    images = []
    for number, (rows, columns) in enumerate(shapes):
        image = cv2.GaussianBlur(rng.integers(0, 256, (rows, columns), dtype=np.uint8), (0, 0), 2)
        cv2.imwrite(str(root / f"image{number}.png"), image)
        images.append(image)
    return images


def _index(root: Path, masks) -> Index:
    """A row for each mask; None for a negative."""
    rows = []
    for number, mask in enumerate(masks):
        row = {c.name: _UNKNOWN.get(c.dtype, pd.NA) for c in COLUMNS}
        row |= {
            "image_id": f"image{number}",
            "path": f"image{number}.png",
            "label": int(mask is not None),
            "rle": NO_MASK,
            "split": "train",
            "group": f"patient{number}",
            "group_known": True,
        }
        if mask is not None:
            row["rle"] = encode(mask, RunLengthConvention.SIIM_RELATIVE)
            row["mask_rows"], row["mask_columns"] = mask.shape
        rows.append(row)
    return Index(conform(pd.DataFrame(rows)), root, "test")


def _mask(rows, columns):
    mask = np.zeros((rows, columns), bool)
    mask[rows // 4 : rows // 2, columns // 8 : columns // 3] = True
    return mask


@pytest.fixture
def index(tmp_path):
    shapes = [(256, 256), (320, 200), (220, 300)]
    _write_images(tmp_path, shapes)
    return _index(tmp_path, [_mask(256, 256), None, _mask(660, 900)])


def test_holds_what_direct_decoding_gives(index, tmp_path):
    cache = open_cache(index, index.table, SIZE, tmp_path / "cache")
    assert cache.images.shape == cache.masks.shape == (3, SIZE, SIZE)
    assert cache.images.dtype == cache.masks.dtype == np.uint8
    assert cache.size == SIZE
    assert cache.image_ids == ("image0", "image1", "image2")
    assert cache.refused == {}
    for number in range(3):
        radiograph = read_radiograph(tmp_path / f"image{number}.png")
        grid = Letterbox(*radiograph.shape, SIZE).apply(radiograph.pixels)
        assert np.abs(cache.images[number] / 255 - grid).max() <= 0.5 / 255 + 1e-6


def test_holds_the_masks_as_covered_shares(index, tmp_path):
    cache = open_cache(index, index.table, SIZE, tmp_path / "cache")
    quartered = _mask(256, 256).reshape(64, 4, 64, 4).mean((1, 3))
    np.testing.assert_allclose(cache.masks[0] / 255, quartered, atol=0.5 / 255 + 1e-6)
    assert not cache.masks[1].any()
    # a mask on a finer grid than its image covers the same share of the square
    expected = Letterbox(660, 900, SIZE).apply_mask(_mask(660, 900))
    np.testing.assert_allclose(cache.masks[2] / 255, expected, atol=0.5 / 255 + 1e-6)


def test_is_built_once_and_then_mapped(index, tmp_path):
    first = open_cache(index, index.table, SIZE, tmp_path / "cache")
    for image in tmp_path.glob("*.png"):
        image.unlink()
    second = open_cache(index, index.table, SIZE, tmp_path / "cache")
    assert np.array_equal(first.images, second.images)
    assert isinstance(second.images, np.memmap)
    assert not second.images.flags.writeable
    assert len(list((tmp_path / "cache").iterdir())) == 1  # nothing half-made is left


def test_refused_images_are_listed_and_counted(index, tmp_path, caplog):
    (tmp_path / "image0.png").write_bytes(b"not an image")
    (tmp_path / "image2.png").write_bytes((tmp_path / "image2.png").read_bytes()[:600])
    with caplog.at_level(logging.WARNING):
        cache = open_cache(index, index.table, SIZE, tmp_path / "cache")
    assert cache.refused == {"image0": "not_an_image", "image2": "truncated"}
    assert cache.image_ids == ("image1",)
    assert cache.images.shape == (1, SIZE, SIZE)
    expected = read_radiograph(tmp_path / "image1.png")
    grid = Letterbox(*expected.shape, SIZE).apply(expected.pixels)
    assert np.abs(cache.images[0] / 255 - grid).max() <= 0.5 / 255 + 1e-6
    assert "2 images were refused" in caplog.text
    assert "image0" not in caplog.text  # an identifier may name a patient


def test_subsets_of_one_size_have_caches_of_their_own(index, tmp_path):
    first = open_cache(index, index.table.iloc[[0, 1]], SIZE, tmp_path / "cache")
    second = open_cache(index, index.table.iloc[[1, 2]], SIZE, tmp_path / "cache")
    assert first.image_ids == ("image0", "image1")
    assert second.image_ids == ("image1", "image2")
    assert np.array_equal(first.images[1], second.images[0])


def test_another_size_has_a_cache_of_its_own(index, tmp_path):
    assert open_cache(index, index.table, 32, tmp_path / "cache").size == 32
    assert open_cache(index, index.table, SIZE, tmp_path / "cache").size == SIZE


def test_nothing_to_decode_is_an_error_and_leaves_nothing_behind(index, tmp_path):
    for image in tmp_path.glob("*.png"):
        image.write_bytes(b"not an image")
    with pytest.raises(DataError, match="Not one image"):
        open_cache(index, index.table, SIZE, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("image2.png", NotFoundError),
        ("away.tar#image2.png", NotFoundError),
        ("whole.tar#image2.png", NotFoundError),
        ("damaged.tar#image2.png", DataError),
    ],
)
def test_an_image_that_is_not_there_ends_the_build_and_is_not_remembered(
    index, tmp_path, path, error
):
    kept = (tmp_path / "image2.png").read_bytes()
    (tmp_path / "image2.png").unlink()
    (tmp_path / "damaged.tar").write_bytes(b"no archive")
    with tarfile.open(tmp_path / "whole.tar", "w") as archive:
        archive.add(tmp_path / "image1.png", "image1.png")
    table = index.table.copy()
    table.loc[2, "path"] = path
    moved = Index(table, index.root, index.layout)
    with pytest.raises(error) as caught:
        open_cache(moved, moved.table, SIZE, tmp_path / "cache")
    assert "data.root" in caught.value.hint
    assert list((tmp_path / "cache").iterdir()) == []
    (tmp_path / "image2.png").write_bytes(kept)
    assert open_cache(index, index.table, SIZE, tmp_path / "cache").refused == {}


def test_a_damaged_cache_is_named(index, tmp_path):
    open_cache(index, index.table, SIZE, tmp_path / "cache")
    (place,) = (tmp_path / "cache").iterdir()
    (place / "masks.npy").write_bytes(b"")
    with pytest.raises(DataError, match="is damaged") as caught:
        open_cache(index, index.table, SIZE, tmp_path / "cache")
    assert "Delete" in caught.value.hint
