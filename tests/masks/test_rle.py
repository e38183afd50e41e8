"""Run-length codecs: round trips and agreement with plain loops over pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pleura.masks import RunLengthConvention, area, decode, decode_union, encode

SIIM = RunLengthConvention.SIIM_RELATIVE
KAGGLE = RunLengthConvention.KAGGLE_ABSOLUTE
COCO = RunLengthConvention.COCO
COMPRESSED = RunLengthConvention.COCO_COMPRESSED

Mask = NDArray[np.bool_]

small_shapes = st.tuples(st.integers(1, 13), st.integers(1, 13))
noise = hnp.arrays(np.bool_, small_shapes)


@st.composite
def rectangles(draw: st.DrawFn) -> Mask:
    """Long runs on a grid that is not square, touching the borders as often as not."""
    rows, columns = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    mask = np.zeros((rows, columns), dtype=np.bool_)
    for _ in range(draw(st.integers(0, 3))):
        top, left = draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))
        mask[top : draw(st.integers(top, rows)), left : draw(st.integers(left, columns))] = True
    return mask


masks = st.one_of(noise, rectangles())


def column_major_runs(mask: Mask) -> list[tuple[int, int]]:
    """(start, length) of each run, 0-based and absolute, by visiting each pixel."""
    rows, columns = mask.shape
    runs: list[tuple[int, int]] = []
    previous = False
    for column in range(columns):
        for row in range(rows):
            if mask[row, column]:
                if previous:
                    runs[-1] = (runs[-1][0], runs[-1][1] + 1)
                else:
                    runs.append((column * rows + row, 1))
            previous = bool(mask[row, column])
    return runs


def coco_characters(counts: list[int]) -> str:
    """The loop of the COCO API's rleToString."""
    characters = []
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            characters.append(chr((bits | 0x20 if more else bits) + 48))
    return "".join(characters)


def reference(mask: Mask, convention: RunLengthConvention) -> str:
    runs = column_major_runs(mask)
    if convention is KAGGLE:
        return " ".join(f"{start + 1} {length}" for start, length in runs)
    position = 0
    numbers: list[int] = []
    for start, length in runs:
        numbers += [start - position, length]
        position = start + length
    if convention is SIIM:
        return " ".join(map(str, numbers)) or "-1"
    if position < mask.size:
        numbers.append(mask.size - position)
    return coco_characters(numbers) if convention is COMPRESSED else " ".join(map(str, numbers))


def single(shape: tuple[int, int], row: int, column: int) -> Mask:
    mask = np.zeros(shape, dtype=np.bool_)
    mask[row, column] = True
    return mask


@pytest.mark.parametrize("convention", RunLengthConvention)
class TestEveryConvention:
    @given(mask=masks)
    def test_equals_the_loop_over_pixels(self, convention: RunLengthConvention, mask: Mask) -> None:
        assert encode(mask, convention) == reference(mask, convention)

    @given(mask=masks)
    def test_returns_the_mask(self, convention: RunLengthConvention, mask: Mask) -> None:
        rle = reference(mask, convention)
        back = decode(rle, mask.shape, convention)
        assert back.dtype == np.bool_
        assert back.shape == mask.shape
        assert back.flags.c_contiguous
        np.testing.assert_array_equal(back, mask)

    @given(mask=masks)
    def test_area_is_the_number_of_pixels(
        self, convention: RunLengthConvention, mask: Mask
    ) -> None:
        assert area(encode(mask, convention), mask.shape, convention) == mask.sum()

    @pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (5, 3), (3, 5), (1024, 1024)])
    def test_extreme_masks(self, convention: RunLengthConvention, shape: tuple[int, int]) -> None:
        rows, columns = shape
        for mask in (
            np.zeros(shape, dtype=np.bool_),
            np.ones(shape, dtype=np.bool_),
            single(shape, 0, 0),
            single(shape, rows - 1, 0),
            single(shape, 0, columns - 1),
            single(shape, rows - 1, columns - 1),
            ~single(shape, rows - 1, columns - 1),
            ~single(shape, 0, 0),
        ):
            np.testing.assert_array_equal(decode(encode(mask, convention), shape, convention), mask)

    @settings(max_examples=40)
    @given(data=st.data(), shape=small_shapes)
    def test_union(
        self, convention: RunLengthConvention, data: st.DataObject, shape: tuple[int, int]
    ) -> None:
        parts = data.draw(st.lists(hnp.arrays(np.bool_, shape), max_size=4))
        union = decode_union([encode(part, convention) for part in parts], shape, convention)
        expected = np.zeros(shape, dtype=np.bool_)
        for part in parts:
            expected |= part
        np.testing.assert_array_equal(union, expected)
        assert union.flags.c_contiguous

    def test_views_are_encoded_like_their_copies(self, convention: RunLengthConvention) -> None:
        mask = np.random.default_rng(0).random((20, 30)) < 0.3
        for view in (mask.T, mask[::2, ::-1], np.asfortranarray(mask)):
            assert encode(view, convention) == encode(view.copy(order="C"), convention)

    def test_blanks_do_not_matter(self, convention: RunLengthConvention) -> None:
        mask = single((6, 5), 2, 3) | single((6, 5), 4, 1)
        rle = encode(mask, convention)
        np.testing.assert_array_equal(decode(f" {rle} \n", mask.shape, convention), mask)


# Rows 1 and 2 of column 0, all of column 1, on a grid of 4 rows and 3 columns, by hand.
BY_HAND = np.array([[0, 1, 0], [1, 1, 0], [1, 1, 0], [0, 1, 0]], dtype=np.bool_)


@pytest.mark.parametrize(
    ("convention", "rle"),
    [(SIIM, "1 2 1 4"), (KAGGLE, "2 2 5 4"), (COCO, "1 2 1 4 4"), (COMPRESSED, "12123")],
)
def test_by_hand(convention: RunLengthConvention, rle: str) -> None:
    assert encode(BY_HAND, convention) == rle
    np.testing.assert_array_equal(decode(rle, (4, 3), convention), BY_HAND)


@pytest.mark.parametrize(
    ("convention", "rle"), [(SIIM, "-1"), (KAGGLE, ""), (COCO, "12"), (COMPRESSED, "<")]
)
def test_the_empty_mask(convention: RunLengthConvention, rle: str) -> None:
    empty = np.zeros((4, 3), dtype=np.bool_)
    assert encode(empty, convention) == rle
    assert not decode(rle, (4, 3), convention).any()


def test_the_default_is_the_challenge_s() -> None:
    assert encode(BY_HAND) == encode(BY_HAND, SIIM)
    np.testing.assert_array_equal(decode("1 2 1 4", (4, 3)), BY_HAND)


@pytest.mark.parametrize(("convention", "rle"), [(SIIM, "1 2 0 3"), (KAGGLE, "2 2 4 3")])
def test_touching_runs_are_one_run(convention: RunLengthConvention, rle: str) -> None:
    mask = decode(rle, (4, 3), convention)
    assert column_major_runs(mask) == [(1, 5)]
    assert encode(mask, convention) == encode(decode("1 5", (4, 3)), convention)


def test_union_of_overlapping_and_empty_rows() -> None:
    union = decode_union(["1 2", "-1", "2 3"], (4, 3))
    assert column_major_runs(union) == [(1, 4)]


def test_union_of_nothing_is_empty() -> None:
    assert not decode_union([], (4, 3)).any()


@pytest.mark.parametrize(
    "mask", [np.zeros((3, 3), np.uint8), np.zeros(9, np.bool_), np.zeros((0, 4), np.bool_)]
)
def test_what_is_not_a_mask_is_not_encoded(mask: Mask) -> None:
    with pytest.raises(ValueError, match="mask must be bool"):
        encode(mask)


@pytest.mark.parametrize("shape", [(0, 4), (4, -1)])
def test_a_grid_without_pixels_is_not_decoded(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="both positive"):
        decode("-1", shape)
    with pytest.raises(ValueError, match="both positive"):
        decode_union([], shape)
