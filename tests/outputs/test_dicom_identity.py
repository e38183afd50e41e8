"""Patient and study are the source's own, byte for byte, and are not said to anybody else."""

import logging
import warnings
from typing import Any

import pytest
from dicom_cases import NOW, film, object_of, predict, raw, read, run
from dicom_maker import SECRETS, big_endian, to_bytes
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ImplicitVRLittleEndian

from pleura import Predictor
from pleura.io.origin import IDENTITY_TAGS
from pleura.outputs.dicom.identity import character_set

# pydicom warns while the test makes the malformed values that it is about.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Invalid value for VR", "ignore:The value length", "ignore:The value for the data elem"
)
KINDS = ["seg", "sr", "sc"]
KEYWORDS = (
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription"),
    *("AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientID"),
    *("PatientBirthDate", "PatientSex", "PatientAge"),
)
NAMES = {
    "latin-1": ("ISO_IR 100", "Ångström^Zoë", "Clínica São José"),
    "cyrillic": ("ISO_IR 144", "Люкceмбypг^Анна", "Больница"),
    "japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "東京病院"),
    "japanese-katakana": (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎", "ﾄｳｷｮｳ"),
    "korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", "Seoul"),
    "chinese": ("GB18030", "Wang^XiaoDong=王^小东", "北京医院"),
    "utf-8": ("ISO_IR 192", "Yamada^Tarou=山田^太郎=Ørsted", "Hôpital 病院"),
    "none": (None, "Quixote^Alonso", "La Mancha"),
}


def identity(made: Dataset) -> dict[int, bytes]:
    return {
        int(tag): raw(made, tag)
        for tag in made.keys()  # noqa: SIM118
        if tag in IDENTITY_TAGS and made.get_item(tag).VR != "SQ"
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_names_of_all_character_sets_are_the_same_bytes(
    predictor: Predictor, kind: str, name: str
) -> None:
    terms, person, place = NAMES[name]
    data = to_bytes(
        film(
            SpecificCharacterSet=terms,
            PatientName=person,
            StudyDescription=place,
            InstitutionName=place,
        )
    )
    source, made = read(data), object_of(predict(predictor, data), kind)
    for tag, value in identity(source).items():
        assert raw(made, tag) == value, hex(tag)
    assert made.get("SpecificCharacterSet") == source.get("SpecificCharacterSet")
    assert str(made.PatientName) == str(source.PatientName) == person
    assert made.StudyDescription == place
    assert made.ContributingEquipmentSequence[0].InstitutionName == place
    assert "pneumothorax" in made.SeriesDescription.lower()


@pytest.mark.parametrize("name", ["latin-1", "cyrillic", "utf-8"])
def test_dcmtk_reads_the_name(predictor: Predictor, tmp_path, name: str) -> None:
    terms, person, _ = NAMES[name]
    path = tmp_path / "sr.dcm"
    made = object_of(predict(predictor, film(SpecificCharacterSet=terms, PatientName=person)), "sr")
    made.save_as(path)
    assert person in run("dcmdump", "-q", "+U8", "+P", "0010,0010", path)


def test_the_study_is_the_same_and_the_series_is_another(predictor: Predictor) -> None:
    source = film()
    prediction = predict(predictor, source)
    series = set()
    for kind in KINDS:
        made = object_of(prediction, kind)
        for keyword in KEYWORDS:
            assert made[keyword].value == source[keyword].value, keyword
        series |= {made.SeriesInstanceUID, made.SOPInstanceUID}
    assert len(series) == 6
    assert not series & {source.SeriesInstanceUID, source.SOPInstanceUID}


def test_what_the_source_lacks_is_empty_and_not_invented(predictor: Predictor) -> None:
    bare = film(**dict.fromkeys(("PatientName", "PatientID", "PatientBirthDate")))
    del bare.StudyDate, bare.StudyTime, bare.AccessionNumber, bare.StudyID
    for kind in KINDS:
        made = object_of(predict(predictor, bare), kind)
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyDate", "StudyTime"):
            assert keyword in made
            assert not made[keyword].value
        assert made.PatientSex == "F"
        assert "IssuerOfPatientID" not in made


def nested() -> dict[str, Any]:
    """Sequences as a hospital writes them, one within another, with names in them."""
    issuer = Dataset()
    issuer.UniversalEntityID, issuer.UniversalEntityIDType = "1.2.3", "ISO"
    other = Dataset()
    other.PatientID, other.TypeOfPatientID = "Größe-9", "TEXT"
    other.IssuerOfPatientIDQualifiersSequence = Sequence([issuer])
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "9", "99X", "Röntgen Thorax"
    return {
        "OtherPatientIDsSequence": Sequence([other, other]),
        "ProcedureCodeSequence": Sequence([code]),
        "PregnancyStatus": 4,
        "PatientSize": "1.7",
    }


@pytest.mark.parametrize("form", ["explicit", "implicit", "undefined", "big", "dataset"])
def test_sequences_and_numbers_survive_every_encoding(predictor: Predictor, form: str) -> None:
    source = film(**nested())
    if form == "big":
        data = big_endian(source)
    elif form == "implicit":
        source.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        data = to_bytes(source, implicit_vr=True, little_endian=True)
    elif form == "undefined":
        for keyword in ("OtherPatientIDsSequence", "ProcedureCodeSequence"):
            source[keyword].is_undefined_length = True
            source[keyword].value[0].is_undefined_length_sequence_item = True
        data = to_bytes(source)
    else:
        data = to_bytes(source)
    prediction = predictor.predict(source if form == "dataset" else data)
    for kind in KINDS:
        made = object_of(prediction, kind)
        first, second = made.OtherPatientIDsSequence
        assert first == second
        assert first.PatientID == "Größe-9"
        assert first.IssuerOfPatientIDQualifiersSequence[0].UniversalEntityID == "1.2.3"
        assert made.ProcedureCodeSequence[0].CodeMeaning == "Röntgen Thorax"
        assert made.PregnancyStatus == 4
        assert made.PatientSize == 1.7


def test_a_data_set_that_changes_later_does_not_change_the_object(predictor: Predictor) -> None:
    source = film(**nested())
    prediction = predictor.predict(source)
    source.PatientName = "Panza^Sancho"
    source.ProcedureCodeSequence[0].CodeMeaning = "Other"
    made = object_of(prediction, "sr")
    assert made.PatientName == "Quixote^Alonso"
    assert made.ProcedureCodeSequence[0].CodeMeaning == "Röntgen Thorax"


def test_optional_values_that_break_their_form_are_left_out(predictor: Predictor) -> None:
    source = film()
    source.add_new(0x00101010, "LO", "81")  # Patient's Age
    source.add_new(0x00101020, "LO", "tall")  # Patient's Size
    source.add_new(0x00100040, "LO", "female ")  # Patient's Sex: what a PACS goes by
    data = to_bytes(source)
    data = data.replace(b"\x10\x00\x10\x10LO", b"\x10\x00\x10\x10AS")
    data = data.replace(b"\x10\x00\x20\x10LO", b"\x10\x00\x20\x10DS")
    data = data.replace(b"\x10\x00\x40\x00LO", b"\x10\x00\x40\x00CS")
    made = object_of(predict(predictor, data), "sr")
    assert "PatientAge" not in made
    assert "PatientSize" not in made
    assert raw(made, 0x00100040) == b"female  "


def test_private_and_large_elements_are_not_taken_over(predictor: Predictor) -> None:
    source = film(PatientComments="x" * 70_000)
    block = source.private_block(0x0011, "Rocinante", create=True)
    block.add_new(1, "LO", "secret")
    for kind in KINDS:
        made = object_of(predict(predictor, source), kind)
        assert "PatientComments" not in made
        assert not [tag for tag in made.keys() if tag.is_private]  # noqa: SIM118


@pytest.mark.parametrize(
    ("said", "terms"),
    [
        ("ISO_IR 100", ["ISO_IR 100"]),
        ("ISO-IR 100", ["ISO_IR 100"]),
        ("iso_ir100", ["ISO_IR 100"]),
        ("UTF-8", ["ISO_IR 192"]),
        ("ISO_IR 6", []),
        ("Rocinante", []),
        (["", "ISO 2022 IR 87"], ["", "ISO 2022 IR 87"]),
        (["ISO_2022_IR_6", "ISO_2022_IR_87"], ["ISO 2022 IR 6", "ISO 2022 IR 87"]),
    ],
)
def test_character_sets_are_defined_terms(said: Any, terms: list[str]) -> None:
    header = Dataset()
    header.add_new(0x00080005, "CS", said)
    assert character_set(header) == terms


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_patient_is_warned_about_or_logged(
    predictor: Predictor, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """highdicom logs a name that it finds odd, and pydicom warns with values that it finds odd."""
    source = film(PatientName="Quixote", PatientID="LAMANCHA-1605" * 9)
    data = to_bytes(source)
    data = data.replace(b"ISO_IR 100", b"Rocinante ").replace(b"19700101", b"Quixote ")
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        prediction = predict(predictor, data)
        made = object_of(prediction, kind)
    said = [*(str(item.message) for item in caught), caplog.text, repr(prediction.radiograph)]
    hidden = [word for word in SECRETS if word != "10.999"]
    assert not [word for word in hidden for text in said if word in text]
    assert raw(made, 0x00100010) == b"Quixote "
    assert raw(made, 0x00100030) == b"Quixote "


def test_who_made_it(predictor: Predictor) -> None:
    for kind in KINDS:
        made = object_of(predict(predictor, film()), kind)
        assert made.Manufacturer == "Pleura"
        assert "tiny 0.0.1" in made.SoftwareVersions
        assert made.DeviceSerialNumber == predictor.model.sha256
        assert made.ContentQualification == "RESEARCH"
        assert (made.ContentDate, made.ContentTime) == (f"{NOW:%Y%m%d}", f"{NOW:%H%M%S.%f}")
        assert "not a medical device" in made.SeriesDescription
        assert len(made.SeriesDescription) <= 64
        purposes = [
            item.PurposeOfReferenceCodeSequence[0].CodeValue
            for item in made.ContributingEquipmentSequence
        ]
        assert purposes == ["109101", "109102", "109102"]
        acquisition, processing, _ = made.ContributingEquipmentSequence
        assert acquisition.Manufacturer == "Acme X-ray"
        assert acquisition.ManufacturerModelName == "Lamp 3"
        assert processing.DeviceSerialNumber == predictor.model.sha256
