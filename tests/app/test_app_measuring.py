"""Measuring on the page: tables, films of the session and labelled folders, by the same figures."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from app_films import png

pytest.importorskip("sklearn", reason="measuring needs pleura[train]")
pytest.importorskip("matplotlib", reason="measuring needs pleura[train]")

from pleura.app import measuring
from pleura.app.cases import Case, Source, Upload
from pleura.app.engine import LocalEngine
from pleura.app.settings import VARIABLE, AppSettings
from pleura.errors import DataError, MissingDependencyError

TABLE = b"image_id,label,probability\n" + b"".join(
    b"%d,%d,%.2f\n" % (n, n % 2, (0.3 + 0.6 * (n % 2)) * (0.5 + n / 40)) for n in range(20)
)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder with a folder of either kind; one file is none of a film."""
    for kind, positive in (("pneumothorax", True), ("normal", False)):
        (tmp_path / kind).mkdir()
        for number in range(4):
            (tmp_path / kind / f"{number}.png").write_bytes(png(number, positive))
    (tmp_path / "normal" / "letter.txt").write_bytes(b"Dear colleague")
    return tmp_path


def test_a_table_of_probabilities_is_measured(tiny_engine: LocalEngine) -> None:
    cases = measuring.cases_of_table(TABLE)
    found = measuring.measured(
        cases, tiny_engine.predictor.manifest.operating_points, "balanced", None
    )
    assert found.figures.counts.evaluated == 20
    auc = found.figures.discrimination.auc
    assert auc is not None
    assert auc.value == 1.0
    assert found.plots["roc"].startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"label,score\n2,0.5\n", "0 or 1"),
        (b"label,score\n1,1.5\n", "outside 0 to 1"),
        (b"score\n0.5\n", "no column 'label'"),
        (b"label,probability\n", "no rows"),
        (b"\xff\xfe\x00", "comma-separated"),
        (b"", "comma-separated"),
    ],
)
def test_a_table_that_cannot_be_measured_says_why(content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        measuring.cases_of_table(content)


def test_a_row_without_a_probability_is_counted(tiny_engine: LocalEngine) -> None:
    cases = measuring.cases_of_table(TABLE + b"x,1,\n")
    points = tiny_engine.predictor.manifest.operating_points
    found = measuring.measured(cases, points, "balanced", None)
    assert found.figures.counts.not_predicted == 1


def test_labels_for_the_films_of_a_session(tiny_engine: LocalEngine) -> None:
    cases = [
        tiny_engine.judge(str(n), n, Source(Upload(f"up/{n}.png", png(n, n % 2 == 1))))
        for n in range(6)
    ]
    films = [case for case in cases if isinstance(case, Case)]
    table = b"name,label\n" + b"".join(b"%d.PNG,%d\n" % (n, n % 2) for n in range(5))
    found = measuring.cases_of_session(table, films, "balanced")
    assert list(found["label"]) == [0, 1, 0, 1, 0]
    assert list(found["image_id"]) == [f"Film {n}" for n in range(5)]
    with pytest.raises(DataError, match="No film"):
        measuring.cases_of_session(b"name,label\nother.png,1\n", films, "balanced")


def test_a_labelled_folder_is_judged_and_measured(tiny_engine: LocalEngine, films: Path) -> None:
    done: list[tuple[int, int]] = []
    found = measuring.measure_index(
        tiny_engine.predictor,
        measuring.index_of_folder(films),
        lambda *step: done.append(step),
    )
    assert done[-1] == (9, 9)
    counts = found.figures.counts
    assert (counts.positives, counts.negatives, counts.not_predicted) == (4, 4, 1)
    point = next(p for p in found.figures.operating_points if p.claimed.name == "balanced")
    assert (point.true_positives, point.true_negatives) == (4, 4)
    assert found.report is not None
    assert found.report.provenance.data_layout == "class-folders"


def test_a_table_of_files_below_the_root(tiny_engine: LocalEngine, films: Path) -> None:
    table = b"path,label\npneumothorax/0.png,1\nnormal/1.png,0\nnormal/gone.png,0\n"
    found = measuring.measure_index(
        tiny_engine.predictor, measuring.index_of_table(table, films), lambda *_: None
    )
    counts = found.figures.counts
    assert (counts.positives, counts.negatives, counts.not_predicted) == (1, 1, 1)


@pytest.mark.parametrize("path", ["../secret.png", "/etc/passwd", "a/../../x.png"])
def test_a_table_does_not_lead_out_of_the_root(films: Path, path: str) -> None:
    with pytest.raises(DataError, match="leads out"):
        measuring.index_of_table(f"path,label\n{path},1\n".encode(), films)


def test_a_folder_without_labels_says_what_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    with pytest.raises(DataError) as raised:
        measuring.index_of_folder(tmp_path)
    assert "pneumothorax" in raised.value.hint


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pleura.evaluation", None)
    monkeypatch.delitem(sys.modules, "pleura.data.index", raising=False)
    with pytest.raises(MissingDependencyError, match=r"pleura\[train\]"):
        measuring.check_extra()


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> Iterator[Callable[..., Any]]:
    """Opens the page with settings of the test's own."""
    testing = pytest.importorskip("streamlit.testing.v1", reason="the page needs pleura[app]")

    def opened(**settings: Any) -> Any:
        given = AppSettings(model=str(tiny_model), **settings)
        monkeypatch.setenv(VARIABLE, given.model_dump_json())
        script = "from pleura.app.pages import evaluate\nevaluate.show()"
        return testing.AppTest.from_string(script, default_timeout=60).run()

    yield opened
    import streamlit

    streamlit.cache_resource.clear()


def test_the_page_measures_a_table_and_follows_the_threshold(open_page: Any) -> None:
    app = open_page()
    app.file_uploader[0].set_value([("t.csv", TABLE, "text/csv")]).run()
    app.button[0].click().run()
    assert not app.exception
    assert app.subheader[0].value == "20 films: 10 with a pneumothorax, 10 without"
    assert app.slider[0].value == 0.5

    def counted() -> list[list[str]]:
        table = app.table[0].value
        return [list(table[name]) for name in ("with a pneumothorax", "without")]

    app.slider[0].set_value(0.0).run()
    assert counted() == [["10", "0"], ["10", "0"]]
    assert any("Sensitivity **1.000**" in text.value for text in app.markdown)
    app.slider[0].set_value(1.0).run()
    assert counted() == [["0", "10"], ["0", "10"]]
    app.slider[0].set_value(0.35).run()
    assert counted() == [["10", "0"], ["0", "10"]]


def test_the_page_measures_a_folder(open_page: Any, films: Path) -> None:
    app = open_page(root=films)
    next(b for b in app.button if "folder" in b.label).click().run()
    assert not app.exception
    assert app.subheader[0].value == "8 films: 4 with a pneumothorax, 4 without"
    assert any("not_an_image" in warning.value for warning in app.warning)
    assert {button.label for button in app.download_button} == {
        "Table of cases (CSV)", "Figures (JSON)", "The whole report (HTML)",
    }  # fmt: skip


def test_the_page_says_why_a_table_cannot_be_measured(open_page: Any) -> None:
    app = open_page()
    app.file_uploader[0].set_value([("t.csv", b"label,score\n7,0.1\n", "text/csv")]).run()
    app.button[0].click().run()
    assert "0 or 1" in app.error[0].value


def test_the_whole_report_is_one_page(tiny_engine: LocalEngine, films: Path) -> None:
    from pleura.evaluation.write import render_page

    found = measuring.measure_index(
        tiny_engine.predictor, measuring.index_of_folder(films), lambda *_: None
    )
    assert found.report is not None
    html = render_page(found.report, found.plots)
    assert "class-folders" in html
    assert (
        json.loads(found.report.model_dump_json(by_alias=True))["schema"] == "pleura.evaluation/1"
    )
