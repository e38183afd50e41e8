"""All published masks: decoded, written again, and compared pixel by pixel."""

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pleura.masks import RunLengthConvention, area, decode, decode_union, encode

SHAPE = (1024, 1024)


def fill_by_loop(flat: NDArray[np.bool_], rle: str) -> None:
    """Set the column-major pixels of a SIIM-ACR string, run by run."""
    if rle.strip() == "-1":
        return
    numbers = [int(number) for number in rle.split()]
    position = 0
    for gap, length in zip(numbers[0::2], numbers[1::2], strict=True):
        position += gap
        flat[position : position + length] = True
        position += length


@pytest.mark.real_data
def test_every_published_mask_survives(real_data: Path) -> None:
    rows: dict[str, list[str]] = {}
    with (real_data / "masks.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            rows.setdefault(row["id"], []).append(row["rle"])
    assert rows
    assert any(len(rles) > 1 for rles in rows.values())
    for index, rles in enumerate(rows.values()):
        expected = np.zeros(SHAPE[0] * SHAPE[1], dtype=np.bool_)
        for rle in rles:
            fill_by_loop(expected, rle)
        mask = decode_union(rles, SHAPE)
        assert np.array_equal(mask.T, expected.reshape(SHAPE[::-1]))
        rewritten = encode(mask)
        assert np.array_equal(decode(rewritten, SHAPE), mask)
        assert area(rewritten, SHAPE) == np.count_nonzero(expected)
        if index % 8 == 0:
            for convention in RunLengthConvention:
                assert np.array_equal(decode(encode(mask, convention), SHAPE, convention), mask)
