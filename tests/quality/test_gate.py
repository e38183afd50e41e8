"""What is said, refused and corrected, from probabilities that are given."""

import numpy as np
import pytest

from pleura.errors import RefusedInputError
from pleura.quality import GateSettings, Kind, Limit, PictureScores, Strictness, judge
from pleura.quality.gate import LOWEST_CONTRAST, contrast
from pleura.quality.spec import FAULTS, GateSpec

LIMITS = dict.fromkeys(FAULTS, Limit(warn=0.2, refuse=0.6))
PIXELS = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
UPRIGHT = (1.0, 0.0, 0.0, 0.0)


def scores(kind=Kind.LATERAL, doubt=0.0, turns=UPRIGHT, inverted=0.0):
    kinds = dict.fromkeys(Kind, 0.0) | {Kind.FRONTAL: 1 - doubt, kind: doubt}
    return PictureScores(kinds, turns, inverted)


def verdict(said, strictness=Strictness.REFUSE, correct=False, pixels=PIXELS):
    return judge(pixels, said, LIMITS, GateSettings(strictness, correct))


def codes(said):
    return [notice.code for notice in said.warnings]


def test_a_frontal_chest_radiograph_passes_in_silence():
    said = verdict(scores())
    assert (said.warnings, said.refusal, said.quarter_turns, said.invert) == ((), None, 0, False)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (Kind.LATERAL, "picture_lateral"),
        (Kind.OTHER_PART, "picture_other_part"),
        (Kind.NO_RADIOGRAPH, "picture_no_radiograph"),
        (Kind.CUT_OFF, "picture_cut_off"),
        (Kind.PHOTOGRAPHED, "picture_photographed"),
    ],
)
def test_each_kind_is_refused_when_sure_and_warned_of_when_doubtful(kind, code):
    sure, doubtful = scores(kind, 0.6), scores(kind, 0.59)
    refusal = verdict(sure).refusal
    assert isinstance(refusal, RefusedInputError)
    assert refusal.code == code
    assert verdict(doubtful).refusal is None
    assert codes(verdict(doubtful)) == [code]
    assert codes(verdict(sure, Strictness.WARN)) == [code]
    assert verdict(sure, Strictness.WARN).refusal is None
    assert codes(verdict(scores(kind, 0.19))) == []


def test_doubt_counts_all_other_kinds_together_and_names_the_likeliest():
    kinds = dict.fromkeys(Kind, 0.0)
    kinds |= {Kind.FRONTAL: 0.4, Kind.LATERAL: 0.25, Kind.OTHER_PART: 0.35}
    refusal = verdict(PictureScores(kinds, UPRIGHT, 0.0)).refusal
    assert refusal is not None
    assert refusal.code == "picture_other_part"


@pytest.mark.parametrize(("turn", "degrees"), [(1, 90), (2, 180), (3, 270)])
def test_a_turned_picture(turn, degrees):
    turns = [0.1] + [0.0] * 3
    turns[turn] = 0.9
    said = scores(turns=tuple(turns))
    refusal = verdict(said).refusal
    assert refusal is not None
    assert refusal.code == "picture_turned"
    assert f"{degrees} degrees" in refusal.message
    assert codes(verdict(said, Strictness.WARN)) == ["picture_turned"]
    assert verdict(said, Strictness.WARN).quarter_turns == 0
    corrected = verdict(said, correct=True)
    assert corrected.refusal is None
    assert corrected.quarter_turns == turn
    assert codes(corrected) == ["picture_turned_corrected"]


def test_an_inverted_picture():
    said = scores(inverted=0.7)
    refusal = verdict(said).refusal
    assert refusal is not None
    assert refusal.code == "picture_inverted"
    for strictness in (Strictness.REFUSE, Strictness.WARN):
        corrected = verdict(said, strictness, correct=True)
        assert (corrected.refusal, corrected.invert) == (None, True)
        assert codes(corrected) == ["picture_inverted_corrected"]


def test_what_is_only_doubtful_is_never_corrected():
    said = scores(turns=(0.6, 0.0, 0.4, 0.0), inverted=0.5)
    unsure = verdict(said, correct=True)
    assert (unsure.quarter_turns, unsure.invert) == (0, False)
    doubtful = verdict(scores(turns=(0.45, 0.0, 0.55, 0.0), inverted=0.5), correct=True)
    assert (doubtful.quarter_turns, doubtful.invert) == (0, False)
    assert codes(doubtful) == ["picture_turned", "picture_inverted"]


def test_both_corrections_at_once():
    said = verdict(scores(turns=(0.0, 0.0, 1.0, 0.0), inverted=1.0), correct=True)
    assert (said.quarter_turns, said.invert) == (2, True)
    assert codes(said) == ["picture_turned_corrected", "picture_inverted_corrected"]


def test_how_another_kind_of_picture_is_turned_is_not_asked():
    said = scores(Kind.NO_RADIOGRAPH, 0.9, turns=(0.0, 1.0, 0.0, 0.0), inverted=1.0)
    assert codes(verdict(said, Strictness.WARN, correct=True)) == ["picture_no_radiograph"]
    assert verdict(said, Strictness.WARN, correct=True).quarter_turns == 0


def test_hardly_any_contrast():
    pale = 0.5 + (PIXELS - 0.5) * 0.1
    assert contrast(PIXELS) == pytest.approx(0.9 * 52 / 64, abs=0.02)
    assert contrast(pale) < LOWEST_CONTRAST
    refusal = verdict(scores(), pixels=pale).refusal
    assert refusal is not None
    assert refusal.code == "picture_low_contrast"
    assert codes(verdict(scores(), Strictness.WARN, pixels=pale)) == ["picture_low_contrast"]


def test_limits_are_complete_and_in_order():
    with pytest.raises(ValueError, match="must not be above"):
        Limit(warn=0.7, refuse=0.6)
    with pytest.raises(ValueError, match="limits must be given for"):
        GateSpec(file="g", sha256="0" * 64, size=8, mean=0, std=1, limits={})
    with pytest.raises(ValueError, match="plain name"):
        GateSpec(file="../g", sha256="0" * 64, size=8, mean=0, std=1, limits=LIMITS)
