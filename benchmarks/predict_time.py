"""How long a radiograph takes: cold, as one command, and warm, stage by stage.

    python benchmarks/predict_time.py PATH... [--model M] [--threads N] [--cold 10] [--warm 200]

Cold: the whole process of `pleura predict FILE --jsonl`, alternating with one that only imports
what the command needs (numpy, OpenCV, pydicom, ONNX Runtime) and with one that does nothing; after
one run of each that is not counted. Warm: one `Predictor`, after five images that are not counted;
negatives and positives apart, because the segmenter runs on positives alone. Without a path, on
synthetic radiographs.
"""

import argparse
import itertools
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import onnxruntime

from pleura import Predictor
from pleura.inference import Refusal, Stage
from pleura.io import discover
from pleura.phantom import draw, spec_for, write_dicom
from rle import machine

IMPORTS = "import numpy, cv2, pydicom, onnxruntime"


def phantoms(folder: Path) -> list[Path]:
    """Eight synthetic radiographs as DICOM files, every second one with a pneumothorax."""
    paths = [folder / f"{seed}.dcm" for seed in range(8)]
    for seed, path in enumerate(paths):
        write_dicom(draw(spec_for(seed, pneumothorax=seed % 2 == 1)), path)
    return paths


def spread(values: list[float]) -> str:
    """Median with the smallest and the largest."""
    return f"{statistics.median(values):8.1f} [{min(values):.1f}, {max(values):.1f}]"


def wall_ms(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return 1e3 * (time.perf_counter() - begin)


def cold(path: Path, runs: int, options: list[str]) -> None:
    program = str(Path(sys.executable).with_name("pleura"))
    commands = {
        "pleura predict FILE --jsonl": [program, "predict", str(path), "--jsonl", *options],
        f'python -c "{IMPORTS}"': [sys.executable, "-c", IMPORTS],
        'python -c ""': [sys.executable, "-c", ""],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for run, (name, command) in itertools.product(range(runs + 1), commands.items()):
        elapsed = wall_ms(command)
        if run > 0:
            times[name].append(elapsed)
    print(f"\ncold, whole process, ms: median [min, max], n = {runs}")
    for name, values in times.items():
        print(f"  {name:<56}{spread(values)}")


def warm(predictor: Predictor, paths: list[str], images: int) -> None:
    inputs = list(discover(paths))
    for found in itertools.islice(itertools.cycle(inputs), 5):
        predictor.predict(found)
    kinds: dict[str, list[dict[str, float]]] = {"negative": [], "positive": []}
    begin, judged = time.perf_counter(), 0
    for result in predictor.predict_many(itertools.islice(itertools.cycle(inputs), images)):
        if isinstance(result, Refusal):
            raise SystemExit(f"{result.input} was refused: {result.message}")
        kinds["positive" if result.present else "negative"].append(dict(result.timings_ms))
        judged += 1
    rate = judged / (time.perf_counter() - begin)
    print(f"\nwarm, one Predictor, {predictor.threads} threads, ms: median [min, max]")
    columns = [f"{kind} (n = {len(times)})" for kind, times in kinds.items() if times]
    print(f"  {'':<12}" + "".join(f"{column:>34}" for column in columns))
    for stage in Stage:
        cells = [spread([each[stage] for each in times]) for times in kinds.values() if times]
        print(f"  {stage.value:<12}" + "".join(f"{cell:>34}" for cell in cells))
    print(f"  predict_many, decoding ahead: {rate:.1f} images/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--model")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--cold", type=int, default=10, help="runs of each command")
    parser.add_argument("--warm", type=int, default=200, help="images")
    options = parser.parse_args()
    predictor = Predictor.load(options.model, threads=options.threads)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, {platform.system()}")
    print(
        f"ONNX Runtime {onnxruntime.__version__}, {predictor.model.name} {predictor.model.version}"
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = options.paths or [str(path) for path in phantoms(Path(folder))]
        passed = ["--threads", str(predictor.threads)]
        passed += ["--model", options.model] if options.model else []
        first = next(iter(discover(paths)))
        cold(Path(first.name), options.cold, passed)
        warm(predictor, paths, options.warm)


if __name__ == "__main__":
    main()
