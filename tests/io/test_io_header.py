"""Attributes of the radiograph out of well-formed, sloppy and malformed headers."""

from typing import Any

import numpy as np
import pytest
from dicom_maker import (
    CR,
    INSTANCE_UID,
    SERIES_UID,
    STUDY_UID,
    dataset,
    gradient,
    table,
    to_bytes,
)
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from pleura.io import read_radiograph
from pleura.radiograph import Radiograph, Spacing, SpacingSource

# pydicom warns while the test writes the malformed values that it is about.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")


def read(**elements: Any) -> Radiograph:
    """Written to a file and read again, since pydicom itself repairs what it is given."""
    ds = dataset(gradient())
    for keyword, (vr, value) in elements.items():
        from pydicom.datadict import tag_for_keyword

        ds.add_new(tag_for_keyword(keyword), vr, value)
    return read_radiograph(to_bytes(ds))


def codes(radiograph: Radiograph) -> list[str]:
    return [notice.code for notice in radiograph.notices]


def test_identity_and_codes() -> None:
    radiograph = read(
        ViewPosition=("CS", "pa"), BodyPartExamined=("CS", "chest"), PatientSex=("CS", "f")
    )
    ids = radiograph.identifiers
    assert (ids.sop_class_uid, ids.sop_instance_uid) == (CR, INSTANCE_UID)
    assert (ids.study_instance_uid, ids.series_instance_uid) == (STUDY_UID, SERIES_UID)
    assert (radiograph.view, radiograph.body_part, radiograph.sex) == ("PA", "CHEST", "F")
    assert (radiograph.modality, radiograph.encoding) == ("CR", "1.2.840.10008.1.2.1")


def test_implicit_vr_gives_the_same_header() -> None:
    ds = dataset(
        gradient(),
        PatientAge="030Y",
        PixelSpacing=[0.2, 0.3],
        PatientOrientation=["L", "F"],
        NumberOfFrames=1,
    )
    explicit = read_radiograph(to_bytes(ds))
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    implicit = read_radiograph(to_bytes(ds, implicit_vr=True, little_endian=True))
    for name in ("age_years", "spacing", "patient_orientation", "identifiers", "notices"):
        assert getattr(implicit, name) == getattr(explicit, name)
    assert implicit.spacing == Spacing(0.2, 0.3, SpacingSource.PIXEL_SPACING)


@pytest.mark.parametrize(
    ("said", "years"),
    [
        ("045Y", 45.0),
        ("018M", 1.5),
        ("026W", 26 * 7 / 365.25),
        ("010D", 10 / 365.25),
        ("45", 45.0),
        ("45Y ", 45.0),
        ("045y", 45.0),
        ("000Y", 0.0),
    ],
)
def test_age(said: str, years: float) -> None:
    assert read(PatientAge=("AS", said)).age_years == pytest.approx(years)


@pytest.mark.parametrize("said", ["411Y", "old", "-5Y", "0x5Y"])
def test_an_age_that_is_none_gives_way_to_the_birth_date(said: str) -> None:
    radiograph = read(PatientAge=("AS", said))
    assert radiograph.age_years is None
    assert codes(radiograph) == ["age_ignored"]
    radiograph = read(PatientAge=("AS", said), PatientBirthDate=("DA", "19700615"))
    assert radiograph.age_years == pytest.approx(50, abs=0.01)
    assert not radiograph.notices


@pytest.mark.parametrize(
    ("born", "years"),
    [("19700615", 50.0), ("1970.06.15", 50.0), ("20300101", None), ("19701345", None), ("", None)],
)
def test_age_by_dates(born: str, years: float | None) -> None:
    found = read(PatientBirthDate=("DA", born)).age_years
    assert found is None if years is None else found == pytest.approx(years, abs=0.01)


def test_pixel_spacing_goes_before_the_detectors() -> None:
    both = read(PixelSpacing=("DS", ["0.14", "0.15"]), ImagerPixelSpacing=("DS", ["0.2", "0.2"]))
    assert both.spacing == Spacing(0.14, 0.15, SpacingSource.PIXEL_SPACING)
    detector = read(ImagerPixelSpacing=("DS", ["0.2", "0.2"]))
    assert detector.spacing == Spacing(0.2, 0.2, SpacingSource.IMAGER_PIXEL_SPACING)
    assert read().spacing is None


@pytest.mark.parametrize(
    "bad", [["0", "0"], ["-0.1", "0.1"], ["0.1"], ["900", "900"], ["1", "nan"], ["x", "y"]]
)
def test_impossible_spacing_gives_way(bad: list[str]) -> None:
    text = "\\".join(bad)
    radiograph = read(PixelSpacing=("LO", text), ImagerPixelSpacing=("DS", ["0.2", "0.2"]))
    assert radiograph.spacing == Spacing(0.2, 0.2, SpacingSource.IMAGER_PIXEL_SPACING)
    assert codes(radiograph) == ["spacing_ignored"]
    assert read(PixelSpacing=("LO", text)).spacing is None


def test_pixels_that_are_not_square() -> None:
    assert "non_square_pixels" in codes(read(PixelSpacing=("DS", ["0.1", "0.2"])))
    assert "non_square_pixels" in codes(read(PixelAspectRatio=("IS", ["2", "1"])))
    assert not codes(read(PixelAspectRatio=("IS", ["1", "1"])))


def test_orientation() -> None:
    for usual in (["L", "F"], ["LA", "FP"], ["LH", "FA"], ["l", "f "]):
        radiograph = read(PatientOrientation=("CS", usual))
        assert radiograph.patient_orientation == tuple(value.strip().upper() for value in usual)
        assert not radiograph.notices
    assert read(PatientOrientation=("CS", "")).patient_orientation is None


@pytest.mark.parametrize(
    "said", [["L", "F", "X"], ["L"], ["L", "R"], ["F", "FA"], ["LR", "F"], ["LE", "CD"], ["", "F"]]
)
def test_an_orientation_that_is_none_is_ignored(said: list[str]) -> None:
    malformed = read(PatientOrientation=("CS", said))
    assert malformed.patient_orientation is None
    assert codes(malformed) == ["orientation_ignored"]


@pytest.mark.parametrize(
    ("said", "how"),
    [
        (["R", "F"], "mirrored from left to right"),
        (["RA", "F"], "mirrored from left to right"),
        (["L", "H"], "mirrored from top to bottom"),
        (["R", "H"], "upside down"),
        (["F", "L"], "on its side"),
        (["H", "R"], "on its side"),
        (["A", "F"], "no frontal view"),
        (["P", "F"], "no frontal view"),
        (["L", "P"], "no frontal view"),
    ],
)
def test_an_orientation_that_asks_for_a_turn_is_told_and_not_obeyed(
    said: list[str], how: str
) -> None:
    turned = read(PatientOrientation=("CS", said))
    assert turned.patient_orientation == tuple(said)
    assert codes(turned) == ["orientation_unusual"]
    assert how in turned.notices[0].message
    np.testing.assert_array_equal(turned.pixels, read().pixels)


def test_free_text_in_coded_elements_is_dropped() -> None:
    radiograph = read(
        ViewPosition=("LO", "Quixote, Alonso"),
        PatientSex=("LO", "Quixote"),
        StudyInstanceUID=("LO", "Quixote"),
    )
    assert (radiograph.view, radiograph.sex) == ("", "")
    assert radiograph.identifiers.study_instance_uid == ""


def test_an_unknown_character_set_is_not_repeated_in_a_warning(
    recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    ds = dataset(gradient(), VOILUTSequence=table(0, list(range(256)), 8))
    ds.VOILUTSequence[0].SpecificCharacterSet = "ISO_IR_6"
    ds.RequestAttributesSequence = [Dataset()]
    ds.RequestAttributesSequence[0].SpecificCharacterSet = "ISO_IR_6"
    ds.SpecificCharacterSet = "ISO_IR_6"
    for undefined in (False, True):
        for sequence in (ds["VOILUTSequence"], ds["RequestAttributesSequence"]):
            sequence.is_undefined_length = undefined
        data = to_bytes(ds)
        recwarn.clear()
        caplog.clear()
        assert data.count(b"ISO_IR_6") == 3
        named = read_radiograph(data.replace(b"ISO_IR_6", b"QUIXOTE "))
        assert named.shape == (210, 220)
        assert not recwarn.list
        assert not caplog.text


def test_names_of_the_source() -> None:
    data = to_bytes(dataset(gradient()))
    assert read_radiograph(data).source == ""
    assert read_radiograph(data, name="a.zip#b.dcm").source == "a.zip#b.dcm"


def test_pixels_are_contiguous_floats() -> None:
    pixels = read_radiograph(to_bytes(dataset(gradient()))).pixels
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous
