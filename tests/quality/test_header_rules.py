"""Header rules warn about what lies outside the model's scope, and refuse nothing."""

from dataclasses import replace

import numpy as np
import pytest

from pleura.quality import assess
from pleura.radiograph import Notice, Radiograph

PLAIN = Radiograph(np.zeros((4, 4), dtype=np.float32))


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, []),
        ({"view": "PA", "body_part": "CHEST", "age_years": 18.0}, []),
        ({"view": "AP", "body_part": "PORT CHEST", "age_years": 97.0}, []),
        ({"view": "LL"}, ["lateral_view"]),
        ({"view": "RL"}, ["lateral_view"]),
        ({"body_part": "HAND"}, ["not_chest"]),
        ({"age_years": 17.9}, ["child"]),
        (
            {"age_years": 0.0, "view": "LL", "body_part": "KNEE"},
            ["lateral_view", "not_chest", "child"],
        ),
    ],
)
def test_warnings(changes: dict[str, object], codes: list[str]) -> None:
    report = assess(replace(PLAIN, **changes))
    assert report.accepted
    assert [warning.code for warning in report.warnings] == codes
    assert all(warning.message.endswith(".") for warning in report.warnings)


def test_the_reader_s_notices_come_first() -> None:
    notice = Notice("window_repaired", "The window was wrong.")
    report = assess(replace(PLAIN, notices=(notice,), view="LL"))
    assert [w.code for w in report.warnings] == ["window_repaired", "lateral_view"]
