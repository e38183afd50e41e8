"""A real browser at the page: Debian's Chromium without a screen, through Playwright."""

import base64
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

WAIT_MS = 45_000
LAPTOP = {"width": 1366, "height": 900}
PHONE = {"width": 390, "height": 844}


@contextmanager
def headless_chromium() -> Iterator[Any]:
    """The browser; the tests are skipped by name where it or Playwright is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        laptop = browser.new_context(viewport=LAPTOP)
        laptop.set_default_timeout(WAIT_MS)
        yield laptop
        browser.close()


@contextmanager
def opened(laptop: Any, url: str) -> Iterator[Any]:
    """A tab, which is a session of its own for the page, ready to take films.

    Tabs of one browser context share its cache, so that only the first loads the page in full.
    """
    page = laptop.new_page()
    try:
        page.goto(url)
        ready(page)
        yield page
    finally:
        page.close()


def ready(page: Any) -> None:
    """Until the page takes films."""
    page.locator("input[type=file]").first.wait_for(state="attached")


def send(page: Any, *films: tuple[str, bytes]) -> None:
    """Upload films, through the box of the first page or behind 'Add films'."""
    box = page.locator("input[type=file]")
    if not box.count():
        page.get_by_role("button", name="Add films").click()
    box.first.set_input_files(
        [{"name": name, "mimeType": "", "buffer": content} for name, content in films]
    )


def wait_for_list(page: Any, count: int) -> None:
    """Until the list has so many films."""
    page.locator(f".list[data-count='{count}']").wait_for()


def open_film(page: Any, number: int) -> str:
    """Look at a film by its number; returns its id once it is drawn."""
    row = page.locator(".list button", has=page.locator(f"text='Film {number}'"))
    if row.get_attribute("aria-current") != "true":
        row.click()
    film = str(row.get_attribute("data-id"))
    wait_for_film(page, film)
    settle(page)
    return film


def settle(page: Any) -> None:
    """Until the server has nothing more to say."""
    page.locator(".stApp[data-test-script-state='notRunning']").wait_for()


def wait_for_film(page: Any, film: str = "") -> None:
    """Until a film is drawn: this one, or any."""
    page.locator(f".viewer[data-shown='{film}']" if film else ".viewer[data-shown]").wait_for()


def pixels(page: Any, canvas: str = "canvas.film") -> np.ndarray:
    """What is painted of the film, uint8, (rows, columns, 3), blue-green-red.

    The canvas itself, once it has been shown: a screenshot would have the disclaimer over it.
    """
    painted = page.locator(canvas).evaluate(
        "(canvas) => new Promise((done) => requestAnimationFrame(() => done(canvas.toDataURL())))"
    )
    png = base64.b64decode(painted.partition(",")[2])
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR))


def coloured(picture: np.ndarray) -> int:
    """How many pixels are not grey."""
    return int((np.ptp(picture.astype(np.int16), axis=2) > 24).sum())


def focus(page: Any) -> None:
    """Put the focus on the film."""
    page.locator("canvas.film").focus()


def tab_to(page: Any, target: str, most: int = 80) -> None:
    """Walk with the Tab key until the focus is on what a selector names."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(f"({_FOCUSED})()?.matches({target!r}) ?? false"):
            return
    raise AssertionError(f"{target} cannot be reached with the Tab key")


_FOCUSED = """() => {
  let active = document.activeElement;
  while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement;
  return active;
}"""


def download(page: Any, click: Any) -> tuple[str, bytes]:
    """Name and bytes of the file that a click brings."""
    settle(page)
    with page.expect_download() as caught:
        click()
    return str(caught.value.suggested_filename), Path(caught.value.path()).read_bytes()


def keep(page: Any, name: str, fallback: Path) -> Path:
    """A screenshot for whoever looks at the run later (`PLEURA_SCREENSHOTS` names the folder)."""
    folder = Path(os.environ.get("PLEURA_SCREENSHOTS") or fallback)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"app-{name}.png"
    page.screenshot(path=path)
    return path


def numbers(texts: Sequence[str]) -> list[int]:
    """The numbers of films, from their titles."""
    return [int(text.partition(" ")[2]) for text in texts]
