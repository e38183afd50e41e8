"""Of several that need the same cache one builds it; one that was killed keeps nobody waiting."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from filelock import FileLock

from pleura.data import cache, once
from pleura.data.index import read_index
from pleura.data.once import one_builder
from pleura.training import teacher

HOLDER = """
import sys
from pathlib import Path
from pleura.data.once import one_builder
with one_builder(Path(sys.argv[1])):
    print("inside", flush=True)
    sys.stdin.read()
"""


def _slowly(monkeypatch, module, name):
    """Counts the calls of a function, and gives others the time to come in as well."""
    calls, whole = [], getattr(module, name)

    def slow(*arguments):
        calls.append(arguments)
        time.sleep(0.2)
        return whole(*arguments)

    monkeypatch.setattr(module, name, slow)
    return calls


def test_the_pixel_cache_is_built_by_one(data, tmp_path, monkeypatch):
    calls = _slowly(monkeypatch, cache, "_build")
    index = read_index(data / "index.parquet")
    with ThreadPoolExecutor(4) as pool:
        opened = [
            pool.submit(cache.open_cache, index, index.table, 64, tmp_path / "cache")
            for _ in range(4)
        ]
    assert len(calls) == 1
    images = [future.result().images for future in opened]
    assert all(np.array_equal(images[0], other) for other in images)


def test_the_teacher_is_asked_by_one(tmp_path, monkeypatch):
    def judge(image):
        return 0.5, np.zeros(image.shape, np.float32)

    monkeypatch.setattr(teacher, "_judge_of", lambda folder: (judge, "its weights"))
    calls = _slowly(monkeypatch, teacher, "_answers")
    images = np.zeros((3, 64, 64), np.uint8)
    with ThreadPoolExecutor(4) as pool:
        taught = [
            pool.submit(teacher.teach, images, tmp_path, tmp_path / "cache", "three")
            for _ in range(4)
        ]
    assert len(calls) == 1
    assert all(future.result().labels.tolist() == [0.5] * 3 for future in taught)


def test_a_builder_that_was_killed_lets_the_next_one_in(tmp_path):
    place = tmp_path / "cache"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        assert holder.stdout.readline() == "inside\n"
        with pytest.raises(TimeoutError):
            FileLock(tmp_path / ".cache.lock", timeout=0).acquire()
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    started = time.monotonic()
    with one_builder(place):
        assert time.monotonic() - started < 5


def test_without_locks_all_build(tmp_path, monkeypatch):
    """Some network file systems have none; each then builds in a place of its own, as before."""

    class Unsupported(FileLock):
        def _acquire(self):
            raise NotImplementedError

    monkeypatch.setattr(once, "FileLock", Unsupported)
    with one_builder(tmp_path / "cache"), one_builder(tmp_path / "cache"):
        pass
