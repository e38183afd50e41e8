"""The pages through Streamlit's own tester: what is drawn for which state, without a browser."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from app_films import dicom, png, zipped

from pleura.app.cases import Case
from pleura.app.feedback import FeedbackStore
from pleura.app.settings import VARIABLE, AppSettings

testing = pytest.importorskip("streamlit.testing.v1", reason="the page needs pleura[app]")

ENTRY = Path(__file__).parents[2] / "src" / "pleura" / "app" / "entry" / "main.py"
Open = Callable[..., Any]


@pytest.fixture
def open_app(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> Iterator[Open]:
    """Opens the page with settings of the test's own."""

    def opened(**settings: Any) -> Any:
        given = AppSettings(**{"model": str(tiny_model), **settings})
        monkeypatch.setenv(VARIABLE, given.model_dump_json())
        return testing.AppTest.from_file(str(ENTRY), default_timeout=30).run()

    yield opened
    import streamlit

    streamlit.cache_resource.clear()


def send(app: Any, *files: tuple[str, bytes]) -> Any:
    """Upload files, and let the page judge them."""
    app.file_uploader[0].set_value([(name, content, "") for name, content in files]).run()
    assert not app.exception
    return app


def texts(app: Any) -> str:
    """Everything that is written on the page."""
    kinds = (app.markdown, app.caption, app.warning, app.error, app.info, app.header, app.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def session_of(app: Any) -> Any:
    return app.session_state["pleura"]


def test_the_first_page_says_what_it_is(open_app: Open) -> None:
    app = open_app()
    assert not app.exception
    assert "Is there a pneumothorax" in texts(app)
    assert any(
        "Research software, not for diagnosis" in html.proto.body for html in app.get("html")
    )


def test_films_are_judged_and_the_most_urgent_is_open(open_app: Open) -> None:
    app = send(open_app(), ("a.png", png(0, False)), ("b.png", png(1)))
    assert "2 films: 1 with a pneumothorax, 1 without" in texts(app)
    assert "Pneumothorax: probability" in texts(app)
    assert session_of(app).tray.waiting == 0


def test_the_uploads_are_forgotten_by_streamlit(open_app: Open) -> None:
    app = send(open_app(), ("a.png", png()))
    assert session_of(app).uploads == 1
    assert len(session_of(app).tray.cases) == 1
    app.run()
    assert len(session_of(app).tray.cases) == 1


def test_a_text_is_refused_with_reason_and_hint(open_app: Open) -> None:
    app = send(open_app(), ("letter.txt", b"Dear colleague"))
    said = texts(app)
    assert "not judged" in said
    assert "neither DICOM nor PNG" in said
    assert "What to do" in said
    assert "letter" not in said


def test_an_archive_with_good_and_bad_members(open_app: Open) -> None:
    app = send(open_app(), ("all.zip", zipped({"a.png": png(), "b.txt": b"x", "c.png": png(2)})))
    assert "3 films: 2 with a pneumothorax, 0 without, 1 not judged" in texts(app)


def test_label_words_and_list_follow_the_operating_point(open_app: Open) -> None:
    app = send(open_app(), ("a.png", png(0, False)))
    assert "No pneumothorax found" in texts(app)
    assert "**balanced**: Of 100 films with a pneumothorax, 80 are found" in texts(app)
    session_of(app).choose("sensitive", None)
    app.run()
    assert "Pneumothorax: probability" in texts(app)
    assert "1 film: 1 with a pneumothorax, 0 without" in texts(app)
    assert "**sensitive**: Of 100 films with a pneumothorax, 95 are found" in texts(app)


def test_a_tried_threshold_changes_the_film_and_not_the_list(open_app: Open) -> None:
    app = send(open_app(), ("a.png", png()))
    session_of(app).choose("balanced", 0.999)
    app.run()
    assert "No pneumothorax found: probability" in texts(app)
    assert "1 film: 1 with a pneumothorax, 0 without" in texts(app)
    assert "At 0.999 nothing was measured" in texts(app)
    assert "Only tried on this film" in texts(app)


def test_warnings_are_shown(open_app: Open) -> None:
    app = send(open_app(), ("a.png", png()))
    session_of(app).choose("balanced", 0.999)
    app.run()
    assert any("segmentation network is sure" in warning.value for warning in app.warning)


def test_nothing_identifying_is_shown_unless_asked(open_app: Open) -> None:
    app = send(open_app(), ("Quixote-1605.dcm", dicom()))
    shown = texts(app) + "\n".join(str(text.value) for text in app.text)
    assert "Quixote" not in shown
    app.checkbox[0].check().run()
    shown = "\n".join(str(text.value) for text in app.text)
    assert "Quixote-1605.dcm" in shown
    assert "Quixote^Alonso" in shown


def test_forgetting_films_empties_the_page(open_app: Open) -> None:
    app = send(open_app(), ("a.png", png()))
    next(button for button in app.button if button.label == "Forget all films").click().run()
    assert "Is there a pneumothorax" in texts(app)
    assert session_of(app).tray.entries == {}


def test_more_films_than_may_be_are_told(open_app: Open) -> None:
    app = send(open_app(max_files=2), *((f"{n}.png", png(n)) for n in range(5)))
    assert len(session_of(app).tray.cases) == 2
    assert "3 file(s) were not taken" in texts(app)


def test_synthetic_films_are_there_to_try(open_app: Open) -> None:
    app = open_app()
    app.button[0].click().run()
    assert not app.exception
    assert len(session_of(app).tray.cases) == 2


def test_a_folder_is_opened_only_where_there_is_a_root(open_app: Open, tmp_path: Path) -> None:
    (tmp_path / "ward").mkdir()
    (tmp_path / "ward" / "a.png").write_bytes(png())
    assert not open_app().selectbox
    app = open_app(root=tmp_path)
    app.selectbox[0].select("ward").run()
    next(button for button in app.button if button.label == "Open the folder").click().run()
    (case,) = session_of(app).tray.cases
    assert case.source.path == "ward/a.png"


def test_feedback_needs_a_name_and_is_written(open_app: Open, tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    app = send(open_app(feedback=path, keep_images=True), ("a.png", png()))
    assert "Enter your name" in texts(app)
    app.text_input[0].input("Dr. Strange").run()
    next(box for box in app.checkbox if "outline is right" in box.label).check().run()
    next(button for button in app.button if button.label == "Agree").click().run()
    assert any("Saved" in success.value for success in app.success)
    (case,) = session_of(app).tray.cases
    session_of(app).draw(case.id, [(10.0, 10.0), (60.0, 10.0), (60.0, 70.0)])
    app.run()
    next(button for button in app.button if "drawn outline" in button.label).click().run()
    first, second = FeedbackStore(path).all()
    assert (first.reader, first.verdict, first.label) == ("Dr. Strange", "agree", 1)
    assert first.rle == case.results["balanced"].mask.rle
    assert (second.verdict, second.label) == ("corrected", 1)
    assert second.rle not in ("", "-1", first.rle)


def test_a_film_whose_file_has_gone_is_told_of(open_app: Open, tmp_path: Path) -> None:
    for number in range(4):  # more than are kept decoded
        (tmp_path / f"{number}.png").write_bytes(png(number))
    app = open_app(root=tmp_path)
    next(button for button in app.button if button.label == "Open the folder").click().run()
    (tmp_path / "3.png").unlink()
    session = session_of(app)
    gone = next(case for case in session.tray.cases if case.source.path == "3.png")
    session.open(gone.id)
    app.run()
    assert not app.exception
    assert "No such file" in app.error[0].value
    assert "Check the path" in app.error[0].value


def test_without_a_file_there_is_no_feedback(open_app: Open) -> None:
    app = send(open_app(), ("a.png", png()))
    assert not [button for button in app.button if button.label == "Agree"]


def test_feedback_on_a_film_of_the_root_knows_its_place(open_app: Open, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.png").write_bytes(png())
    path = tmp_path / "feedback.sqlite"
    app = open_app(feedback=path, root=tmp_path / "films")
    next(button for button in app.button if button.label == "Open the folder").click().run()
    app.text_input[0].input("Dr. Strange").run()
    next(button for button in app.button if button.label == "Disagree").click().run()
    (one,) = FeedbackStore(path).all()
    assert one.path == str((tmp_path / "films" / "a.png").resolve())
    assert (one.verdict, one.label, one.rle) == ("disagree", 0, "-1")


def page(name: str) -> Any:
    """One of the other pages, alone."""
    script = f"from pleura.app.pages import {name}\n{name}.show()"
    return testing.AppTest.from_string(script, default_timeout=60).run()


@pytest.mark.parametrize("name", ["model", "evaluate", "feedback"])
def test_every_page_opens(open_app: Open, name: str) -> None:
    open_app()
    app = page(name)
    assert not app.exception
    assert app.header[0].value


def test_the_model_page_shows_what_the_manifest_claims(open_app: Open) -> None:
    open_app(model=None)
    app = page("model")
    from pleura.inference import Manifest, find_model

    manifest = Manifest.read(find_model())
    said = texts(app)
    for point in manifest.operating_points:
        assert f"**{point.name}**" in said
        assert f"{point.threshold:.3f}" in said
    assert manifest.name in said
    table = app.table[0].value
    assert len(table) == len(manifest.performance)


def test_the_plots_of_an_evaluation_are_shown(open_app: Open, tmp_path: Path) -> None:
    (tmp_path / "roc.png").write_bytes(png())
    open_app(evaluation=tmp_path)
    app = page("model")
    assert not app.exception
    assert any(subheader.value == "Evaluation" for subheader in app.subheader)
    assert len(app.get("image")) == 1


def test_two_sessions_share_nothing(open_app: Open) -> None:
    first = send(open_app(), ("a.png", png()))
    second = open_app()
    assert session_of(second).tray.entries == {}
    send(second, ("b.png", png(1, False)))
    assert [case.results["balanced"].present for case in session_of(first).tray.cases] == [True]
    assert [case.results["balanced"].present for case in session_of(second).tray.cases] == [False]
    assert all(isinstance(entry, Case) for entry in session_of(second).tray.entries.values())
