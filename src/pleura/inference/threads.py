"""How many threads to compute with when nobody says."""

import os
from pathlib import Path

MAX_DEFAULT_THREADS = 4
_CPU_FOLDER = Path("/sys/devices/system/cpu")
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def _usable_cpus() -> set[int]:
    """Logical processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _physical_cores(cpus: set[int]) -> int:
    """Number of physical cores behind these logical processors; siblings share one multiplier."""
    cores = set()
    for cpu in cpus:
        siblings = _CPU_FOLDER / f"cpu{cpu}" / "topology" / "thread_siblings_list"
        try:
            cores.add(siblings.read_text(encoding="ascii").strip())
        except OSError:
            cores.add(str(cpu))
    return len(cores)


def _container_quota() -> int | None:
    """Whole processors that the container's quota allows (cgroup v2), or None without a quota."""
    try:
        quota, period = _CGROUP_QUOTA.read_text(encoding="ascii").split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return None


def usable_cores() -> int:
    """Physical cores that this process may use, at least 1."""
    cores = _physical_cores(_usable_cpus())
    quota = _container_quota()
    return max(1, cores if quota is None else min(cores, quota))


def default_threads(processes: int = 1) -> int:
    """Physical cores that this process may use, at least 1 and at most `MAX_DEFAULT_THREADS`.

    A small network gains little from more than four threads, and other processes lose by them.

    Args:
        processes: that share the cores.
    """
    return max(1, min(MAX_DEFAULT_THREADS, usable_cores() // processes))
