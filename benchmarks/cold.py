"""Whole processes: wall time and largest resident memory, alternating, as JSON on stdout.

    python benchmarks/cold.py RUNS COMMAND [COMMAND ...]

Each COMMAND is one argument. A process of its own, and of the standard library alone: Linux counts
towards a child's memory what its parent held when it was started.
"""

import json
import os
import shlex
import subprocess
import sys
import time


def measure(command: str) -> tuple[float, float]:
    """Milliseconds and MB of one run."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        shlex.split(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = 1e3 * (time.perf_counter() - begin)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with status {process.returncode}")
    return elapsed, usage.ru_maxrss / 1024  # kB on Linux


def main() -> None:
    runs, commands = int(sys.argv[1]), sys.argv[2:]
    found: dict[str, dict[str, list[float]]] = {name: {"ms": [], "mb": []} for name in commands}
    for run in range(runs + 1):
        for command in commands:
            elapsed, memory = measure(command)
            if run > 0:  # the first fills the disk's cache
                found[command]["ms"].append(elapsed)
                found[command]["mb"].append(memory)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
