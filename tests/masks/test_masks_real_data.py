"""All published masks: decoded, written again, and compared as sets of pixels."""

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pleura.masks import RunLengthConvention, area, decode, decode_union, encode

SHAPE = (1024, 1024)


def pixels_by_loop(rles: list[str]) -> NDArray[np.int64]:
    """Sorted column-major indices of the union of SIIM-ACR strings, run by run."""
    flat = np.zeros(SHAPE[0] * SHAPE[1], dtype=np.bool_)
    for rle in rles:
        position = 0
        numbers = [] if rle.strip() == "-1" else [int(number) for number in rle.split()]
        for gap, length in zip(numbers[0::2], numbers[1::2], strict=True):
            position += gap
            flat[position : position + length] = True
            position += length
    return np.flatnonzero(flat)


@pytest.mark.real_data
def test_every_published_mask_survives(real_data: Path) -> None:
    rows: dict[str, list[str]] = {}
    with (real_data / "masks.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            rows.setdefault(row["id"], []).append(row["rle"])
    assert rows
    assert any(len(rles) > 1 for rles in rows.values())
    for index, rles in enumerate(rows.values()):
        expected = pixels_by_loop(rles)
        mask = decode_union(rles, SHAPE)
        assert np.count_nonzero(mask) == expected.size
        assert mask[expected % SHAPE[0], expected // SHAPE[0]].all()
        rewritten = encode(mask)
        assert np.array_equal(decode(rewritten, SHAPE), mask)
        assert area(rewritten, SHAPE) == expected.size
        if index % 8 == 0:
            for convention in RunLengthConvention:
                assert np.array_equal(decode(encode(mask, convention), SHAPE, convention), mask)
