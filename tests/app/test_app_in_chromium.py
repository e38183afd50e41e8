"""The page in a real browser, as a reader meets it, with the embedded model and synthetic films."""

import io
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from app_browser import (
    PHONE,
    WAIT_MS,
    coloured,
    download,
    focus,
    keep,
    open_film,
    opened,
    pixels,
    send,
    wait_for_film,
    wait_for_list,
)
from app_films import drawn, phantom, upside_down
from app_server import Server


@pytest.fixture(scope="module")
def page(chromium: Any, server: Server) -> Iterator[Any]:
    """A session with a positive, a negative and a text, used by all tests of this file."""
    with opened(chromium, server.url) as reading:
        reading.pleura_hosts = set()
        reading.on("request", lambda request: reading.pleura_hosts.add(request.url))
        send(
            reading,
            ("Quixote-negative.dcm", phantom(2, False)),
            ("Quixote-positive.dcm", phantom(1, True)),
            ("letter.txt", b"Dear colleague, thank you for sending Mr. Quixote."),
            ("upside-down.png", upside_down()),
        )
        wait_for_list(reading, 4)
        wait_for_film(reading)
        yield reading


def test_the_positive_stands_first_and_is_open(page: Any, tmp_path: Path) -> None:
    labels = page.locator(".list .label").all_inner_texts()
    assert [label.strip("●⚠\u00a0") for label in labels] == [
        "Pneumothorax", "No pneumothorax found", "Refused", "Refused",
    ]  # fmt: skip
    assert page.locator(".list .name").first.inner_text() == "Film 2"
    page.get_by_text("4 films: 1 with a pneumothorax, 1 without, 2 not judged").wait_for()
    open_film(page, 2)
    page.get_by_role("heading", name=re.compile("Pneumothorax: probability")).wait_for()
    page.get_by_text(re.compile(r"patient's left: \d+\.\d cm²")).wait_for()
    keep(page, "positive", tmp_path)


def test_overlays_go_and_come_with_one_key(page: Any, tmp_path: Path) -> None:
    open_film(page, 2)
    focus(page)
    before = pixels(page)
    assert coloured(before) > 2000
    page.keyboard.press("o")
    without = pixels(page)
    assert coloured(without) == 0
    changed = np.abs(before.astype(int) - without).max(axis=2) > 8
    # What was covered lies in the upper right quarter, where the air is; the rest is untouched.
    rows, columns = np.nonzero(changed)
    height, width = changed.shape
    assert columns.min() > width / 2
    assert rows.max() < height / 2
    page.keyboard.press("o")
    assert (pixels(page) == before).all()
    page.keyboard.press("h")
    assert coloured(pixels(page)) > coloured(before) / 2
    keep(page, "heat-map", tmp_path)
    page.keyboard.press("o")
    assert (pixels(page) == without).all()
    page.keyboard.press("o")
    page.keyboard.press("h")
    assert (pixels(page) == before).all()


def test_inversion_window_zoom_and_reset(page: Any) -> None:
    open_film(page, 2)
    page.keyboard.press("o")
    plain = pixels(page)
    page.keyboard.press("i")
    inverted = pixels(page)
    height, width = plain.shape[:2]
    inside = np.s_[height // 4 : 3 * height // 4, width // 3 : 2 * width // 3]
    assert np.abs(inverted[inside].astype(int) + plain[inside] - 255).max() <= 2
    page.keyboard.press("i")
    page.locator("input[data-set=width]").fill("0.3")
    narrow = pixels(page)
    assert narrow[inside].std() > 1.3 * plain[inside].std()
    page.keyboard.press("r")
    assert (pixels(page) == plain).all()
    focus(page)
    for _ in range(3):
        page.keyboard.press("+")
    near = pixels(page)
    assert float(page.locator(".viewer").get_attribute("data-zoom")) > 1.9
    page.keyboard.press("ArrowRight")
    assert (pixels(page) != near).any()
    page.keyboard.press("r")
    assert (pixels(page) == plain).all()
    page.keyboard.press("o")


def test_the_plain_film_stands_beside_it(page: Any, tmp_path: Path) -> None:
    open_film(page, 2)
    page.keyboard.press("s")
    assert coloured(pixels(page)) > 500
    assert coloured(pixels(page, "canvas.plain")) == 0
    keep(page, "side-by-side", tmp_path)
    page.keyboard.press("s")
    assert not page.locator("canvas.plain").is_visible()


def test_label_and_mask_follow_the_threshold(page: Any, tmp_path: Path) -> None:
    open_film(page, 2)
    assert coloured(pixels(page)) > 2000
    page.locator(".try input").fill("1")
    page.get_by_role("heading", name=re.compile("No pneumothorax found: prob")).wait_for()
    page.locator(".viewer[data-outlines='0']").wait_for()
    assert coloured(pixels(page)) == 0
    page.get_by_text("At 1.000 nothing was measured").wait_for()
    assert page.locator(".list .present").count() == 1  # the list goes by the operating point
    page.locator(".choices input[value=specific]").click()
    page.get_by_role("heading", name=re.compile("Pneumothorax: probability")).wait_for()
    page.locator(".viewer[data-outlines='1']").wait_for()
    assert coloured(pixels(page)) > 2000
    page.get_by_text("specific: Of 100 films with a pneumothorax").first.wait_for()
    page.locator(".choices input[value=balanced]").click()
    page.get_by_text("Operating point").first.wait_for()
    page.locator(".choices input[value=balanced]:checked").wait_for()
    keep(page, "threshold", tmp_path)


def test_a_text_is_refused_with_what_to_do(page: Any, tmp_path: Path) -> None:
    page.locator(".list .refused").first.click()
    page.get_by_text("Film 3: not judged").wait_for()
    page.get_by_text("neither DICOM nor PNG, JPEG or TIFF").first.wait_for()
    page.get_by_text("Give a DICOM file, PNG, JPEG or TIFF.").wait_for()
    keep(page, "refused", tmp_path)


def test_a_picture_that_the_input_gate_refuses(page: Any) -> None:
    from pleura.inference import Manifest, find_model

    if Manifest.read(find_model()).gate is None:
        pytest.skip("the embedded model has no input gate")
    page.locator(".list .refused").last.click()
    page.get_by_text("Film 4: not judged").wait_for()
    page.get_by_text("The picture seems to be turned by 180 degrees.").first.wait_for()
    page.get_by_text("Send it upright").wait_for()
    page.get_by_text("Code: picture_turned").wait_for()


def test_the_segmentation_is_downloaded_and_valid(page: Any, tmp_path: Path) -> None:
    open_film(page, 2)
    page.get_by_role("button", name="Take away").click()
    name, content = download(
        page, page.get_by_role("button", name="Segmentation (DICOM SEG)").click
    )
    page.keyboard.press("Escape")
    assert name == "pleura-film-2-seg.dcm"
    segmentation = pydicom.dcmread(io.BytesIO(content))
    film = pydicom.dcmread(io.BytesIO(phantom(1, True)))
    assert segmentation.SOPClassUID == pydicom.uid.SegmentationStorage
    assert segmentation.StudyInstanceUID == film.StudyInstanceUID
    assert segmentation.PatientID == film.PatientID
    mask = segmentation.pixel_array.astype(bool)
    assert mask.shape == (film.Rows, film.Columns)
    truth = drawn(1, True).mask
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.5
    if shutil.which("dciodvfy"):
        path = tmp_path / "seg.dcm"
        path.write_bytes(content)
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, timeout=60)
        said = (done.stdout + done.stderr).decode("latin-1").splitlines()
        assert "Segmentation" in said
        assert [line for line in said if line.startswith("Error")] == []


def test_the_page_for_one_film_is_a_pdf(page: Any) -> None:
    pypdf = pytest.importorskip("pypdf")
    open_film(page, 2)
    page.get_by_role("button", name="Take away").click()
    name, content = download(page, page.get_by_role("button", name="Page (PDF)").click)
    page.keyboard.press("Escape")
    assert name == "pleura-film-2-page.pdf"
    (sheet,) = pypdf.PdfReader(io.BytesIO(content)).pages
    said = sheet.extract_text()
    assert "not for diagnosis" in said
    assert "SYNTHETIC" not in said


def test_the_table_of_the_session(page: Any) -> None:
    name, content = download(page, page.get_by_role("button", name="CSV").click)
    assert name == "pleura-session.csv"
    lines = content.decode().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [
        "Film 2", "Film 1", "Film 3", "Film 4",
    ]  # fmt: skip
    assert "Quixote" not in content.decode()


def test_nobody_is_named_until_that_is_asked_for(page: Any) -> None:
    open_film(page, 2)
    assert page.get_by_text("Quixote").count() == 0
    assert page.get_by_text("SYNTHETIC^PHANTOM").count() == 0
    page.get_by_role("button", name="Options").click()
    page.get_by_text("Show file names and patients").click()
    page.get_by_text("SYNTHETIC^PHANTOM").wait_for()
    page.get_by_text("Film 2: Quixote-positive.dcm").first.wait_for()
    page.get_by_text("Show file names and patients").click()
    page.get_by_text("SYNTHETIC^PHANTOM").wait_for(state="detached")
    page.keyboard.press("Escape")


def test_the_disclaimer_is_always_in_view(page: Any) -> None:
    note = page.get_by_role("note")
    open_film(page, 2)
    for target in ("canvas.film", "fieldset.points", ".list"):
        page.locator(target).first.scroll_into_view_if_needed()
        box, view = note.bounding_box(), page.viewport_size
        assert note.inner_text() == "Research software, not for diagnosis."
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= view["height"] + 1
        on_top = page.evaluate(
            "([x, y]) => document.elementFromPoint(x, y).getAttribute('role')",
            [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2],
        )
        assert on_top == "note"


def test_nothing_is_asked_of_another_machine(page: Any, server: Server) -> None:
    """Hospitals have no internet, and telemetry has no place there."""
    hosts = {re.sub(r"^[a-z]+://([^/]*).*", r"\1", url) for url in page.pleura_hosts}
    here = server.url.partition("//")[2]
    assert {host for host in hosts if not host.startswith(("blob:", "data:"))} == {here}


def test_the_log_names_no_film_and_no_patient(page: Any, server: Server) -> None:
    said = server.logged()
    assert "Quixote" not in said
    assert "SYNTHETIC" not in said
    assert "letter" not in said


def test_a_phone_shows_everything_without_scrolling_sideways(
    chromium: Any, server: Server, tmp_path: Path
) -> None:
    context = chromium.browser.new_context(
        viewport=PHONE, color_scheme="dark", has_touch=True, is_mobile=True
    )
    context.set_default_timeout(WAIT_MS)
    with opened(context, server.url) as phone:
        send(phone, ("a.dcm", phantom(1, True)))
        wait_for_film(phone)
        widths = phone.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert widths[0] <= widths[1]
        for part in (".viewer .bar", "canvas.film", ".scale", ".list"):
            box = phone.locator(part).first.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= PHONE["width"] + 1
        colour = phone.evaluate(
            "getComputedStyle(document.querySelector('.stApp')).backgroundColor"
        )
        assert (
            max(int(value) for value in re.findall(r"\d+", colour)[:3]) < 80
        )  # dark, as asked for
        keep(phone, "phone", tmp_path)
    context.close()
