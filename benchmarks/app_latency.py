"""How long a reader waits, measured in the browser: first result, next film, another threshold.

    python benchmarks/app_latency.py [--model M] [--repeats 10] [--threads N] [--json]

Starts `pleura app` on a free port and Debian's Chromium without a screen, sends synthetic
radiographs of 1024 x 1024 pixels as DICOM files, and reads the browser's own clock: from the event
that starts something to the frame in which it is seen. Warm: the model is loaded, and one film that
is not counted was judged before. Median with the smallest and the largest.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from pleura.phantom import draw, spec_for, to_dicom
from rle import machine

TARGETS_MS = {"first result": 2000, "operating point": 300, "tried threshold": 300}
# Elements inside of shadow roots, and a promise of the time at which something becomes true.
HELPERS = """
window.deep = (selector) => {
  for (const host of document.querySelectorAll("[data-testid=stBidiComponentIsolated]")) {
    const found = host.shadowRoot?.querySelector(selector);
    if (found) return found;
  }
  return null;
};
window.when = (condition) => new Promise((done) => {
  const look = () => condition() ? requestAnimationFrame(() => done(performance.now()))
                                 : requestAnimationFrame(look);
  look();
});
"""


@contextmanager
def serving(options: list[str]) -> Iterator[str]:
    """The page on a free port; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = str(Path(sys.executable).with_name("pleura"))
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [program, "app", "--port", str(port), "--no-browser", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/_stcore/health", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the page did not start")


def film(seed: int, positive: bool) -> dict[str, Any]:
    content = to_dicom(draw(spec_for(seed, positive)))
    return {"name": f"{seed}.dcm", "mimeType": "application/dicom", "buffer": content}


def fresh(page: Page, url: str) -> None:
    """A new session, ready to take films."""
    page.goto(url)
    page.locator("input[type=file]").first.wait_for(state="attached")
    page.evaluate(f"() => {{ {HELPERS} }}")


def first_result(page: Page, url: str, seed: int) -> float:
    """Milliseconds from the choice of a file until the film is drawn with its outline."""
    fresh(page, url)
    page.evaluate(
        """() => {
          document.querySelector("input[type=file]").addEventListener(
            "change", () => { window.began = performance.now(); }, { capture: true, once: true });
          window.ended = when(() => deep(".viewer[data-shown]"));
        }"""
    )
    page.locator("input[type=file]").first.set_input_files([film(seed, True)])
    return float(page.evaluate("async () => (await window.ended) - window.began"))


def timed(page: Page, act: str, condition: str) -> float:
    """Milliseconds from an action, both JavaScript, until something is seen."""
    return float(
        page.evaluate(
            f"""async () => {{
              const began = performance.now();
              {act}
              return (await when(() => {condition})) - began;
            }}"""
        )
    )


def operating_points(page: Page, repeats: int) -> list[float]:
    """From a click on an operating point until label and words follow."""
    settle(page)
    names = ["specific", "sensitive"]
    times = []
    for number in range(repeats):
        name = names[number % 2]
        act = f"deep('.choices input[value={name}]').click();"
        seen = f"document.body.innerText.includes('{name}: Of 100 films')"
        times.append(timed(page, act, seen))
        settle(page)
    return times


def thresholds(page: Page, repeats: int) -> list[float]:
    """From a move of the handle until the outline is gone, or there again."""
    times = []
    for number in range(repeats):
        value, outlines = (1.0, 0) if number % 2 == 0 else (0.5, 1)
        act = (
            f"const range = deep('.try input'); range.value = {value};"
            " range.dispatchEvent(new Event('input'));"
        )
        times.append(timed(page, act, f"deep('.viewer').dataset.outlines === '{outlines}'"))
        settle(page)
    return times


def next_films(page: Page, url: str, repeats: int) -> list[float]:
    """From the key N until the next film is drawn."""
    fresh(page, url)
    count = 4
    page.locator("input[type=file]").first.set_input_files(
        [film(seed, True) for seed in range(1, count + 1)]
    )
    page.locator(f".list[data-count='{count}']").wait_for(timeout=60_000)
    page.locator(".viewer[data-shown]").wait_for()
    settle(page)
    times = []
    for number in range(repeats):
        key = "n" if number // (count - 1) % 2 == 0 else "p"
        before = page.locator(".viewer").get_attribute("data-shown")
        act = f"window.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}' }}));"
        shown = "deep('.viewer').dataset.shown"
        times.append(timed(page, act, f"{shown} && {shown} !== '{before}'"))
        settle(page)
    return times


def settle(page: Page) -> None:
    page.locator(".stApp[data-test-script-state='notRunning']").wait_for()
    page.wait_for_timeout(150)


def measure(url: str, repeats: int) -> dict[str, list[float]]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1366, "height": 900})
        first_result(page, url, 1)
        times = {"first result": [first_result(page, url, 1 + n % 3) for n in range(repeats)]}
        times["operating point"] = operating_points(page, 2 * repeats)
        times["tried threshold"] = thresholds(page, 2 * repeats)
        times["next film"] = next_films(page, url, repeats)
        browser.close()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    options: list[str] = []
    for name in ("model", "threads"):
        if getattr(given, name) is not None:
            options += [f"--{name}", str(getattr(given, name))]
    load = os.getloadavg()[0]
    with serving(options) as url:
        times = measure(url, given.repeats)
    if given.json:
        print(json.dumps({"machine": machine(), "load": load, "times_ms": times}))
        return
    print(f"{machine()}, Python {platform.python_version()}, load average {load:.1f} at the start")
    told: Callable[[float], str] = lambda value: f"{value:7.0f}"  # noqa: E731
    for name, values in times.items():
        target = f"   target {TARGETS_MS[name]}" if name in TARGETS_MS else ""
        spread = f"{told(statistics.median(values))} [{min(values):.0f}, {max(values):.0f}]"
        print(f"{name:<16} {spread} ms, n={len(values)}{target}")


if __name__ == "__main__":
    main()
