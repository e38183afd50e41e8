"""How many radiographs a minute the service takes, judges and delivers, how soon, and in how much
memory; and what it does with five times as many.

    python benchmarks/load.py [--minutes 10] [--workers 1] [--threads 2] [--side 1024]
                              [--database sqlite|postgresql] [--share 0.8] [--keep FOLDER]

Synthetic radiographs come by C-STORE over four associations; the embedded model judges them; SEG,
SR and SC go to a local destination. Senders, service and destination share the machine.

- capacity: eight images are always under way; one is sent when one is done.
- sustained: images come by chance (a Poisson process) at SHARE of the capacity, for MINUTES.
- overload: five times the capacity for a minute; at most 100 may wait, others are refused and not
  sent again.
- recovery: until nothing waits, then a minute at SHARE again.

Latency is counted from the end of a C-STORE, when its answer has come. At the end all that was
acknowledged is held against what was delivered: exit status 1 if any is lost.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "service")]

from service_tools import until  # noqa: E402

from pleura import Predictor  # noqa: E402
from pleura.service.store import FINISHED, DeliveryState, DeliveryStore, JobStore  # noqa: E402
from pleura.service.store.engine import open_as_it_is  # noqa: E402
from rle import machine  # noqa: E402
from service_bench import Bench, benched  # noqa: E402
from service_disk import database  # noqa: E402
from service_load_report import Ends, Phase, print_latencies, print_memory, print_traffic  # noqa: E402
from service_samples import Sampler  # noqa: E402
from service_senders import SUCCESS, Ledger  # noqa: E402
from service_traffic import Radiographs, Traffic  # noqa: E402
from service_verdict import judge, read_truth  # noqa: E402

UNDER_WAY = 8
QUEUE_LIMIT = 100
TIMES = 5
CAPACITY_SECONDS = 90.0
OVERLOAD_SECONDS = 60.0
RECOVERY_SECONDS = 60.0
_PATIENCE = 900.0


@dataclass
class Load:
    """The service under load.

    Args:
        options: of the command line.
        bench: started.
        traffic: to it.
    """

    options: argparse.Namespace
    bench: Bench
    traffic: Traffic
    phases: list[Phase] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._engine = open_as_it_is(self.bench.settings.storage)
        worker = self.bench.settings.worker
        self._jobs = JobStore(self._engine, worker)
        self._deliveries = DeliveryStore(self._engine, worker)
        self._chance = random.Random(1)

    def run(self) -> None:
        """All phases."""
        self.traffic.offer()
        until(lambda: self._finished() == 1, 300, "the first image is judged")
        per_second = self._capacity()
        sustained = per_second * self.options.share
        self._by_chance("sustained", sustained, self.options.minutes * 60)
        self._drained("sustained, drained")
        self._by_chance("overload", TIMES * per_second, OVERLOAD_SECONDS)
        self._drained("overload, drained")
        self._by_chance("recovery", sustained, RECOVERY_SECONDS)
        self._drained("recovery, drained")
        self._engine.dispose()

    def _capacity(self) -> float:
        """Images per second when some always wait."""
        with self._phase("capacity"):
            end, before = time.monotonic() + CAPACITY_SECONDS, self._finished()
            begun = time.monotonic()
            while time.monotonic() < end:
                while self.traffic.next - self._finished() < UNDER_WAY * self.options.workers:
                    self.traffic.offer()
                time.sleep(0.05)
            rate = (self._finished() - before) / (time.monotonic() - begun)
        self._drained("capacity, drained")
        return rate

    def _by_chance(self, name: str, per_second: float, seconds: float) -> None:
        with self._phase(name) as phase:
            self.traffic.by_chance(per_second, seconds, self._chance)
            phase.withdrawn = self.traffic.withdraw()

    @contextmanager
    def _phase(self, name: str) -> Iterator[Phase]:
        phase = Phase(name, time.time())
        first = self.traffic.next
        yield phase
        phase.numbers = range(first, self.traffic.next)
        phase.seconds = time.time() - phase.begin
        phase.load_average = os.getloadavg()[0]
        self.phases.append(phase)
        print(f"{name}: {len(phase.numbers)} images, {phase.seconds:.0f} s", file=sys.stderr)

    def _drained(self, name: str) -> None:
        """Wait until nothing waits any more."""
        with self._phase(name):
            until(self._is_idle, _PATIENCE, "nothing waits any more")

    def _is_idle(self) -> bool:
        time.sleep(0.2)
        if not self.traffic.is_idle:
            return False
        jobs, deliveries = self._jobs.counts(), self._deliveries.counts()
        open_jobs = any(count for state, count in jobs.items() if state not in FINISHED)
        unsent = (DeliveryState.WAITING, DeliveryState.SENDING)
        return not open_jobs and not any(state in unsent for _, state in deliveries)

    def _finished(self) -> int:
        return sum(count for state, count in self._jobs.counts().items() if state in FINISHED)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--share", type=float, default=0.8)
    options = parser.parse_args()
    loads = " ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, load average at start {loads}")
    raise SystemExit(0 if run(options) else 1)


def run(options: argparse.Namespace) -> bool:
    """One run; prints the tables, and returns whether nothing was lost."""
    predictor = Predictor.load()
    print(
        f"{predictor.model.name} {predictor.model.version}; {options.workers} workers with"
        f" {options.threads} threads; {options.database}; {options.side} x {options.side}\n"
    )
    radiographs = Radiographs(options.side, predictor)
    del predictor
    ledger = Ledger(0)
    with (
        tempfile.TemporaryDirectory(prefix="pleura-load-") as scratch,
        database(options.database) as server,
    ):
        folder = Path(scratch)
        url = None if server is None else server.new_database("pleura")
        with benched(folder, _settings(folder, options, url)) as bench:
            bench.start()
            sampler = Sampler(lambda: processes(bench))
            sampler.start()
            traffic = Traffic(radiographs, bench.node_port, ledger)
            load = Load(options, bench, traffic)
            load.run()
            traffic.close()
            sampler.stop()
            unstopped = bench.stop()
            truth = read_truth(bench.settings, ledger.acknowledged, bench.arrivals)
    ends = Ends.of(truth)
    print_traffic(load.phases, ledger, ends)
    print_latencies(load.phases, traffic, ledger, ends, radiographs)
    for phase in load.phases:
        if phase.name in ("sustained", "overload"):
            images = sum(phase.begin <= at < phase.end for at in ends.judged.values())
            print_memory(phase, images, sampler)
    expected = {number: radiographs.expected(number) for number in ledger.acknowledged}
    verdict = judge(truth, expected)
    violations = verdict.violations + unstopped
    violations += [f"an image was told '{answer}'" for answer in strange(ledger)]
    for name, count in verdict.counts.items():
        print(f"{name}: {count}")
    for violation in violations[:20]:
        print(f"VIOLATION {violation}")
    print(f"{len(violations)} violations")
    return not violations


def _settings(folder: Path, options: argparse.Namespace, url: str | None) -> str:
    database_url = "" if url is None else f'database_url = "{url}"'
    return f"""
[storage]
folder = "{folder / "data"}"
{database_url}
queue_limit = {QUEUE_LIMIT}

[model]
threads = {options.threads}

[worker]
count = {options.workers}

[watch]
selftest = false
"""


def processes(bench: Bench) -> dict[int, str]:
    """The processes of the service by what they do."""
    found = {part.pid: name for name, part in bench.parts.items()}
    return found | bench.worker.roles()


def strange(ledger: Ledger) -> set[str]:
    """Answers that are neither success nor a refusal for want of room."""
    return {answer for _, answer in ledger.answers if answer not in (SUCCESS, "status A700")}


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    main()
