"""Malformed run lengths: each is refused, and the message names where and what."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pleura.errors import RunLengthError
from pleura.masks import RunLengthConvention, area, decode, decode_union

SIIM = RunLengthConvention.SIIM_RELATIVE
KAGGLE = RunLengthConvention.KAGGLE_ABSOLUTE
COCO = RunLengthConvention.COCO
COMPRESSED = RunLengthConvention.COCO_COMPRESSED
SHAPE = (4, 3)  # 12 pixels

CASES = [
    (SIIM, "", "number 1 is missing"),
    (SIIM, "   ", "number 1 is missing"),
    (SIIM, "1 2 3", r"number 3 \(3\) is a start without a length"),
    (SIIM, "1 2 x 4", r"number 3 \(x\) is not a whole number"),
    (SIIM, "1 2.0", r"number 2 \(2\.0\) is not a whole number"),
    (SIIM, "1e1 2", r"number 1 \(1e1\) is not a whole number"),
    (SIIM, "1 +2", r"number 2 \(\+2\) is not a whole number"),
    (SIIM, "1,2", r"number 1 \(1,2\) is not a whole number"),
    (SIIM, "nan", r"number 1 \(nan\) is not a whole number"),
    (SIIM, "1 ２", r"number 2 \(２\) is not a whole number"),
    (SIIM, "1 2 -1 3", r"number 3 \(-1\) is negative"),
    (SIIM, "-1 -1", r"number 1 \(-1\) is negative"),
    (SIIM, "1 -2", r"number 2 \(-2\) is negative"),
    (SIIM, "1 2 3 0", r"number 4 \(0\) is a run of no pixels"),
    (SIIM, "1 2 3 7", r"number 4 \(7\) reaches beyond the last of 12 pixels"),
    (SIIM, "1 2 10 1", r"number 3 \(10\) reaches beyond"),
    (SIIM, "13 1", r"number 1 \(13\) is more than the image's 12 pixels"),
    (SIIM, "1 99999999999999999999", r"number 2 \(99999999999999999999\) is more than"),
    (SIIM, "9" * 400 + " 1", r"number 1 \(9{24}\.\.\.\) is more than"),
    (KAGGLE, "-1", r"number 1 \(-1\) is negative"),
    (KAGGLE, "0 2", r"number 1 \(0\) is below the first pixel"),
    (KAGGLE, "2 2 3 1", r"number 3 \(3\) begins before the end of the run before"),
    (KAGGLE, "8 1 2 1", r"number 3 \(2\) begins before the end of the run before"),
    (KAGGLE, "1 2 12 2", r"number 4 \(2\) reaches beyond"),
    (KAGGLE, "1 2 5", r"number 3 \(5\) is a start without a length"),
    (KAGGLE, "1 0", r"number 2 \(0\) is a run of no pixels"),
    (COCO, "", r"number 1 is missing; the counts end at 0 of 12"),
    (COCO, "-1", r"number 1 \(-1\) is negative"),
    (COCO, "5 2", r"number 3 is missing; the counts end at 7 of 12"),
    (COCO, "5 2 6", r"number 3 \(6\) reaches beyond"),
    (COCO, "5 0 7", r"number 2 \(0\) is a run of no pixels"),
    (COCO, "0 0 12", r"number 2 \(0\) is a run of no pixels"),
    (COMPRESSED, "", r"number 1 is missing"),
    (COMPRESSED, "1!3", r"number 2 \(!\) has a character out of range"),
    (COMPRESSED, "12p", r"number 3 \(p\) has a character out of range"),
    (COMPRESSED, "1 2", r"number 2 \( \) has a character out of range"),
    (COMPRESSED, "12é", r"number 3 \(é\) has a character out of range"),
    (COMPRESSED, "12Q", "number 3 breaks off"),
    (COMPRESSED, "1" + "Q" * 20 + "1", "number 2 has too many characters"),
    (COMPRESSED, "1Q" + "P" * 9 + "1", "number 2 differs by more than the image's 12"),
    (COMPRESSED, "O", r"number 1 \(-1\) is negative"),
    (COMPRESSED, "99", r"number 2 \(9\) reaches beyond"),
    (COMPRESSED, "121", "number 4 is missing; the counts end at 4 of 12"),
]


@pytest.mark.parametrize(("convention", "rle", "message"), CASES)
def test_names_the_position(convention: RunLengthConvention, rle: str, message: str) -> None:
    with pytest.raises(RunLengthError, match=message) as caught:
        decode(rle, SHAPE, convention)
    assert caught.value.code == "malformed_rle"
    with pytest.raises(RunLengthError, match=message):
        area(rle, SHAPE, convention)


def test_a_union_names_the_string_too() -> None:
    with pytest.raises(RunLengthError, match=r"String 3: .*number 2 \(99\)"):
        decode_union(["1 2", "-1", "0 99"], SHAPE)


def test_a_kaggle_start_beyond_the_last_pixel_is_named_as_written() -> None:
    with pytest.raises(RunLengthError, match=r"number 3 \(21\) is more than"):
        decode("1 2 21 1", SHAPE, KAGGLE)


def test_survives_a_process_border() -> None:
    with pytest.raises(RunLengthError) as caught:
        decode("1", SHAPE)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy)) == (RunLengthError, str(caught.value))


@given(
    rle=st.one_of(
        st.text(max_size=20),
        st.text(alphabet="0123456789 -", max_size=20),
        st.lists(st.integers(-1, 14), max_size=6).map(lambda n: " ".join(map(str, n))),
        st.text(alphabet=[chr(c) for c in range(48, 112)], max_size=14),
    ),
    convention=st.sampled_from(RunLengthConvention),
)
def test_any_text_gives_a_mask_or_a_typed_error(rle: str, convention: RunLengthConvention) -> None:
    try:
        mask = decode(rle, SHAPE, convention)
    except RunLengthError:
        with pytest.raises(RunLengthError, match=r"number \d+ "):
            area(rle, SHAPE, convention)
    else:
        assert mask.shape == SHAPE
        assert int(mask.sum()) == area(rle, SHAPE, convention)
