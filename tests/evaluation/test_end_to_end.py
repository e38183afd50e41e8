"""From files, an index and a real (tiny) ONNX model to the folder that a researcher opens."""

import base64
import json
import re
import sys

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pleura.cli.main import app, main
from pleura.data.columns import COLUMNS, conform
from pleura.data.index import Index, read_index, write_index
from pleura.errors import DataError
from pleura.evaluation import Report, draw_thumbnails, evaluate_model, select_rows
from pleura.evaluation.cases import predict_cases
from pleura.evaluation.write import render_page
from pleura.inference import Predictor
from pleura.masks import encode
from tiny_model import radiograph, write_model

BOX = (60, 40, 120, 100)
MISSING = {"str": "", "float64": np.nan}


def row_of(name, **known):
    defaults = {column.name: MISSING.get(column.dtype, pd.NA) for column in COLUMNS}
    return (
        defaults
        | {
            "image_id": name,
            "path": f"images/{name}.png",
            "group": name,
            "group_known": True,
            "split": "test",
            "label": 0,
            "rle": "-1",
            "area_fraction": 0.0,
            "view": "PA",
        }
        | known
    )


def masked(name, scale=1, source="published", **known):
    true = np.zeros((300 * scale, 240 * scale), bool)
    top, left, bottom, right = (scale * edge for edge in BOX)
    true[top:bottom, left:right] = True
    return row_of(
        name,
        label=1,
        rle=encode(true),
        mask_rows=true.shape[0],
        mask_columns=true.shape[1],
        mask_source=source,
        mask_weight=1.0,
        area_fraction=true.mean(),
        **known,
    )


def made_index(root):
    """Positives (two grids, one mask only matched, one unknown), negatives, two bad files."""
    rows = [
        masked("same-grid"),
        masked("finer-grid", scale=2, view="AP"),
        masked("matched", source="matched"),
        row_of("mask-unknown", label=1, rle="", area_fraction=np.nan),
        *(row_of(f"normal-{i}") for i in range(4)),
        row_of("broken"),
        row_of("absent", path=""),
        row_of("unlabelled", label=pd.NA),
        row_of("other-split", split="train"),
    ]
    folder = root / "images"
    folder.mkdir(parents=True)
    for row in rows:
        made = radiograph(box=BOX if row["label"] is not pd.NA and row["label"] else None)
        picture = np.round(made.pixels * 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{row['image_id']}.png"), picture)
    (folder / "broken.png").write_bytes(b"not a picture")
    return Index(conform(pd.DataFrame(rows)), root, "made")


@pytest.fixture
def index(tmp_path):
    return made_index(tmp_path / "root")


@pytest.fixture
def predictor(tmp_path):
    return Predictor.load(write_model(tmp_path / "tiny"), threads=1)


def test_cases_hold_what_the_model_said(index, predictor):
    seen = []
    selection = select_rows(index, "test")
    assert (selection.rows, len(selection.table)) == (11, 10)
    cases = predict_cases(
        predictor, index, selection.table, lambda done, total: seen.append((done, total))
    ).set_index("image_id")
    assert seen == [(i, 10) for i in range(1, 11)]
    for name in ("same-grid", "normal-0"):
        expected = predictor.predict(index.root / "images" / f"{name}.png", always_segment=True)
        assert cases.loc[name, "probability"] == expected.probability
        assert cases.loc[name, "ms_total"] > 0
    alone = predictor.predict(index.root / "images" / "same-grid.png")
    assert cases.loc["same-grid", "predicted_area_fraction"] == alone.mask.mean()
    assert cases.loc["same-grid", "dice"] > 0.9
    assert cases.loc["finer-grid", "dice"] > 0.9
    assert cases.loc["same-grid", "iou"] < cases.loc["same-grid", "dice"]
    assert cases.loc[["matched", "mask-unknown", "normal-0"], "dice"].isna().all()
    assert list(cases.loc[["broken", "absent"], "status"]) == ["refused", "failed"]
    assert list(cases.loc[["broken", "absent"], "error_code"]) == ["not_an_image", "data_error"]


def test_the_mask_is_forced_below_the_operating_point(index, tmp_path):
    strict = Predictor.load(write_model(tmp_path / "tiny"), threads=1)
    sensitive = Predictor.load(tmp_path / "tiny", threads=1, operating_point="sensitive")
    rows = select_rows(index, "test").table
    first, second = (predict_cases(each, index, rows) for each in (strict, sensitive))
    columns = ["image_id", "probability", "dice", "predicted_area_fraction"]
    pd.testing.assert_frame_equal(first[columns], second[columns])


def test_the_limit_draws_a_sample_that_the_seed_decides(index):
    drawn = [list(select_rows(index, "test", 5, seed).table["image_id"]) for seed in (0, 0, 1, 2)]
    assert drawn[0] == drawn[1]
    assert len({tuple(names) for names in drawn}) > 1
    order = list(index.table["image_id"])
    assert drawn[0] == sorted(drawn[0], key=order.index)


def test_an_empty_split_is_refused(index):
    with pytest.raises(DataError, match="no rows of the split 'nowhere'") as caught:
        select_rows(index, "nowhere")
    assert "test, train" in caught.value.hint
    index.table["label"] = pd.array([pd.NA] * len(index.table), dtype="Int8")
    with pytest.raises(DataError, match="label"):
        select_rows(index, "test")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The command's output and the folder that it wrote, beside index and model."""
    folder = tmp_path_factory.mktemp("evaluation")
    model, index = write_model(folder / "tiny"), folder / "index.parquet"
    write_index(made_index(folder / "root"), index)
    command = f"evaluate --model {model} --data {index} -o {folder / 'out'} --threads 1"
    options = "--operating-point sensitive --resamples 100"
    words = [*command.split(), *options.split()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["/somewhere/bin/pleura", *words])
        result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return result.output, folder


def test_the_command_writes_figures_and_table(written):
    said, folder = written
    assert "AUC" in said
    text = (folder / "out" / "report.json").read_text()
    assert json.loads(text)["schema"] == "pleura.evaluation/1"
    report = Report.model_validate_json(text)
    assert report.provenance.model_name == "tiny"
    assert report.provenance.model_sha256 == Predictor.load(folder / "tiny").model.sha256
    index = read_index(folder / "index.parquet")
    assert report.provenance.data_fingerprint == index.fingerprint
    assert report.figures.counts.evaluated == 8
    assert [p.claimed.name for p in report.figures.operating_points if p.selected] == ["sensitive"]
    assert {item.code for item in report.figures.not_predicted} == {"not_an_image", "data_error"}
    assert len(pd.read_csv(folder / "out" / "predictions.csv")) == 10


def test_the_page_opens_offline_with_its_pictures(written):
    _, folder = written
    page = (folder / "out" / "report.html").read_text()
    pictures = re.findall(r'src="([^"]*)"', page)
    plots = {path.stem for path in (folder / "out").glob("*.png")}
    assert {"roc", "precision_recall", "reliability", "decision_curve", "risk_coverage"} < plots
    thumbnails = re.findall(r'<figure><img src="([^"]*)"', page)
    assert len(pictures) == len(plots) + len(thumbnails)
    for picture in pictures:
        kind, _, data = picture.partition(",")
        assert kind == "data:image/png;base64"
        decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), 0)
        assert decoded.shape[0] > 200
        # The made radiographs of normals are nearly black.
        assert decoded.std() > (0 if picture in thumbnails else 1)
    assert "http" not in page
    sha256 = Predictor.load(folder / "tiny").model.sha256
    for wanted in ("not a medical device", sha256, "not_an_image", "pleura evaluate --model"):
        assert wanted in page


def test_the_page_shows_the_worst_errors(written):
    _, folder = written
    page = (folder / "out" / "report.html").read_text()
    worst = Report.model_validate_json((folder / "out" / "report.json").read_text()).figures
    listed = [line for lines in worst.worst_errors for line in lines[1]]
    assert len(re.findall("<figure>", page)) == len(listed) > 0


def test_the_page_says_what_could_not_be_measured(written):
    _, folder = written
    figures = Report.model_validate_json((folder / "out" / "report.json").read_text()).figures
    page = (folder / "out" / "report.html").read_text()
    assert figures.selective.by_spread is None
    assert "No order by spread: The model looks at one view" in page
    assert figures.chest_tube_question.text in page
    assert "cannot be answered on this split" in page


def test_the_spread_over_the_views_reaches_the_table(index, tmp_path):
    model = write_model(tmp_path / "flipped", flip_average=True, lopsided=True)
    cases = predict_cases(Predictor.load(model, threads=1), index, select_rows(index, "test").table)
    known = cases[cases["status"] == "ok"]
    assert known["uncertainty"].notna().all()
    assert known["uncertainty"].max() > 0
    assert cases[cases["status"] != "ok"]["uncertainty"].isna().all()


def test_a_thumbnail_that_cannot_be_made_is_left_out(index, predictor, caplog):
    report, _ = evaluate_model(predictor, index, "test", n_resamples=100, arguments=[])
    worst = report.figures.worst_errors
    assert {line.image_id for line in worst.masks} == {"finer-grid", "same-grid"}
    whole = draw_thumbnails(predictor, index, worst)
    assert set(whole) >= {"same-grid", "finer-grid"}
    (index.root / "images" / "same-grid.png").unlink()
    left = draw_thumbnails(predictor, index, worst)
    assert set(whole) - set(left) == {"same-grid"}
    assert "no thumbnail" in caplog.text
    assert "same-grid" not in caplog.text
    assert "<figure>" not in render_page(report, {})
    assert render_page(report, {}, left).count("<figure>") == len(left)


def test_what_data_say_is_escaped(index, predictor):
    index.table.loc[0, "view"] = "<script>alert(1)</script>"
    report, _ = evaluate_model(predictor, index, "test", n_resamples=100, arguments=[])
    page = render_page(report, {})
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_an_unknown_operating_point_is_wrong_usage(index, tmp_path):
    write_index(index, tmp_path / "index.parquet")
    model = write_model(tmp_path / "tiny")
    with pytest.raises(SystemExit) as caught:
        main(
            f"evaluate --model {model} --data {tmp_path / 'index.parquet'} "
            f"-o {tmp_path / 'out'} --operating-point nowhere".split()
        )
    assert caught.value.code == 2
    assert not (tmp_path / "out").exists()
