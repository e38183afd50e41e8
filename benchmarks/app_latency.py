"""How long a reader waits, measured in the browser: first result, next film, another threshold.

    python benchmarks/app_latency.py [--model M] [--repeats 10] [--threads N] [--json]

Starts `pleura app` on a free port and Debian's Chromium without a screen, sends synthetic
radiographs of 1024 x 1024 pixels as DICOM files, and reads the browser's own clock: from the event
that starts something to the frame in which it is seen. Warm: the model is loaded, and one film that
is not counted was judged before. Median with the smallest and the largest; beside it the processor
time of server and browser (Linux), which other work on the machine hardly changes: where nothing
else runs, the reader waits no longer than that.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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


@dataclass
class Times:
    """What was measured of one kind of wait, in milliseconds."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Count the processor time of all processes below this one."""
        before = processor_ms()
        yield
        self.processor.append(processor_ms() - before)


def processor_ms() -> float:
    """Processor time of the server and the browser, 0 where /proc does not tell."""
    total, tick = 0.0, os.sysconf("SC_CLK_TCK")
    for process in below(os.getpid()):
        try:
            stat = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += 1000 * (int(stat[11]) + int(stat[12])) / tick
    return total


def below(process: int) -> list[int]:
    found = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            for child in children.read_text().split():
                found += [int(child), *below(int(child))]
        except OSError:
            continue
    return found


def film(seed: int, positive: bool) -> dict[str, Any]:
    content = to_dicom(draw(spec_for(seed, positive)))
    return {"name": f"{seed}.dcm", "mimeType": "application/dicom", "buffer": content}


def fresh(page: Page, url: str) -> None:
    """A new session, ready to take films."""
    page.goto(url)
    page.locator("input[type=file]").first.wait_for(state="attached")
    page.evaluate(f"() => {{ {HELPERS} }}")


def first_result(page: Page, url: str, seed: int, times: Times) -> None:
    """From the choice of a file until the film is drawn with its outline."""
    sent = film(seed, True)
    fresh(page, url)
    settle(page)
    page.evaluate(
        """() => {
          document.querySelector("input[type=file]").addEventListener(
            "change", () => { window.began = performance.now(); }, { capture: true, once: true });
          window.ended = when(() => deep(".viewer[data-shown]"));
        }"""
    )
    with times.taken():
        page.locator("input[type=file]").first.set_input_files([sent])
        waited = page.evaluate("async () => (await window.ended) - window.began")
    times.wall.append(float(waited))
    settle(page)


def timed(page: Page, act: str, condition: str, times: Times) -> None:
    """From an action until something is seen, both JavaScript."""
    settle(page)
    with times.taken():
        waited = page.evaluate(
            f"""async () => {{
              const began = performance.now();
              {act}
              return (await when(() => {condition})) - began;
            }}"""
        )
    times.wall.append(float(waited))


def operating_points(page: Page, repeats: int) -> Times:
    """From a click on an operating point until the words of the page follow."""
    names = ["specific", "sensitive"]
    times = Times()
    for number in range(repeats):
        name = names[number % 2]
        act = f"deep('.choices input[value={name}]').click();"
        # The words of the chosen point stand on the page twice, those of the others once.
        told = f"(p) => p.textContent.startsWith('{name}: Of')"
        seen = f"[...document.querySelectorAll('p')].filter({told}).length === 2"
        timed(page, act, seen, times)
    return times


def thresholds(page: Page, repeats: int) -> Times:
    """From a move of the handle until the outline is gone, or there again."""
    times = Times()
    for number in range(repeats):
        value, outlines = (1.0, 0) if number % 2 == 0 else (0.5, 1)
        act = (
            f"const range = deep('.try input'); range.value = {value};"
            " range.dispatchEvent(new Event('input'));"
        )
        timed(page, act, f"deep('.viewer').dataset.outlines === '{outlines}'", times)
    return times


def next_films(page: Page, url: str, repeats: int) -> Times:
    """From the key N until the next film is drawn."""
    fresh(page, url)
    count = 4
    page.locator("input[type=file]").first.set_input_files(
        [film(seed, True) for seed in range(1, count + 1)]
    )
    page.locator(f".list[data-count='{count}']").wait_for(timeout=60_000)
    page.locator(".viewer[data-shown]").wait_for()
    times = Times()
    for number in range(repeats):
        settle(page)
        key = "n" if number // (count - 1) % 2 == 0 else "p"
        before = page.locator(".viewer").get_attribute("data-shown")
        act = f"window.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}' }}));"
        shown = "deep('.viewer').dataset.shown"
        timed(page, act, f"{shown} && {shown} !== '{before}'", times)
    return times


def settle(page: Page) -> None:
    """Until the server has nothing more to say, and the browser has drawn it."""
    page.locator(".stApp[data-test-script-state='notRunning']").wait_for()
    page.wait_for_timeout(150)


def measure(url: str, repeats: int) -> dict[str, Times]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1366, "height": 900})
        times = {"first result": Times()}
        first_result(page, url, 1, Times())
        for number in range(repeats):
            first_result(page, url, 1 + number % 3, times["first result"])
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
        told = {name: {"wall": one.wall, "processor": one.processor} for name, one in times.items()}
        print(json.dumps({"machine": machine(), "load": load, "times_ms": told}))
        return
    print(f"{machine()}, load average {load:.1f} at the start")
    for name, one in times.items():
        target = f"   target {TARGETS_MS[name]}" if name in TARGETS_MS else ""
        print(f"{name:<16} {spread(one.wall)}   processor {spread(one.processor)} ms{target}")


def spread(values: list[float]) -> str:
    """Median with the smallest and the largest."""
    return f"{statistics.median(values):6.0f} [{min(values):.0f}, {max(values):.0f}]"


if __name__ == "__main__":
    main()
