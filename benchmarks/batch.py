"""`pleura batch`: what a run costs beside judging, what two workers gain, and how memory goes.

    python benchmarks/batch.py overhead [--counts 500 2500] [--rounds 3]
    python benchmarks/batch.py scaling  [--counts 16 64] [--rounds 3]
    python benchmarks/batch.py memory   [--inputs 20000]
    python benchmarks/batch.py listing  [--inputs 200000]

overhead: the tests' tiny model on small radiographs, where judging costs next to nothing. Each way
runs on two counts of inputs; the difference of the times by the difference of the counts is what an
image costs, the rest is what a run costs: by the clock, and in time of the processor over all
processes, which other work on the machine changes little. Ways alternate within a round; medians
[range].
scaling: likewise, the embedded model on synthetic radiographs of 1024 x 1024.
memory: resident memory of each process over one long run, by tenths of it, then the time that the
same command takes when there is nothing left to do.
listing: names of a folder a second, and of its continuation.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from rle import machine

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "scale")]

from scale_tools import children_of, image  # noqa: E402

from pleura.phantom import draw, spec_for, to_dicom  # noqa: E402
from tiny_model import write_model  # noqa: E402

COMMAND = (sys.executable, "-c", "from pleura.cli.main import main; main()", "batch")
IN_PROCESS = """
import sys
from pleura import Predictor
from pleura.io import discover
predictor = Predictor.load(sys.argv[2] or None, threads=1)
for result in predictor.predict_many(discover([sys.argv[1]])):
    pass
"""
DISTINCT = 20


@dataclass(frozen=True)
class Way:
    """One way of judging a folder."""

    name: str
    options: tuple[str, ...] | None  # None: `predict_many` in one process, nothing written

    def command(self, inputs: Path, output: Path, model: str) -> list[str]:
        if self.options is None:
            return [sys.executable, "-c", IN_PROCESS, str(inputs), model]
        named = ("--model", model) if model else ()
        return [*COMMAND, str(inputs), str(output), *self.options, *named]


ALONE = Way("predict_many, one process", None)
LOCAL_1 = Way("local, 1 worker", ("--workers", "1"))
LOCAL_2 = Way("local, 2 workers", ("--workers", "2"))
LOCAL_THREADS = Way("local, 1 worker of 2 threads", ("--workers", "1", "--threads", "2"))
RAY_1 = Way("ray, 1 actor", ("--engine", "ray", "--workers", "1"))
RAY_2 = Way("ray, 2 actors", ("--engine", "ray", "--workers", "2"))


def fill(folder: Path, count: int, contents: list[bytes]) -> Path:
    """A folder of `count` names of a few distinct files, a thousand names a sub-folder."""
    originals = folder.with_name(f"{folder.name}-originals")
    originals.mkdir(parents=True)
    for number, content in enumerate(contents):
        (originals / f"{number}.dcm").write_bytes(content)
    for number in range(count):
        path = folder / f"{number // 1000:05d}" / f"{number:08d}.dcm"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.hardlink_to(originals / f"{number % len(contents)}.dcm")
    return folder


def small(count: int, folder: Path) -> Path:
    """Radiographs of 224 x 224, half of them positive for the tiny model."""
    return fill(folder, count, [image(number) for number in range(DISTINCT)])


def large(count: int, folder: Path) -> Path:
    """Synthetic radiographs of 1024 x 1024, half of them with a pneumothorax."""
    made = [to_dicom(draw(spec_for(seed, seed % 2 == 0))) for seed in range(8)]
    return fill(folder, count, made)


@dataclass(frozen=True)
class Cost:
    """Seconds of a command: by the clock, and of the processor in all of its processes."""

    wall: float
    processor: float


def cost(command: list[str]) -> Cost:
    """Run a command; 0 and 1 are the statuses of a run that went through."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_environment()
    )
    used: dict[int, float] = {}
    while process.poll() is None:  # Ray's processes end unobserved: the last look at each counts
        found = [process.pid]
        for pid in found:
            found += children_of(pid)
            used[pid] = max(used.get(pid, 0.0), _processor_seconds(pid))
        time.sleep(0.2)
    wall = time.perf_counter() - begin
    if process.returncode not in (0, 1):
        raise SystemExit(f"status {process.returncode} of {' '.join(command)}")
    return Cost(wall, sum(used.values()))


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _load() -> str:
    return ", ".join(f"{one:.1f}" for one in os.getloadavg())


def _environment() -> dict[str, str]:
    return os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}


def compare(
    ways: list[Way], inputs: dict[int, Path], model: str, rounds: int, chunk: int, scratch: Path
) -> None:
    """Time every way on both counts, alternating; print milliseconds an image and a run's rest."""
    few, many = sorted(inputs)
    marginal: dict[str, list[float]] = defaultdict(list)
    processor: dict[str, list[float]] = defaultdict(list)
    fixed: dict[str, list[float]] = defaultdict(list)
    for turn in range(rounds):
        for way in ways if turn % 2 == 0 else ways[::-1]:
            took = {}
            for count in (few, many):
                output = scratch / f"{way.name.replace(' ', '-')}-{turn}-{count}"
                command = way.command(inputs[count], output, model)
                chunked = [] if way.options is None else ["--chunk", str(chunk)]
                took[count] = cost([*command, *chunked])
            more = many - few
            slope = (took[many].wall - took[few].wall) / more
            marginal[way.name].append(slope * 1000)
            processor[way.name].append((took[many].processor - took[few].processor) / more * 1000)
            fixed[way.name].append(took[few].wall - slope * few)
    print(f"{few} and {many} inputs, n = {rounds}, load average {_load()}")
    print("| way | ms an image | processor ms an image | images/s | s a run |")
    for way in ways:
        each = marginal[way.name]
        print(
            f"| {way.name} | {_spread(each, 2)} | {_spread(processor[way.name], 2)}"
            f" | {1000 / statistics.median(each):.1f} | {_spread(fixed[way.name], 1)} |"
        )


def _spread(values: list[float], digits: int) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


class Sampler(threading.Thread):
    """Resident memory of a process and of its descendants, twice a second."""

    def __init__(self, pid: int, output: Path) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._output = output
        self.samples: list[tuple[int, dict[str, float]]] = []
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.5):
            sizes: dict[str, float] = {}
            found = [self._pid]
            for pid in found:
                found += children_of(pid)
                role = _role(pid, self._pid)
                if role:
                    sizes[role] = sizes.get(role, 0.0) + _resident_mib(pid)
            done = sum(1 for _ in self._output.glob("parts/*.parquet"))
            self.samples.append((done, sizes))


def _role(pid: int, first: int) -> str | None:
    if pid == first:
        return "command"
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    for name, role in ((b"spawn_main", "worker"), (b"ChunkActor", "actor"), (b"gcs_server", "GCS")):
        if name in command:
            return role
    return "raylet" if b"raylet/raylet" in command else None


def _resident_mib(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    lines = (line for line in text.splitlines() if line.startswith("VmRSS"))
    return next((int(line.split()[1]) / 1024 for line in lines), 0.0)


def memory(count: int, scratch: Path) -> None:
    """One long run on each engine, with its memory by tenths."""
    inputs = small(count, scratch / "in")
    model = str(write_model(scratch / "tiny"))
    for way in (LOCAL_1, RAY_1):
        output = scratch / f"out-{way.name[:3]}"
        command = way.command(inputs, output, model)
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=_environment())
        sampler = Sampler(process.pid, output)
        sampler.start()
        if process.wait() not in (0, 1):
            raise SystemExit(f"{way.name} failed")
        took = time.perf_counter() - begin
        sampler.ended.set()
        sampler.join()
        parts = list(output.glob("parts/*.parquet"))
        print(f"{way.name}: {count} inputs in {took:.0f} s, {len(parts)} parts of ", end="")
        print(f"{statistics.mean(part.stat().st_size for part in parts) / 1024:.0f} KiB")
        _print_tenths(sampler.samples, len(parts))
        print(f"  the same command again: {cost(command).wall:.1f} s")
        print(f"  {json.loads((output / 'report.json').read_text())['inputs']} rows")


def _print_tenths(samples: list[tuple[int, dict[str, float]]], parts: int) -> None:
    for tenth in range(1, 11):
        sizes: dict[str, list[float]] = defaultdict(list)
        for done, found in samples:
            if (tenth - 1) * parts <= done * 10 - 1 < tenth * parts:
                for role, size in found.items():
                    sizes[role].append(size)
        line = ", ".join(
            f"{role} {statistics.median(of):.0f}" for role, of in sorted(sizes.items())
        )
        print(f"  tenth {tenth}: MiB resident, median: {line}")


def listing(count: int, scratch: Path) -> None:
    """How fast a folder is listed and written down, and compared when the run continues."""
    from pleura.scale.ledger import Ledger
    from pleura.scale.listing import listing_of
    from pleura.scale.stores import open_store

    inputs = small(count, scratch / "in")
    found = listing_of(str(inputs), str(scratch / "out"))
    store = open_store(str(scratch / "out"))
    for what in ("listed and written down", "compared with what is written down"):
        begin = time.perf_counter()
        ledger = Ledger(store)
        for _ in ledger.to_do(found, 256):
            pass
        took = time.perf_counter() - begin
        print(f"{ledger.listed} names {what}: {took:.2f} s, {ledger.listed / took:.0f} a second")
    begin = time.perf_counter()
    names = sum(1 for _ in found.entries())
    print(f"{names} names listed alone: {names / (time.perf_counter() - begin):.0f} a second")
    size = sum(path.stat().st_size for path in (scratch / "out").rglob("*.jsonl"))
    print(f"{size / names:.0f} bytes a name in {len(ledger.chunks)} files")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("overhead", "scaling", "memory", "listing"))
    parser.add_argument("--counts", type=int, nargs=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--inputs", type=int)
    parser.add_argument("--chunk", type=int)
    chosen = parser.parse_args()
    print(f"{machine()}; load average {_load()}")
    with tempfile.TemporaryDirectory(prefix="pleura-batch-") as made:
        scratch = Path(made)
        if chosen.what == "memory":
            memory(chosen.inputs or 20_000, scratch)
        elif chosen.what == "listing":
            listing(chosen.inputs or 200_000, scratch)
        elif chosen.what == "overhead":
            counts = chosen.counts or (500, 2500)
            inputs = {count: small(count, scratch / f"in-{count}") for count in counts}
            model = str(write_model(scratch / "tiny"))
            ways = [ALONE, LOCAL_1, RAY_1]
            compare(ways, inputs, model, chosen.rounds, chosen.chunk or 256, scratch)
        else:
            counts = chosen.counts or (16, 64)
            inputs = {count: large(count, scratch / f"in-{count}") for count in counts}
            ways = [LOCAL_1, LOCAL_2, LOCAL_THREADS, RAY_1, RAY_2]
            compare(ways, inputs, "", chosen.rounds, chosen.chunk or 8, scratch)


if __name__ == "__main__":
    main()
