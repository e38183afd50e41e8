"""What a reader takes along is whole, right, and names nobody unless that was asked for."""

import csv
import io
import json
from dataclasses import replace

import cv2
import numpy as np
import pydicom
import pytest
from app_films import dicom, pixels, png

from pleura.app.cases import Case, Entry, Refused, Source, Upload
from pleura.app.engine import LocalEngine
from pleura.app.report_pdf import Page, make_pdf
from pleura.app.takeaway import Kind, as_csv, as_json, as_json_lines, file_name
from pleura.outputs.record import NoticeRecord, RegionRecord

POINT = "balanced"


def judged(engine: LocalEngine, content: bytes, name: str = "Quixote_1605.dcm") -> Entry:
    return engine.judge("0123", 7, Source(Upload(name, content)))


def case_of(engine: LocalEngine, content: bytes) -> Case:
    case = judged(engine, content)
    assert isinstance(case, Case)
    return case


def page_of(engine: LocalEngine, case: Case, **changes: object) -> Page:
    record = case.results[POINT]
    page = Page(
        title=case.title,
        patient="",
        record=record,
        point=engine.model.point_of(record),
        pixels=engine.radiograph(case).pixels,
        made="2026-03-14 15:09 UTC",
    )
    return replace(page, **changes)  # type: ignore[arg-type]


def test_dicom_objects_are_of_the_film(tiny_engine: LocalEngine) -> None:
    case = case_of(tiny_engine, dicom())
    assert tiny_engine.kinds(case) == tuple(Kind)
    for kind, modality in ((Kind.SEG, "SEG"), (Kind.SR, "SR"), (Kind.SC, "CR")):
        made = pydicom.dcmread(io.BytesIO(tiny_engine.take(case, POINT, kind)))
        assert made.Modality in (modality, "OT")
        assert made.StudyInstanceUID == pydicom.dcmread(io.BytesIO(dicom())).StudyInstanceUID
    made = pydicom.dcmread(io.BytesIO(tiny_engine.take(case, POINT, Kind.SEG)))
    assert (made.pixel_array.astype(bool) == tiny_engine.predictor.predict(dicom()).mask).all()


def test_a_segmentation_of_a_negative_is_empty_and_there(tiny_engine: LocalEngine) -> None:
    case = case_of(tiny_engine, dicom(0, positive=False))
    made = pydicom.dcmread(io.BytesIO(tiny_engine.take(case, POINT, Kind.SEG)))
    assert not made.pixel_array.any()


def test_a_header_without_uids_gives_no_dicom_objects(tiny_engine: LocalEngine) -> None:
    from dicom_maker import dataset, to_bytes

    made = dataset(pixels(0, True), StudyInstanceUID=None)
    case = case_of(tiny_engine, to_bytes(made))
    assert tiny_engine.kinds(case) == (Kind.OVERLAY, Kind.HEATMAP)


def test_pictures_follow_the_operating_point(tiny_engine: LocalEngine) -> None:
    case = case_of(tiny_engine, png(0, positive=False))
    assert tiny_engine.kinds(case) == (Kind.OVERLAY, Kind.HEATMAP)
    pictures = [tiny_engine.take(case, point, Kind.OVERLAY) for point in ("balanced", "sensitive")]
    assert pictures[0] != pictures[1]
    for picture in pictures:
        assert cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) is not None


@pytest.mark.parametrize("identifying", [False, True])
def test_tables_name_the_film_only_if_asked(tiny_engine: LocalEngine, identifying: bool) -> None:
    entries = [judged(tiny_engine, dicom()), judged(tiny_engine, b"no film", "Quixote.txt")]
    assert isinstance(entries[1], Refused)
    texts = [
        as_json_lines(entries, POINT, identifying),
        as_csv(entries, POINT, identifying),
        *(as_json(entry, POINT, identifying) for entry in entries),
    ]
    for text in texts:
        assert (b"Quixote" in text or b"10.999" in text) == identifying


def test_the_table_has_the_columns_of_a_submission(tiny_engine: LocalEngine) -> None:
    entries = [
        judged(tiny_engine, png(0)),
        judged(tiny_engine, b""),
        judged(tiny_engine, png(1, False)),
    ]
    rows = list(csv.DictReader(io.StringIO(as_csv(entries, POINT, False).decode())))
    assert [row["status"] for row in rows] == ["ok", "refused", "ok"]
    assert [row["present"] for row in rows] == ["1", "", "0"]
    assert rows[0]["ImageId"] == "Film 7"
    assert rows[1]["error_code"] == "not_an_image"
    assert rows[2]["EncodedPixels"] == "-1"
    record = json.loads(as_json(entries[0], POINT, False))
    assert record["schema"] == "pleura.prediction/1"
    assert record["mask"]["rle"] == rows[0]["EncodedPixels"]


def test_a_file_is_called_by_the_number(tiny_engine: LocalEngine) -> None:
    assert file_name(case_of(tiny_engine, dicom()), "seg.dcm") == "pleura-film-7-seg.dcm"


def text_of(pdf: bytes) -> str:
    pypdf = pytest.importorskip("pypdf")
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    assert len(reader.pages) == 1
    assert len(reader.pages[0].images) == 1
    return " ".join(reader.pages[0].extract_text().split())


def heights_of(pdf: bytes) -> list[float]:
    """Where lines stand, in points from the foot of the page."""
    pypdf = pytest.importorskip("pypdf")
    heights: list[float] = []

    def visit(text: str, _: object, matrix: list[float], *__: object) -> None:
        if text.strip():
            heights.append(matrix[5])

    pypdf.PdfReader(io.BytesIO(pdf)).pages[0].extract_text(visitor_text=visit)
    return heights


def test_the_page_says_what_it_must(tiny_engine: LocalEngine) -> None:
    case = case_of(tiny_engine, dicom())
    said = text_of(make_pdf(page_of(tiny_engine, case)))
    for wanted in (
        "Research software, not for diagnosis.",
        "Film 7",
        "Pneumothorax: 0.89 >= 0.50",
        "Of 100 films with a pneumothorax, 80 are found",
        "patient's right",
        "tiny 0.0.1",
        "2026-03-14",
    ):
        assert wanted in said
    assert "Quixote" not in said
    assert "10.999" not in said


def test_the_page_names_the_patient_if_asked(tiny_engine: LocalEngine) -> None:
    case = case_of(tiny_engine, dicom())
    said = text_of(make_pdf(page_of(tiny_engine, case, patient="Quixote^Alonso, 1605 山田")))
    assert "Quixote^Alonso, 1605 ??" in said


def test_the_page_shows_film_and_outline(tiny_engine: LocalEngine) -> None:
    pypdf = pytest.importorskip("pypdf")
    case = case_of(tiny_engine, dicom())
    reader = pypdf.PdfReader(io.BytesIO(make_pdf(page_of(tiny_engine, case))))
    shown = np.asarray(reader.pages[0].images[0].image)
    assert shown.shape[:2] == case.shape
    coloured = (shown[..., 0].astype(int) - shown[..., 2]) > 100
    rows, columns = np.nonzero(coloured)
    assert abs(rows.min() - 60) < 8
    assert abs(columns.min() - 40) < 8
    negative = case_of(tiny_engine, dicom(0, positive=False))
    reader = pypdf.PdfReader(io.BytesIO(make_pdf(page_of(tiny_engine, negative))))
    shown = np.asarray(reader.pages[0].images[0].image)
    assert (np.ptp(shown, axis=2) < 12).all()


def test_the_page_stays_one_page_whatever_happens(tiny_engine: LocalEngine) -> None:
    case = case_of(tiny_engine, dicom())
    record = case.results[POINT]
    warning = NoticeRecord(code="long", message="A warning that is rather long. " * 12)
    region = RegionRecord(box=(0, 0, 1, 1), area_px=1, image_side="left", score=0.5)
    crowded = record.model_copy(
        update={
            "regions": [region] * 40,
            "quality": record.quality.model_copy(update={"warnings": [warning] * 40}),
        }
    )
    pdf = make_pdf(page_of(tiny_engine, case, record=crowded, title="x" * 500))
    said = text_of(pdf)
    assert "and 35 smaller ones" in said
    assert "…" in said
    assert min(heights_of(pdf)) > 40  # points; nothing runs over the foot of the page


def test_equal_results_give_equal_pages(tiny_engine: LocalEngine) -> None:
    case = case_of(tiny_engine, png())
    page = page_of(tiny_engine, case)
    assert make_pdf(page) == make_pdf(page)
