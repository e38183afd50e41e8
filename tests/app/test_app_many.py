"""Many films and many readers, and a reader without a mouse; with the tiny model, which is fast."""

import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from app_browser import (
    coloured,
    focus,
    keep,
    numbers,
    open_film,
    opened,
    pixels,
    send,
    settle,
    tab_to,
    wait_for_film,
    wait_for_list,
)
from app_films import BOX, COLUMNS, ROWS, dicom, png
from app_server import Server

from pleura.app.feedback import FeedbackStore
from pleura.masks import RunLengthConvention, decode


def test_forty_films_show_their_progress_and_stand_by_urgency(
    chromium: Any, tiny_server: Server, tmp_path: Path
) -> None:
    with opened(chromium, tiny_server.url) as page:
        page.evaluate(
            """() => {
              window.progressSeen = new Set();
              new MutationObserver(() => {
                for (const bar of document.querySelectorAll('.stProgress')) {
                  window.progressSeen.add(bar.innerText.trim());
                }
              }).observe(document.body, { childList: true, subtree: true, characterData: true });
            }"""
        )
        films = [(f"{n}.png", png(n, n % 4 == 0)) for n in range(39)]
        send(page, *films, ("letter.txt", b"no film"))
        wait_for_list(page, 40)
        wait_for_film(page)
        seen = page.evaluate("[...window.progressSeen]")
        assert any("of 40 films" in text for text in seen), seen
        page.locator(".stProgress").wait_for(state="detached")
        summary = "40 films: 10 with a pneumothorax, 29 without, 1 not judged"
        assert page.get_by_text(summary).is_visible()
        kinds = page.locator(".list button").evaluate_all("all => all.map(one => one.className)")
        assert kinds == ["present"] * 10 + ["absent"] * 29 + ["refused"]
        named = numbers(page.locator(".list .name").all_inner_texts())
        assert sorted(named) == list(range(1, 41))
        assert named[-1] == 40
        keep(page, "forty", tmp_path)


def test_five_readers_at_once_see_their_own_films(chromium: Any, tiny_server: Server) -> None:
    """Each sends other films, all at the same time; no film or picture crosses over."""
    with ExitStack() as stack:
        pages = [stack.enter_context(opened(chromium, tiny_server.url)) for _ in range(5)]
        for reader, page in enumerate(pages):
            films = [(f"{n}.png", png(100 * reader + n, n < reader)) for n in range(6)]
            send(page, *films)
        ids: list[set[str]] = []
        for reader, page in enumerate(pages):
            wait_for_list(page, 6)
            wait_for_film(page)
            assert page.locator(".list .present").count() == reader
            found = page.locator(".list button").evaluate_all(
                "all => all.map(one => one.dataset.id)"
            )
            ids.append(set(found))
        assert len(set.union(*ids)) == 30
        for reader, page in enumerate(pages):
            film = open_film(page, 1)
            assert film in ids[reader]
            # The film in view is the one that this reader sent: its first has a mark of its own.
            grey = page.evaluate(
                "async (film) => { const f = await window.pleuraFilms.get(film).decoded;"
                " return [f.rows, f.columns, [...f.grey.slice(-f.columns * 3)]]; }",
                film,
            )
            assert grey[:2] == [ROWS, COLUMNS]
            number = 100 * reader
            marked = 3 * COLUMNS - (1 + number // COLUMNS) * COLUMNS + number % COLUMNS
            assert grey[2][marked] == 7
            assert (coloured(pixels(page)) > 100) == (reader > 0)


def test_a_reader_without_a_mouse(chromium: Any, tiny_server: Server) -> None:
    """From the list through the film to the operating point, with visible focus all the way."""
    with opened(chromium, tiny_server.url) as page:
        send(page, ("a.png", png(0)), ("b.png", png(1)), ("c.png", png(2, False)))
        wait_for_list(page, 3)
        wait_for_film(page)
        tab_to(page, ".list button")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.locator(".list li:nth-child(2) button[aria-current=true]").wait_for()
        second = str(page.locator(".list li:nth-child(2) button").get_attribute("data-id"))
        wait_for_film(page, second)
        page.keyboard.press("n")
        third = str(page.locator(".list li:nth-child(3) button").get_attribute("data-id"))
        wait_for_film(page, third)
        page.keyboard.press("p")
        wait_for_film(page, second)
        tab_to(page, "[data-do=heat]")
        outline = page.locator("[data-do=heat]").evaluate("e => getComputedStyle(e).outlineStyle")
        assert outline == "solid"
        page.keyboard.press("Enter")
        assert page.locator("[data-do=heat]").get_attribute("aria-pressed") == "true"
        tab_to(page, "canvas.film")
        said = page.locator("canvas.film").get_attribute("aria-label")
        assert said.startswith("Film 2. Pneumothorax, probability")
        page.keyboard.press("+")
        assert float(page.locator(".viewer").get_attribute("data-zoom")) > 1.2
        tab_to(page, ".choices input")
        page.keyboard.press("ArrowUp")
        page.get_by_text("sensitive: Of 100 films with a pneumothorax").first.wait_for()
        tab_to(page, ".try input")
        page.keyboard.press("End")
        page.get_by_text("At 1.000 nothing was measured").wait_for()


def test_letters_can_be_left_to_the_film(chromium: Any, tiny_server: Server) -> None:
    """WCAG 2.1.4: single letters can be turned off outside of what has the focus."""
    with opened(chromium, tiny_server.url) as page:
        send(page, ("a.png", png(0)))
        wait_for_film(page)
        pressed = page.locator("[data-do=overlays]")
        page.locator("summary", has_text="Keys").click()
        page.locator("input[data-set=keys]").uncheck()
        page.locator(".list button").focus()
        page.keyboard.press("o")
        assert pressed.get_attribute("aria-pressed") == "true"
        focus(page)
        page.keyboard.press("o")
        assert pressed.get_attribute("aria-pressed") == "false"


@pytest.mark.parametrize("way", ["pointer", "keys"])
def test_a_drawn_outline_is_saved_where_it_was_drawn(
    chromium: Any, tiny_server: Server, way: str, tmp_path: Path
) -> None:
    reader = f"Dr. {way}"
    with opened(chromium, tiny_server.url) as page:
        send(page, ("a.dcm", dicom({"pointer": 41, "keys": 42}[way])))
        wait_for_film(page)
        page.get_by_role("button", name="Options").click()
        page.locator("input[aria-label='Your name']").fill(reader)
        page.keyboard.press("Enter")
        page.get_by_text("To correct the outline").wait_for()
        page.keyboard.press("Escape")
        settle(page)
        page.locator("[data-do=box]").click()  # the page may scroll to it
        box = page.locator("canvas.film").bounding_box()
        scale = min(box["width"] / COLUMNS, box["height"] / ROWS)
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

        def at(column: float, row: float) -> tuple[float, float]:
            return middle[0] + (column - COLUMNS / 2) * scale, middle[1] + (row - ROWS / 2) * scale

        top, left, bottom, right = BOX
        if way == "pointer":
            page.mouse.move(*at(left, top))
            page.mouse.down()
            page.mouse.move(*at(right - 9, bottom - 9))
            page.mouse.move(*at(right, bottom))
            page.mouse.up()
        else:
            focus(page)
            page.keyboard.press("g")
            for key in ("Enter", "ArrowRight", "Enter", "ArrowDown", "Enter"):
                for _ in range(1 if key == "Enter" else 8):
                    page.keyboard.press(key)
            page.locator("[data-do=finish]").focus()
            page.keyboard.press("Enter")
        page.get_by_role("button", name="Save the drawn outline").click()
        page.get_by_text("Saved. Thank you.").wait_for()
        keep(page, f"drawn-{way}", tmp_path)
    store = FeedbackStore(tiny_server.folder / "feedback.sqlite", keep_images=True)
    (kept,) = [one for one in store.all() if one.reader == reader]
    assert kept.verdict == "corrected"
    mask = decode(kept.rle, (ROWS, COLUMNS), RunLengthConvention.SIIM_RELATIVE)
    if way == "pointer":
        assert abs(int(mask.sum()) - (bottom - top) * (right - left)) < 400
        assert mask[top + 3 : bottom - 3, left + 3 : right - 3].all()
        assert not mask[: top - 3].any()
    else:
        side = 8 * 12 / scale  # in pixels of the film: eight steps of the cross
        assert abs(mask.sum() - side * side / 2) < 0.1 * side * side
        assert mask[ROWS // 2 + 2, COLUMNS // 2 + 6]
    assert Path(kept.path).read_bytes() == dicom({"pointer": 41, "keys": 42}[way])


def test_a_folder_is_opened(chromium: Any, tiny_server: Server) -> None:
    ward = tiny_server.folder / "root" / "ward"
    ward.mkdir(exist_ok=True)
    (ward / "one.png").write_bytes(png(50))
    (ward / "two.png").write_bytes(png(51, False))
    with opened(chromium, tiny_server.url) as page:
        page.get_by_label("Or a folder of this machine").click()
        page.get_by_role("option", name="ward", exact=True).click()
        page.get_by_role("button", name="Open the folder").click()
        wait_for_list(page, 2)
        wait_for_film(page)


def test_another_name_of_this_machine_is_not_served(tiny_server: Server) -> None:
    """A page of another name that leads to the loopback address gets no session."""
    import http.client

    port = int(tiny_server.url.rpartition(":")[2])
    answers = {}
    for host in ("127.0.0.1", "evil.example"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(
            "GET",
            "/_stcore/stream",
            headers={
                "Host": f"{host}:{port}",
                "Origin": f"http://{host}:{port}",
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            },
        )
        answers[host] = connection.getresponse().status
        connection.close()
    assert answers["127.0.0.1"] == 101
    assert answers["evil.example"] != 101


def test_what_was_sent_is_held_once(chromium: Any, tiny_server: Server) -> None:
    """Streamlit would keep each upload until the session ends; the page has its own copy."""
    with opened(chromium, tiny_server.url) as page:
        send(page, *[(f"{n}.png", png(n)) for n in range(3)])
        wait_for_list(page, 3)
        wait_for_film(page)
        with urllib.request.urlopen(f"{tiny_server.url}/_stcore/metrics", timeout=10) as answer:
            held = answer.read().decode()
        assert "cache_memory_bytes" in held
        assert "UploadedFileManager" not in held


def test_an_upload_from_another_page_is_refused(tiny_server: Server) -> None:
    """Without Streamlit's token, as a form on a hostile page would send it (XSRF)."""
    request = urllib.request.Request(
        f"{tiny_server.url}/_stcore/upload_file/session/file", data=b"x", method="PUT"
    )
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request, timeout=10)
    assert raised.value.code == 403
