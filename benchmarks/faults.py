"""Whether the service keeps what it has acknowledged, whatever dies, fills up or breaks meanwhile.

    python benchmarks/faults.py [--images 2000] [--kills 36] [--database sqlite|postgresql]
                                [--judges 2] [--seed 1] [--keep FOLDER]

Small synthetic radiographs stream in through storescu, associations of pynetdicom and the REST API;
a model reckons with their brightness. The senders send again what was not acknowledged. Meanwhile
node, API, workers and their children are killed (SIGKILL), the disk is filled, the destination and
the database are taken away, and stored and arriving images are damaged. At the end the senders'
record, the store, the folders of results and the destination's record are held against each other:
docs/service-proof.md says what must be true. The exit status is 1 if something is not. `--keep`
copies logs, records and database to a folder. Needs Linux, dcmtk, and for PostgreSQL its server.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "service")]

from service_images import ROOT, dataset  # noqa: E402
from service_postgres import Cluster  # noqa: E402

from pleura.service.store import FINISHED, DeliveryState, DeliveryStore, JobStore  # noqa: E402
from pleura.service.store.engine import open_as_it_is  # noqa: E402
from rle import machine  # noqa: E402
from service_bench import Bench, benched  # noqa: E402
from service_disk import Disk, database, own_mounts, small_disk  # noqa: E402
from service_faults import Faults  # noqa: E402
from service_senders import (  # noqa: E402
    NO_ANSWER,
    SUCCESS,
    Associating,
    Ledger,
    Sender,
    StoreScu,
    Stream,
    Uploading,
)
from service_spoil import Spoiler  # noqa: E402
from service_verdict import Expected, Verdict, judge, left_over, read_truth  # noqa: E402
from tiny_model import write_model  # noqa: E402

MIB_PER_IMAGE = 0.4
QUEUE_LIMIT = 150
ATTEMPTS = 5
IN_ORDER = {
    *("status A700", "Refused: OutOfResources", "rejected"),  # DICOM
    *("HTTP 429", "HTTP 503", "busy", "store_unavailable"),  # the API, of all images or of one
    NO_ANSWER,
}
"""What senders may be told besides success: come again later."""
_PATIENCE = 180.0
_DAMAGED, _CONSTANT = 7, 57


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=36)
    parser.add_argument("--judges", type=int, default=2, help="processes that judge")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for logs, records and database")
    options = parser.parse_args()
    own_mounts()
    loads = " ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, load average at start {loads}")
    sound = run(options)
    raise SystemExit(0 if sound else 1)


def run(options: argparse.Namespace) -> bool:
    """One run; prints what was done and found, and returns whether all is as promised."""
    begun = time.perf_counter()
    mib = 200 + round(MIB_PER_IMAGE * options.images)
    with (
        tempfile.TemporaryDirectory(prefix="pleura-faults-") as scratch,
        database(options.database) as server,
        small_disk(Path(scratch), mib, 20) as (disk, reserve_gib),
    ):
        folder = Path(scratch)
        url = None if server is None else server.new_database("pleura")
        model = write_model(folder / "model")
        settings = settings_text(disk.folder, reserve_gib, model, url, options.judges)
        with benched(folder, settings) as bench:
            sound = Run(options, bench, disk, server).whole()
        if options.keep is not None:
            ignore = shutil.ignore_patterns("inputs", "results", "spool", "model")
            shutil.copytree(folder, options.keep, ignore=ignore, dirs_exist_ok=True)
    print(f"{time.perf_counter() - begun:.0f} s")
    return sound


class Run:
    """One run.

    Args:
        options: of the command line.
        bench: not started.
        disk: of its data.
        server: None for SQLite.
    """

    def __init__(
        self, options: argparse.Namespace, bench: Bench, disk: Disk, server: Cluster | None
    ) -> None:
        self._begun = time.monotonic()
        self._options = options
        self._bench = bench
        self._disk = disk
        self._ledger = Ledger(options.images)
        self._stream = Stream(options.images)
        self._spoiler = Spoiler(bench, self._ledger, image, uid_of, options.images)
        chance = random.Random(options.seed)
        self._faults = Faults(bench, disk, server, chance, self._spoiler)
        self._chance = chance

    def whole(self) -> bool:
        """From the first start to the verdict."""
        plan = self._faults.plan(self._options.kills)
        self._bench.start()
        senders = self._senders()
        for sender in senders:
            sender.start()
        size = self._options.images / (len(plan) + 1)
        for number, fault in enumerate(plan):
            # In the middle of a slice of the stream, of which the next one is on its way already.
            self._await_images(round(size * (number + self._chance.uniform(0.2, 0.8))), senders)
            self._stream.release(round(size * (number + 2)))
            self._faults.note_ends()
            self._say(fault.__name__)
            fault()
        self._say("no more faults")
        self._stream.release(self._options.images)
        self._await_images(self._options.images, senders)
        for sender in senders:
            sender.join(_PATIENCE)
        self._say("everything was acknowledged")
        self._settle()
        self._say("nothing waits any more")
        unstopped = self._bench.stop()
        self._say("stopped")
        return self._report(senders, unstopped)

    def _say(self, what: str) -> None:
        """How it goes on, on stderr."""
        elapsed = time.monotonic() - self._begun
        print(f"{elapsed:6.1f} s, {self._ledger.count} images: {what}", file=sys.stderr)

    def _senders(self) -> list[Sender]:
        folder, port = self._bench.folder / "sent", self._bench.node_port
        folder.mkdir()
        common = (self._stream, self._ledger, image)
        return [
            StoreScu(*common, folder / "storescu", port),
            Associating(*common, folder / "first", port),
            Associating(*common, folder / "second", port),
            Associating(*common, folder / "third", port),
            Uploading(*common, folder / "api", self._bench.api_url, self._bench.key),
        ]

    def _await_images(self, count: int, senders: Sequence[Sender]) -> None:
        """Wait until so many images were acknowledged.

        Raises:
            AssertionError: for a long time none was, or a sender broke.
        """
        self._stream.release(count + 1)
        seen, since = -1, time.monotonic()
        while (now := self._ledger.count) < count:
            if now != seen:
                seen, since = now, time.monotonic()
            broken = [sender.error for sender in senders if sender.error is not None]
            if broken:
                raise AssertionError("a sender broke") from broken[0]
            if time.monotonic() - since > _PATIENCE:
                raise AssertionError(f"{now} of {count} images, and no more in {_PATIENCE} s")
            time.sleep(0.02)

    def _settle(self) -> None:
        """Wait until nothing waits any more, as long as something happens."""
        seen, since = None, time.monotonic()
        while True:
            found = open_ends(self._bench)
            if found == (0, 0):
                return
            if found != seen:
                seen, since = found, time.monotonic()
            if time.monotonic() - since > _PATIENCE:
                return  # the verdict names what was left
            time.sleep(0.5)

    def _report(self, senders: Sequence[Sender], unstopped: list[str]) -> bool:
        bench, spoiler = self._bench, self._spoiler
        truth = read_truth(bench.settings, self._ledger.acknowledged, bench.arrivals)
        expected = {number: expectation(number) for number in range(spoiler.next)}
        verdict = judge(truth, expected, spoiler.damaged, ATTEMPTS)
        verdict.violations += [f"{name} ended by itself" for name in self._faults.ended]
        verdict.violations += unstopped
        verdict.violations += [f"sender: {one.error!r}" for one in senders if one.error]
        verdict.violations += strange_answers(self._ledger)
        verdict.counts |= {
            f"left for the sweep: {name}": count
            for name, count in left_over(bench.settings, truth.jobs).items()
        }
        print_report(self._options, self._disk, self._faults, self._ledger, verdict)
        return not verdict.violations


def settings_text(
    folder: Path, reserve_gib: float, model: Path, url: str | None, judges: int
) -> str:
    """The settings file, but for the connections."""
    database_url = "" if url is None else f'database_url = "{url}"'
    return f"""
[storage]
folder = "{folder}"
{database_url}
reserve_gib = {reserve_gib}
queue_limit = {QUEUE_LIMIT}

[model]
model = "{model}"
threads = 1

[worker]
count = {judges}
attempts = {ATTEMPTS}
job_seconds = 10
lease_seconds = 11
retry_seconds = 0.5
stop_seconds = 20

[watch]
enabled = false
selftest = false
"""


def uid_of(number: int) -> str:
    """SOP Instance UID of an image."""
    return f"{ROOT}.1.{number}"


def image(number: int) -> bytes:
    """The file of an image: by turns positive and negative; 1 % breaks off, 1 % is one grey."""
    made = dataset(number, positive=number % 2 == 0)
    if number % 100 == _DAMAGED:
        made.PixelData = made.PixelData[:1000]
    if number % 100 == _CONSTANT:
        made.PixelData = bytes(len(made.PixelData))
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def expectation(number: int) -> Expected:
    """What must come of an image."""
    uids = (uid_of(number), f"{ROOT}.2.{number}")
    code = {_DAMAGED: "truncated", _CONSTANT: "constant_image"}.get(number % 100, "")
    return Expected(*uids, None if code else number % 2 == 0, code)


def open_ends(bench: Bench) -> tuple[int, int]:
    """Jobs, and deliveries of done jobs, that have not come to their end."""
    engine, worker = open_as_it_is(bench.settings.storage), bench.settings.worker
    jobs, deliveries = JobStore(engine, worker).counts(), DeliveryStore(engine, worker).counts()
    engine.dispose()
    waiting = sum(count for state, count in jobs.items() if state not in FINISHED)
    unsent = (DeliveryState.WAITING, DeliveryState.SENDING)
    return waiting, sum(count for (_, state), count in deliveries.items() if state in unsent)


def strange_answers(ledger: Ledger) -> list[str]:
    """Answers to good images that are neither success nor "come again"."""
    return [
        f"{channel}: an image was told '{answer}' {count} times"
        for (channel, answer), count in ledger.answers.items()
        if answer != SUCCESS and answer not in IN_ORDER
    ]


def print_report(
    options: argparse.Namespace, disk: Disk, faults: Faults, ledger: Ledger, verdict: Verdict
) -> None:
    """Everything as Markdown tables."""
    print(f"{options.database}, disk: {disk.kind}, seed {options.seed}, {options.images} images\n")
    kills = sum(faults.kills.values())
    rows = {f"killed: {name}": n for name, n in sorted(faults.kills.items())}
    _table("fault", {**rows, "killed, all together": kills, **faults.others})
    answers = {f"{channel}: {answer}": n for (channel, answer), n in sorted(ledger.answers.items())}
    _table("what senders were told", answers)
    _table("at the end", verdict.counts)
    for violation in verdict.violations[:50]:
        print(f"VIOLATION {violation}")
    print(f"{len(verdict.violations)} violations")


def _table(head: str, rows: dict[str, int]) -> None:
    print(f"| {head} | n |\n|---|---|")
    print("".join(f"| {name} | {count:,} |\n" for name, count in rows.items()))


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    main()
