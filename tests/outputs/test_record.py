"""JSON and CSV hold to the contract of the design page, letter by letter."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pleura import Prediction, Predictor
from pleura.inference import Refusal, Status
from pleura.masks import RunLengthConvention, decode
from pleura.outputs import OutputFolder, json_line
from pleura.radiograph import Identifiers, Spacing, SpacingSource
from tiny_model import radiograph

REFUSAL = Refusal("a/b.txt", Status.REFUSED, "not_an_image", "No image.", "Give one.")
FAILURE = Refusal("c.dcm", Status.FAILED, "internal_error", "It broke.", "Report it.")


@pytest.fixture
def positive(model_folder: Path) -> Prediction:
    picture = replace(
        radiograph(source="a/b.dcm"),
        spacing=Spacing(0.14, 0.14, SpacingSource.PIXEL_SPACING),
        identifiers=Identifiers(sop_instance_uid="1.2.3"),
        view="LL",
        patient_orientation=("L", "F"),
    )
    return Predictor.load(model_folder).predict(picture)


@pytest.fixture
def negative(model_folder: Path) -> Prediction:
    return Predictor.load(model_folder).predict(radiograph(box=None, source="x/1.2.840.99"))


def test_a_prediction_has_the_fields_of_the_contract_in_their_order(positive: Prediction) -> None:
    record = json.loads(json_line(positive))
    assert list(record) == [
        "schema",
        "input",
        "sop_instance_uid",
        "status",
        "finding",
        "probability",
        "uncertainty",
        "present",
        "operating_point",
        "mask",
        "regions",
        "quality",
        "model",
        "timings_ms",
    ]
    assert record["schema"] == "pleura.prediction/1"
    assert (record["input"], record["sop_instance_uid"]) == ("a/b.dcm", "1.2.3")
    assert (record["status"], record["finding"]) == ("ok", "pneumothorax")
    assert record["probability"] == pytest.approx(positive.probability, abs=1e-6)
    assert record["uncertainty"] is None
    assert record["present"] is True
    assert record["operating_point"] == {
        "name": "balanced",
        "threshold": 0.5,
        "sensitivity": 0.8,
        "specificity": 0.9,
    }
    mask = record["mask"]
    assert list(mask) == ["rle", "rle_convention", "rows", "columns", "area_px", "area_mm2"]
    assert (mask["rle_convention"], mask["rows"], mask["columns"]) == ("siim-relative", 300, 240)
    decoded = decode(mask["rle"], (300, 240), RunLengthConvention.SIIM_RELATIVE)
    assert np.array_equal(decoded, positive.mask)
    assert mask["area_px"] == decoded.sum() > 0
    assert mask["area_mm2"] == pytest.approx(decoded.sum() * 0.14**2, abs=0.05)
    (region,) = record["regions"]
    fields = ["box", "area_px", "image_side", "score", "area_mm2", "patient_side"]
    assert list(region) == fields
    assert region["box"] == list(positive.regions[0].box)
    assert (region["image_side"], region["patient_side"]) == ("left", "right")
    assert region["area_mm2"] == mask["area_mm2"]
    assert [w["code"] for w in record["quality"]["warnings"]] == ["lateral_view"]
    assert record["quality"]["accepted"] is True
    assert list(record["model"]) == ["name", "version", "sha256", "engine"]
    stages = ["decode", "preprocess", "classify", "segment", "postprocess", "total"]
    assert list(record["timings_ms"]) == stages


def test_the_spread_of_the_views_stands_in_record_and_row(
    tmp_path: Path, positive: Prediction
) -> None:
    spread = replace(positive, uncertainty=0.01234567)
    assert json.loads(json_line(spread))["uncertainty"] == 0.012346
    with OutputFolder(tmp_path, ["csv"]) as folder:
        folder.write(spread)
        folder.write(positive)
        folder.write(REFUSAL)
    with (tmp_path / "predictions.csv").open(newline="") as stream:
        assert [row["uncertainty"] for row in csv.DictReader(stream)] == ["0.012346", "", ""]


def test_a_negative_has_no_mask_and_no_area_in_millimetres_without_spacing(
    negative: Prediction,
) -> None:
    record = json.loads(json_line(negative))
    assert record["present"] is False
    assert record["mask"]["rle"] == "-1"
    assert record["mask"]["area_px"] == 0
    assert record["mask"]["area_mm2"] is None
    assert record["regions"] == []


@pytest.mark.parametrize(("result", "status"), [(REFUSAL, "refused"), (FAILURE, "failed")])
def test_a_refusal_has_its_error_and_no_other_field(result: Refusal, status: str) -> None:
    assert json.loads(json_line(result)) == {
        "schema": "pleura.prediction/1",
        "input": result.input,
        "status": status,
        "error": {"code": result.code, "message": result.message, "hint": result.hint},
    }


def test_a_name_with_line_ends_or_broken_bytes_stays_on_one_line() -> None:
    nasty = replace(REFUSAL, input='a\n"b"\udcff.dcm')
    line = json_line(nasty)
    assert "\n" not in line
    assert json.loads(line)["input"] == 'a\n"b"\ufffd.dcm'


def test_csv_has_the_columns_of_the_submission_and_a_row_each(
    tmp_path: Path, positive: Prediction, negative: Prediction
) -> None:
    with OutputFolder(tmp_path / "out", ["csv"]) as folder:
        for result in (positive, REFUSAL, negative, FAILURE):
            folder.write(result)
    with (tmp_path / "out" / "predictions.csv").open(newline="") as stream:
        header, first, second, third, fourth = csv.reader(stream)
    assert header == [
        "ImageId",
        "EncodedPixels",
        "probability",
        "present",
        "status",
        "error_code",
        "uncertainty",
    ]
    assert first[0] == "1.2.3"
    assert np.array_equal(decode(first[1], (300, 240)), positive.mask)
    assert float(first[2]) == pytest.approx(positive.probability, abs=1e-6)
    assert first[3:] == ["1", "ok", "", ""]
    assert second == ["b.txt", "", "", "", "refused", "not_an_image", ""]
    assert third[:2] == ["1.2.840.99", "-1"]
    assert third[3:] == ["0", "ok", "", ""]
    assert fourth == ["c", "", "", "", "failed", "internal_error", ""]


def test_lines_are_on_disk_as_soon_as_they_are_written(
    tmp_path: Path, positive: Prediction
) -> None:
    folder = OutputFolder(tmp_path, ["json", "csv"])
    for count in (1, 2, 3):
        folder.write(positive if count != 2 else REFUSAL)
        json_text = (tmp_path / "predictions.jsonl").read_text()
        csv_text = (tmp_path / "predictions.csv").read_text()
        assert json_text.count("\n") == count
        assert csv_text.count("\n") == count + 1
        assert json_text.endswith("\n")
        assert csv_text.endswith("\n")
    folder.close()


def test_an_unknown_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'dcm'; known: json, csv, png, heatmap"):
        OutputFolder(tmp_path, ["json", "dcm"])
