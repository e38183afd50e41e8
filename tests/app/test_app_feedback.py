"""What readers say is kept, and becomes an index that training and calibration read."""

import os
import sqlite3
import stat
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from app_films import BOX, COLUMNS, ROWS, dicom, png

from pleura.app.cases import Case, Source, Upload
from pleura.app.engine import LocalEngine
from pleura.app.feedback import Feedback, FeedbackStore, Verdict, feedback_on
from pleura.app.session import Points
from pleura.errors import DataError, OutputError
from pleura.masks import RunLengthConvention, decode

POLYGON: Points = [(30.0, 50.0), (90.0, 60.0), (70.0, 130.0)]


def said(
    engine: LocalEngine,
    store: FeedbackStore,
    content: bytes,
    verdict: Verdict,
    *,
    reader: str = "Dr. Strange",
    outline_right: bool = False,
    drawn: Points | None = None,
    path: str = "",
) -> Feedback:
    """Judge a film, and give feedback on it."""
    case = engine.judge("id", 1, Source(Upload("film", content)))
    assert isinstance(case, Case)
    radiograph = engine.radiograph(case)
    feedback = feedback_on(
        case,
        case.results["balanced"],
        radiograph,
        content,
        reader=reader,
        verdict=verdict,
        outline_right=outline_right,
        drawn=drawn,
        path=path,
        patient=store.patient(radiograph),
    )
    store.add(feedback, content)
    return feedback


@pytest.fixture
def store(tmp_path: Path) -> FeedbackStore:
    return FeedbackStore(tmp_path / "feedback.sqlite", keep_images=True)


@pytest.mark.parametrize(
    ("positive", "verdict", "outline_right", "label", "mask"),
    [
        (True, Verdict.AGREE, False, 1, "unknown"),
        (True, Verdict.AGREE, True, 1, "the model's"),
        (True, Verdict.DISAGREE, False, 0, "none"),
        (False, Verdict.AGREE, False, 0, "none"),
        (False, Verdict.DISAGREE, False, 1, "unknown"),
        (False, Verdict.AGREE, True, 0, "none"),
    ],
)
def test_a_verdict_becomes_label_and_mask(
    tiny_engine: LocalEngine,
    store: FeedbackStore,
    positive: bool,
    verdict: Verdict,
    outline_right: bool,
    label: int,
    mask: str,
) -> None:
    content = png(0, positive)
    given = said(tiny_engine, store, content, verdict, outline_right=outline_right)
    (kept,) = store.all()
    assert kept.label == given.label == label
    if mask == "the model's":
        expected = tiny_engine.predictor.predict(content).mask
        assert (
            decode(kept.rle, (ROWS, COLUMNS), RunLengthConvention.SIIM_RELATIVE) == expected
        ).all()
    else:
        assert kept.rle == {"unknown": "", "none": "-1"}[mask]


def test_a_drawn_polygon_is_kept_as_run_lengths(
    tiny_engine: LocalEngine, store: FeedbackStore
) -> None:
    said(tiny_engine, store, png(0, False), Verdict.CORRECTED, drawn=POLYGON)
    (kept,) = store.all()
    mask = decode(kept.rle, (ROWS, COLUMNS), RunLengthConvention.SIIM_RELATIVE)
    x, y = np.meshgrid(np.arange(COLUMNS) + 0.5, np.arange(ROWS) + 0.5)
    inside = np.ones((ROWS, COLUMNS), dtype=np.bool_)
    for (x0, y0), (x1, y1) in zip(POLYGON, POLYGON[1:] + POLYGON[:1], strict=True):
        inside &= (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) >= 0  # convex, clockwise
    assert (mask == inside).all()
    # Its runs, by the definition of the challenge: column by column, from the last run's end.
    flat = inside.T.ravel().astype(np.int8)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]])))
    starts, ends = edges[::2], edges[1::2]
    gaps = starts - np.concatenate([[0], ends[:-1]])
    runs = np.stack([gaps, ends - starts], axis=1).ravel()
    assert kept.rle == " ".join(map(str, runs))
    assert kept.label == 1


def test_a_correction_needs_a_shape(tiny_engine: LocalEngine, store: FeedbackStore) -> None:
    for nothing in (None, [], [(1.0, 1.0), (1.2, 1.0), (1.1, 1.1)]):
        with pytest.raises(ValueError, match="enclose"):
            said(tiny_engine, store, png(), Verdict.CORRECTED, drawn=nothing)
    assert store.all() == []


def test_feedback_knows_when_and_who_and_what(
    tiny_engine: LocalEngine, store: FeedbackStore
) -> None:
    said(tiny_engine, store, dicom(), Verdict.AGREE)
    (kept,) = store.all()
    assert kept.reader == "Dr. Strange"
    assert kept.at.endswith("+00:00")
    assert (kept.model, kept.version) == ("tiny", "0.0.1")
    assert (kept.operating_point, kept.threshold, kept.present) == ("balanced", 0.5, 1)
    assert kept.sop_instance_uid.startswith("1.2.826")


def test_no_patient_stands_in_the_file(tiny_engine: LocalEngine, store: FeedbackStore) -> None:
    from dicom_maker import PATIENT_ID, PATIENT_NAME

    said(tiny_engine, store, dicom(), Verdict.AGREE)
    content = store.path.read_bytes()
    assert PATIENT_ID.encode() not in content
    assert PATIENT_NAME.encode() not in content
    (kept,) = store.all()
    assert len(kept.patient) == 16
    other = FeedbackStore(store.path.with_name("other.sqlite"))
    said(tiny_engine, other, dicom(), Verdict.AGREE)
    assert other.all()[0].patient != kept.patient  # each file has a salt of its own


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_the_file_is_its_owners_alone(store: FeedbackStore) -> None:
    assert store.images is not None
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.images.stat().st_mode) == 0o700


def test_films_are_kept_only_if_that_is_asked_for(tiny_engine: LocalEngine, tmp_path: Path) -> None:
    plain = FeedbackStore(tmp_path / "plain.sqlite")
    said(tiny_engine, plain, png(), Verdict.AGREE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain.sqlite"]
    assert plain.all()[0].path == ""
    keeping = FeedbackStore(tmp_path / "keeping.sqlite", keep_images=True)
    said(tiny_engine, keeping, png(), Verdict.AGREE)
    assert Path(keeping.all()[0].path).read_bytes() == png()


def test_many_sessions_write_at_the_same_time(tmp_path: Path) -> None:
    store = FeedbackStore(tmp_path / "feedback.sqlite")
    one = Feedback(
        "2026-01-01T00:00:00+00:00", "", "agree", 0, "-1", 9, 9, "0", "", "", "", "", None, "",
        "PNG", 0.1, 0, "balanced", 0.5, "tiny", "1", "0",
    )  # fmt: skip

    def write(reader: str) -> None:
        from dataclasses import replace

        for _ in range(10):
            store.add(replace(one, reader=reader), b"")

    threads = [threading.Thread(target=write, args=(f"reader {n}",)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert Counter(kept.reader for kept in store.all()) == {f"reader {n}": 10 for n in range(5)}


def test_another_kind_of_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and longer than its header, so that it is one for sure" * 4)
    with pytest.raises(OutputError):
        FeedbackStore(path)
    assert path.read_text().startswith("not a database")
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(OutputError, match="version"):
        FeedbackStore(newer)


def test_the_index_is_read_and_its_films_are_judged(
    tiny_engine: LocalEngine, store: FeedbackStore, tmp_path: Path
) -> None:
    """As `pleura calibrate` and `pleura train` do it."""
    pytest.importorskip("sklearn", reason="measuring needs pleura[train]")
    from pleura.app.feedback_index import index_bytes
    from pleura.data.index import read_index
    from pleura.evaluation import predict_cases, select_rows

    for number in range(6):
        positive = number % 2 == 0
        said(tiny_engine, store, dicom(number, positive), Verdict.AGREE, outline_right=True)
    said(tiny_engine, store, png(7, False), Verdict.CORRECTED, drawn=POLYGON)
    path = tmp_path / "index.parquet"
    path.write_bytes(index_bytes(store.all()))
    index = read_index(path)
    table = index.table
    assert list(table["label"]) == [1, 0, 1, 0, 1, 0, 1]
    assert set(table["split"]) == {"train"}
    assert list(table["pixels_from"]) == ["dicom"] * 6 + ["png"]
    drawn = table.iloc[6]
    assert (drawn["mask_rows"], drawn["mask_columns"]) == (ROWS, COLUMNS)
    assert drawn["rle"] == store.all()[6].rle
    assert drawn["area_fraction"] == pytest.approx(
        decode(drawn["rle"], (ROWS, COLUMNS), RunLengthConvention.SIIM_RELATIVE).mean()
    )
    cases = predict_cases(tiny_engine.predictor, index, select_rows(index, None).table)
    assert set(cases["status"]) == {"ok"}
    assert cases.loc[[0, 2, 4], "dice"].tolist() == [1.0, 1.0, 1.0]


def test_training_takes_the_index(
    tiny_engine: LocalEngine, store: FeedbackStore, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="training needs pleura[train]")
    from pleura.app.feedback_index import index_bytes
    from pleura.training.config import DataConfig
    from pleura.training.examples import load_examples

    for number in range(6):
        said(tiny_engine, store, dicom(number, number % 2 == 0), Verdict.AGREE, outline_right=True)
    path = tmp_path / "index.parquet"
    path.write_bytes(index_bytes(store.all()))
    config = DataConfig(index=path, cache=tmp_path / "cache", cache_size=64, validation_fold=None)
    data = load_examples(config)
    assert data.refused == {}
    assert data.examples.labels.tolist() == [1, 0, 1, 0, 1, 0]
    top, left, bottom, right = BOX
    assert (data.examples.masks[0] > 0).mean() == pytest.approx(
        (bottom - top) * (right - left) / ROWS**2, rel=0.4
    )
    assert not data.examples.masks[1].any()


def test_what_a_reader_said_last_counts(tiny_engine: LocalEngine, store: FeedbackStore) -> None:
    from pleura.app.feedback_index import index_of

    said(tiny_engine, store, png(), Verdict.DISAGREE)
    said(tiny_engine, store, png(), Verdict.AGREE)
    said(tiny_engine, store, png(1), Verdict.AGREE, reader="Dr. Who")
    table = index_of(store.all()).table
    assert list(table["label"]) == [1, 1]
    assert list(table["problems"]) == ["mask_unknown", "mask_unknown"]


def test_readers_who_contradict_each_other_leave_the_label_open(
    tiny_engine: LocalEngine, store: FeedbackStore
) -> None:
    from pleura.app.feedback_index import index_of

    said(tiny_engine, store, png(), Verdict.AGREE, outline_right=True)
    said(tiny_engine, store, png(), Verdict.DISAGREE, reader="Dr. No")
    (row,) = index_of(store.all()).table.to_dict("records")
    assert row["split"] == "unlabelled"
    assert row["rle"] == ""
    assert "conflicting_label" in row["problems"]


def test_an_outline_stays_when_another_reader_only_agrees(
    tiny_engine: LocalEngine, store: FeedbackStore
) -> None:
    from pleura.app.feedback_index import index_of

    said(tiny_engine, store, png(), Verdict.CORRECTED, drawn=POLYGON)
    said(tiny_engine, store, png(), Verdict.AGREE, reader="Dr. Yes")
    (row,) = index_of(store.all()).table.to_dict("records")
    assert row["rle"] == store.all()[0].rle
    assert row["mask_source"] == "reader"


def test_films_of_a_folder_and_kept_ones_share_an_index(
    tiny_engine: LocalEngine, store: FeedbackStore, tmp_path: Path
) -> None:
    from dataclasses import replace

    from pleura.app.feedback_index import index_of

    film = tmp_path / "root" / "a" / "film.png"
    film.parent.mkdir(parents=True)
    film.write_bytes(png(5))
    said(tiny_engine, store, png(), Verdict.AGREE)
    elsewhere = replace(store.all()[0], sha256="1" * 64, path=str(film))
    index = index_of([*store.all(), elsewhere, replace(elsewhere, sha256="2" * 64, path="")])
    found = [(index.root / path).read_bytes() for path in index.table["path"] if path]
    assert found == [png(), png(5)]
    assert list(index.table["split"]) == ["train", "train", ""]


def test_without_feedback_there_is_no_index() -> None:
    from pleura.app.feedback_index import index_of

    with pytest.raises(DataError):
        index_of([])
