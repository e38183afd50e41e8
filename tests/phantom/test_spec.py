"""What can be asked for, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pleura.phantom import Kind, PhantomSpec, Pneumothorax, Sex, Side, View, spec_for


def test_spec_for_repeats_itself() -> None:
    assert spec_for(7, True) == spec_for(7, True)


def test_spec_for_shows_the_same_patient_with_and_without_gas() -> None:
    for seed in range(20):
        with_gas, without = spec_for(seed, True), spec_for(seed, False)
        assert with_gas.pneumothorax is not None
        assert without == replace(with_gas, pneumothorax=None)


def test_spec_for_reaches_every_choice() -> None:
    specs = [spec_for(seed, True) for seed in range(200)]
    gases = [spec.pneumothorax for spec in specs if spec.pneumothorax is not None]
    assert {gas.side for gas in gases} == set(Side)
    assert {gas.kind for gas in gases} == set(Kind)
    assert {spec.view for spec in specs} == set(View)
    assert {spec.sex for spec in specs} == set(Sex)


def test_plain_strings_become_enums() -> None:
    spec = PhantomSpec(1, Pneumothorax("left", "lateral", 0.1), view="AP", sex="F")  # type: ignore[arg-type]
    assert spec.view is View.AP
    assert spec.sex is Sex.FEMALE
    assert spec.pneumothorax is not None
    assert spec.pneumothorax.side is Side.LEFT
    assert spec.pneumothorax.kind is Kind.LATERAL


@pytest.mark.parametrize(
    "arguments",
    [
        {"side": "above"},
        {"side": "left", "kind": "basal"},
        {"side": "left", "extent": "huge"},
        {"side": "left", "extent": 0.0},
        {"side": "left", "extent": 0.7},
    ],
)
def test_unknown_pneumothorax_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"Side|Kind|extent"):
        Pneumothorax(**arguments)  # type: ignore[arg-type]


def test_equal_specs_read_alike_whatever_the_type_of_their_numbers() -> None:
    plain = PhantomSpec(3, Pneumothorax(Side.LEFT, extent=0.25), rows=256, columns=300)
    numpy = PhantomSpec(
        np.int64(3),  # type: ignore[arg-type]
        Pneumothorax(Side.LEFT, extent=np.float64(0.25)),
        rows=np.uint16(256),  # type: ignore[arg-type]
        columns=np.int32(300),  # type: ignore[arg-type]
        age_years=np.int8(45),  # type: ignore[arg-type]
    )
    assert numpy == plain
    assert repr(numpy) == repr(plain)


@pytest.mark.parametrize(
    "arguments",
    [
        {"seed": -1},
        {"seed": 1, "rows": 64},
        {"seed": 1, "columns": 9000},
        {"seed": 1.5},
        {"seed": 1, "rows": 256.0},
        {"seed": 1, "age_years": 45.5},
        {"seed": 1, "age_years": 45.0},
        {"seed": 1, "age_years": -1},
        {"seed": 1, "age_years": 1000},
    ],
)
def test_impossible_specs_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"seed|rows|age_years"):
        PhantomSpec(**arguments)


def test_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="seed"):
        spec_for(-1, True)
