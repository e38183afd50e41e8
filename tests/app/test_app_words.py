"""What the page says: numbers in sentences that are true."""

import pytest

from pleura.app import words
from pleura.inference import OperatingPoint
from pleura.inference.manifest import Estimate
from pleura.outputs.record import RegionRecord

POINTS = (
    OperatingPoint(name="sensitive", threshold=0.1, sensitivity=0.95, specificity=0.7),
    OperatingPoint(
        name="balanced",
        threshold=0.2,
        sensitivity=0.9,
        specificity=0.85,
        sensitivity_interval=(0.86, 0.94),
        specificity_interval=(0.78, 0.9),
        cohort="467 films",
    ),
    OperatingPoint(name="specific", threshold=0.4, sensitivity=0.74, specificity=0.95),
)


def test_a_point_is_told_by_the_hundred() -> None:
    assert words.point_in_words(POINTS[1]) == (
        "Of 100 films with a pneumothorax, 90 (86 to 94) are found; "
        "of 100 films without, 15 (10 to 22) are flagged wrongly."
    )
    assert "467 films" in words.cohort_in_words(POINTS[1])
    assert "(" not in words.point_in_words(POINTS[0])
    assert "does not say" in words.cohort_in_words(POINTS[0])


@pytest.mark.parametrize(
    ("threshold", "found", "false"),
    [
        (0.05, "95 to 100", "30 to 100"),
        (0.15, "90 to 95", "15 to 30"),
        (0.2, "74 to 90", "5 to 15"),
        (0.9, "0 to 74", "0 to 5"),
    ],
)
def test_a_threshold_between_points_is_bounded_by_them(
    threshold: float, found: str, false: str
) -> None:
    said = words.threshold_in_words(threshold, POINTS)
    assert f"pneumothorax {found} are found" in said
    assert f"without {false} are flagged" in said


def test_a_test_on_other_films_is_told_if_there_was_one() -> None:
    performance = {
        "test_balanced_sensitivity": Estimate(value=0.886, low=0.786, high=0.942, n=70),
        "test_balanced_specificity": Estimate(value=0.816, low=0.766, high=0.857, n=283),
    }
    said = words.tested_in_words(POINTS[1], performance)
    assert "353 other films" in said
    assert "89 (79 to 94) of 100" in said
    assert "18 (14 to 23) wrongly" in said
    assert words.tested_in_words(POINTS[0], performance) == ""


def test_a_side_is_the_patients_where_the_file_says_so() -> None:
    known = RegionRecord(
        box=(0, 0, 9, 9),
        area_px=50,
        image_side="right",
        score=0.8,
        area_mm2=1234,
        patient_side="left",
    )
    assert words.region_in_words(known) == "patient's left: 12.3 cm², score 0.80"
    unknown = known.model_copy(update={"area_mm2": None, "patient_side": None})
    said = words.region_in_words(unknown)
    assert said.startswith("right half of the image")
    assert "50 px" in said
