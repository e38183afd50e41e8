"""Files of DICOM objects: their names, what cannot be one, and what a run without them costs."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from dicom_cases import film, predict

from pleura import Prediction, Predictor
from pleura.inference import Refusal, Status
from pleura.outputs import DICOM_FORMATS, DicomOptions, OutputFolder, places_in
from pleura.outputs.dicom import build as builder
from tiny_model import radiograph

KINDS = list(DICOM_FORMATS)


def named(prediction: Prediction, source: str) -> Prediction:
    return replace(prediction, radiograph=replace(prediction.radiograph, source=source))


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_each_under_the_overlay_s_name(predictor: Predictor, tmp_path: Path) -> None:
    positive, negative = predict(predictor, film()), predict(predictor, film(box=None))
    with OutputFolder(tmp_path, ["png", *KINDS]) as folder:
        folder.write(named(negative, "a/x.dcm"))
        folder.write(Refusal("a/y.dcm", Status.REFUSED, "truncated", "m", "h"))
        folder.write(named(positive, "b/x.dcm"))
    overlays = [Path(name).stem for name in listing(tmp_path / "overlays")]
    assert len(overlays) == 2
    for kind in ("sr", "sc"):
        assert listing(tmp_path / kind) == [f"{name}.dcm" for name in overlays]
    (segment,) = listing(tmp_path / "seg")
    assert segment.startswith("x-")
    assert set(folder.paths) >= {tmp_path / kind for kind in KINDS}
    assert set(places_in(tmp_path)) >= {tmp_path / kind for kind in KINDS}
    assert not folder.unwritten.codes
    report = pydicom.dcmread(tmp_path / "sr" / segment)
    written = pydicom.dcmread(tmp_path / "seg" / segment)
    assert written.SOPInstanceUID in str(report.CurrentRequestedProcedureEvidenceSequence)


def test_options_reach_the_objects(predictor: Predictor, tmp_path: Path) -> None:
    options = DicomOptions(fractional=True, negatives=True)
    with OutputFolder(tmp_path, ["seg"], dicom=options) as folder:
        folder.write(named(predict(predictor, film(box=None)), "x.dcm"))
    made = pydicom.dcmread(tmp_path / "seg" / "x.dcm")
    assert made.SegmentationType == "FRACTIONAL"


def test_a_mask_of_an_earlier_run_does_not_outlive_a_negative(
    predictor: Predictor, tmp_path: Path
) -> None:
    for box, wanted in (((60, 40, 120, 100), ["x.dcm"]), (None, [])):
        with OutputFolder(tmp_path, ["seg"]) as folder:
            folder.write(named(predict(predictor, film(box=box)), "x.dcm"))
        assert listing(tmp_path / "seg") == wanted


def without(prediction: Prediction, what: str) -> Prediction:
    uids = replace(prediction.radiograph.identifiers, **{what: ""})
    return replace(prediction, radiograph=replace(prediction.radiograph, identifiers=uids))


def test_what_no_object_can_be_made_of_is_counted_and_stops_nothing(
    predictor: Predictor, tmp_path: Path
) -> None:
    good = named(predict(predictor, film()), "good.dcm")
    private = film(SOPClassUID="1.2.3.4")
    with OutputFolder(tmp_path, ["json", *KINDS]) as folder:
        folder.write(predictor.predict(radiograph()))  # made.png
        for what in ("sop_instance_uid", "series_instance_uid", "study_instance_uid"):
            folder.write(named(without(good, what), f"{what}.dcm"))
        folder.write(named(predict(predictor, private), "private.dcm"))
        folder.write(good)
        codes, inputs = folder.unwritten.codes, folder.unwritten.inputs
    assert codes == {"no_dicom_source": 15}
    assert len(inputs) == 5
    assert "made.png" in inputs
    assert "original" in folder.unwritten.hints["no_dicom_source"]
    for kind in KINDS:
        assert listing(tmp_path / kind) == ["good.dcm"]
    assert len((tmp_path / "predictions.jsonl").read_text().splitlines()) == 6


def test_an_error_that_nobody_foresaw_is_counted_without_its_words(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise KeyError("Quixote")

    monkeypatch.setattr(builder, "build", fail)
    with OutputFolder(tmp_path, ["sr"]) as folder:
        for number in range(9):
            folder.write(named(predict(predictor, film()), f"{number}.dcm"))
        said = folder.unwritten
    assert said.codes == {"internal_error": 9}
    assert said.more
    assert "Quixote" not in str(vars(said))
    assert listing(tmp_path / "sr") == []


def test_a_full_disk_is_not_a_strange_header(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    prediction = predict(predictor, film())
    with OutputFolder(tmp_path, ["sc"]) as folder:
        folder.write(named(prediction, "a.dcm"))
        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="space"):
            folder.write(named(prediction, "b.dcm"))
    assert listing(tmp_path / "sc") == ["a.dcm"]


def test_a_run_without_them_does_not_import_highdicom() -> None:
    code = (
        "import pleura.outputs, sys;"
        "assert not {'highdicom', 'pydicom'} & {m.partition('.')[0] for m in sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
