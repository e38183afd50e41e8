"""What the reader makes of damaged files: many mutants, and what became of each kind.

    python benchmarks/fuzz.py [--count 20000] [--seed 1] [--start 0] [--keep FOLDER]

Mutants come from synthetic files and, where PLEURA_REAL_DATA names a folder of real ones, from
those as well. Each is read in a child process; see tests/io/fuzzing.py for what is promised of it.
A quarter of what is read also goes through a model. The exit status is 1 if a promise was broken;
`--keep` writes the mutants that broke one to a folder. An archive has several results or none.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "io")]

from fuzzing import Outcome, Run, outcomes  # noqa: E402
from mutants import mutant  # noqa: E402

from rle import machine  # noqa: E402
from tiny_model import write_model  # noqa: E402


def row(name: str, found: list[Outcome]) -> str:
    """Counts of what was read and of each refusal, the slowest and the largest."""
    codes = Counter(code for outcome in found for code in outcome.codes)
    read = codes.pop("read", 0)
    slowest = max(outcome.elapsed_ms for outcome in found)
    peak = max(outcome.peak_mb for outcome in found)
    refused = ", ".join(f"{code} {count}" for code, count in codes.most_common())
    return f"{name:<34}{len(found):>7}{read:>7}{slowest:>10.0f}{peak:>9.0f}  {refused}"


def table(title: str, found: list[Outcome], key: str) -> None:
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in found:
        name = f"{outcome.kind}: {outcome.mutation}" if key == "both" else getattr(outcome, key)
        groups[name].append(outcome)
    print(f"\n{title:<34}{'n':>7}{'read':>7}{'ms most':>10}{'MB most':>9}  refused")
    for name in sorted(groups):
        print(row(name, groups[name]))


def report(found: list[Outcome]) -> None:
    table("source and mutation", found, "both")
    table("source", found, "kind")
    table("mutation", found, "mutation")
    print()
    print(row("all", found))
    print(f"{sum(outcome.predicted for outcome in found)} of them went through the model")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--keep", type=Path, help="folder for the mutants that break a promise")
    options = parser.parse_args()
    named = os.environ.get("PLEURA_REAL_DATA")
    folder = Path(named) if named else None
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, seed {options.seed}")
    print(f"real files: {'yes' if folder else 'no'}")
    begun = time.perf_counter()
    found: list[Outcome] = []
    failed: list[Outcome] = []
    with tempfile.TemporaryDirectory() as scratch:
        model = write_model(Path(scratch) / "model")
        stop = options.start + options.count
        for outcome in outcomes(Run(options.seed, options.start, stop, folder, model)):
            found.append(outcome)
            if outcome.failure:
                failed.append(outcome)
                where = f"({options.seed}, {outcome.number}) {outcome.kind} {outcome.source}"
                print(f"FAILED {where} {'+'.join(outcome.done)}: {outcome.failure}", flush=True)
                keep(outcome, options.seed, folder, options.keep)
    report(found)
    print(f"{len(failed)} failures in {len(found)} mutants; {time.perf_counter() - begun:.0f} s")
    raise SystemExit(1 if failed else 0)


def keep(outcome: Outcome, seed: int, folder: Path | None, target: Path | None) -> None:
    """Write a mutant that broke a promise to a folder."""
    if target is None:
        return
    target.mkdir(parents=True, exist_ok=True)
    made = mutant(seed, outcome.number, folder)
    (target / f"{seed}-{outcome.number}{made.suffix}").write_bytes(made.data)


if __name__ == "__main__":
    main()
