"""The part of the header that objects made of a radiograph take over: small, whole, and unsaid."""

import copy
import pickle
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_maker import PATIENT_NAME, SECRETS, dataset, gradient, table, to_bytes
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from pleura.io import read_radiograph
from pleura.io.origin import EQUIPMENT_TAGS, IDENTITY_TAGS, MAX_VALUE_BYTES, ORIGIN_TAGS


def header_of(**elements: Any) -> Dataset:
    header = read_radiograph(to_bytes(dataset(gradient(), **elements))).header
    assert header is not None
    return header


def test_patient_study_and_equipment_are_kept_and_the_rest_is_not() -> None:
    header = header_of(
        Manufacturer="Acme",
        BurnedInAnnotation="NO",
        OperatorsName="Rocinante",
        VOILUTSequence=table(0, list(range(256)), 8),
        ImageComments="x",
    )
    assert header.PatientName == PATIENT_NAME
    assert header.StudyDate == "20200615"
    assert header.Manufacturer == "Acme"
    assert header.BurnedInAnnotation == "NO"
    for keyword in ("PixelData", "VOILUTSequence", "OperatorsName", "ImageComments", "Rows"):
        assert keyword not in header


def test_every_tag_is_one_of_the_dictionary() -> None:
    """A misspelt keyword would be left out without a word."""
    from pleura.io import origin

    for words in (origin.IDENTITY, origin.EQUIPMENT, origin.IMAGE):
        for word in words:
            assert pydicom.datadict.tag_for_keyword(word) in ORIGIN_TAGS, word
    assert not IDENTITY_TAGS & EQUIPMENT_TAGS


def test_values_that_nobody_converted_are_the_file_s_bytes() -> None:
    name = "Yamada^Tarou=山田^太郎"
    ds = dataset(gradient(), SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName=name)
    data = to_bytes(ds)
    header = read_radiograph(data).header
    assert header is not None
    source = pydicom.dcmread(BytesIO(data)).get_item("PatientName").value
    assert header.get_item("PatientName").value == source
    assert header.PatientName == name


def test_a_large_value_is_left_out() -> None:
    header = header_of(
        ReferencedStudySequence=Sequence([item(MAX_VALUE_BYTES)]),
        ProcedureCodeSequence=Sequence([item(100)]),
    )
    assert "ReferencedStudySequence" not in header
    assert "ProcedureCodeSequence" in header


def item(size: int) -> Dataset:
    made = Dataset()
    made.add_new(0x00080119, "UC", "1" * size)
    return made


def test_a_raster_file_has_none() -> None:
    assert read_radiograph(bytes(imagecodecs.png_encode(gradient()))).header is None


@pytest.mark.parametrize("touched", [False, True])
def test_it_does_not_change_with_the_caller_s_data_set(touched: bool) -> None:
    ds = pydicom.dcmread(BytesIO(to_bytes(dataset(gradient()))))
    if touched:
        assert ds.PatientName == PATIENT_NAME
    header = read_radiograph(ds).header
    assert header is not None
    ds.PatientName = "Panza^Sancho"
    del ds.StudyDate
    assert header.PatientName == PATIENT_NAME
    assert header.StudyDate == "20200615"


def test_it_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    radiograph = read_radiograph(to_bytes(dataset(gradient())))
    words = [word for word in SECRETS if word != "10.999"]  # UIDs are among the identifiers
    assert not [word for word in words if word in repr(radiograph) + caplog.text]


def test_a_radiograph_can_still_be_copied_and_sent_to_another_process() -> None:
    radiograph = read_radiograph(to_bytes(dataset(gradient())))
    for other in (copy.deepcopy(radiograph), pickle.loads(pickle.dumps(radiograph))):
        assert other.header.PatientName == PATIENT_NAME
        assert (np.asarray(other.pixels) == radiograph.pixels).all()
