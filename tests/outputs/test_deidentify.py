"""`--deidentify`: nothing that is written or said leads to the patient, but the map."""

import csv
import json
import logging
import stat

import pydicom
import pytest
from dicom_cases import complaints, film
from dicom_maker import to_bytes

from pleura.cli.main import main
from tiny_model import write_model

WRITTEN = "json,csv,png,seg,sr,sc"
CANARIES = {
    "PatientName": "Canaryname^Given",
    "PatientID": "CANARYID77",
    "PatientBirthDate": "19531117",
    "AccessionNumber": "CANARYACC",
    "StudyID": "CANARYSID",
    "StudyDate": "20150611",
    "StudyDescription": "CANARYDESC",
    "ReferringPhysicianName": "Canaryref^Doctor",
    "InstitutionName": "CANARYINST",
    "StationName": "CANARYSTATION",
    "DeviceSerialNumber": "CANARYSERIAL",
    "OtherPatientIDs": "CANARYOTHER",
    "PatientComments": "CANARYCOMMENT",
    "PhysiciansOfRecord": "Canaryrec^Doctor",
    "ClinicalTrialSubjectID": "CANARYTRIAL",
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.77001",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.77002",
    "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.77003",
}
FILE_NAME = "canaryfile-Smith"


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "canaryfolder"
    folder.mkdir()
    (folder / f"{FILE_NAME}.dcm").write_bytes(to_bytes(film(**CANARIES)))
    (folder / "canarybroken.dcm").write_bytes(b"CANARYBYTES")
    return folder


def predict(tmp_path, source, capsys, *options, out="out"):
    model = tmp_path / "tiny"
    if not model.exists():
        write_model(model)
    arguments = ["predict", source, "--model", model, "-o", tmp_path / out, *options]
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code or 0, capsys.readouterr()


def everything(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def canaries_in(data: bytes) -> list[str]:
    words = [*CANARIES.values(), FILE_NAME, "canaryfolder", "canarybroken", "Canaryname"]
    text = data.lower()
    return [word for word in words if word.lower().encode() in text]


def test_no_result_no_line_and_no_log_leads_to_the_patient(tmp_path, source, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    mapping = tmp_path / "map.csv"
    options = ("--write", WRITTEN, "--deidentify", mapping)
    status, said = predict(tmp_path, source, capsys, *options)
    assert status == 1  # the broken one is refused, and told of
    written = everything(tmp_path / "out")
    assert {path.parent.name for path in written} == {"out", "overlays", "seg", "sr", "sc"}
    for path, data in written.items():
        assert canaries_in(data + path.name.encode()) == [], path
    assert canaries_in((said.out + said.err + caplog.text).encode()) == []
    # The test can see: without the option they are all over the place.
    predict(tmp_path, source, capsys, "--write", WRITTEN, out="plain")
    plain = b"".join(everything(tmp_path / "plain").values())
    assert set(CANARIES.values()) - set(canaries_in(plain)) == set()


def test_the_map_leads_back_and_is_for_its_owner_alone(tmp_path, source, capsys):
    mapping = tmp_path / "map.csv"
    predict(tmp_path, source, capsys, "--write", "json,sr", "--deidentify", mapping)
    back = {row["replacement"]: row["original"] for row in rows_of(mapping)}
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    results = [json.loads(line) for line in lines]
    inputs = {back[result["input"]] for result in results}
    assert inputs == {str(path) for path in source.iterdir()}
    (judged,) = [result for result in results if result["status"] == "ok"]
    assert back[judged["sop_instance_uid"]] == CANARIES["SOPInstanceUID"]
    (path,) = (tmp_path / "out" / "sr").iterdir()
    report = pydicom.dcmread(path)
    assert back[report.StudyInstanceUID] == CANARIES["StudyInstanceUID"]
    assert back[report.PatientID].startswith(CANARIES["PatientID"])
    assert path.stem == judged["input"].removesuffix(".dcm")
    assert stat.S_IMODE(mapping.stat().st_mode) == 0o600


def test_the_same_map_keeps_a_study_together_and_another_one_does_not(tmp_path, source, capsys):
    def studies(mapping, out):
        predict(tmp_path, source, capsys, "--write", "sr", "--deidentify", mapping, out=out)
        (path,) = (tmp_path / out / "sr").iterdir()
        report = pydicom.dcmread(path)
        return report.StudyInstanceUID, report.SOPInstanceUID, report.PatientID

    first = studies(tmp_path / "map.csv", "one")
    length = len(rows_of(tmp_path / "map.csv"))
    assert studies(tmp_path / "map.csv", "two") == first
    assert len(rows_of(tmp_path / "map.csv")) == length
    assert not set(studies(tmp_path / "other.csv", "three")) & set(first)


def test_objects_say_that_they_are_deidentified_and_stay_valid(tmp_path, source, capsys):
    predict(tmp_path, source, capsys, "--write", WRITTEN, "--deidentify", tmp_path / "map.csv")
    for kind in ("seg", "sr", "sc"):
        (path,) = (tmp_path / "out" / kind).iterdir()
        made = pydicom.dcmread(path)
        assert made.PatientIdentityRemoved == "YES"
        assert "Basic Profile" in made.DeidentificationMethod
        assert made.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
        assert (made.StudyDate, made.AccessionNumber, made.PatientSex) == ("", "", "")
        assert made.ContentDate == made.InstanceCreationDate == "19000101"
        assert "PatientAge" not in made
        assert complaints(path) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--deidentify", "out/map.csv"), "outside the folder"),
        (("--deidentify", "map.csv", "--write", "submission", "--sample", "s.csv"), "submission"),
    ],
)
def test_wrong_usage(tmp_path, source, capsys, monkeypatch, options, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.csv").write_text("ImageId,EncodedPixels\na,-1\n")
    status, said = predict(tmp_path, source, capsys, *options)
    assert status == 2
    assert sentence in said.err


def test_another_file_is_not_taken_for_a_map(tmp_path, source, capsys):
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    status, said = predict(tmp_path, source, capsys, "--deidentify", tmp_path / "table.csv")
    assert status == 4
    assert "is none" in said.err
    assert (tmp_path / "table.csv").read_text() == "a,b\n1,2\n"
