"""Pleura beside what a user would run instead: file to JSON, in one run, one image after the other.

    python benchmarks/latency.py PATH... [--model M] [--int8 M] [--threads 2] [--images 40]
        [--cold 9] [--without NAME...] [-o FOLDER] [--into FILE]

Pleura in each of its engines, and with the 8-bit copy of the model, beside its rivals.

Every contender judges one image before the next image comes, in an order that turns, so that all of
them meet the same machine; ratios are taken image by image. Negatives and positives apart, by what
Pleura says. Each contender has judged three images before. `benchmarks/rivals.py` says what they
are; `benchmarks/roofline.py` measures what the machine could do.

Cold: the whole process of `pleura predict FILE --jsonl`, with its largest resident memory,
alternating with one that only imports what it stands on.

With -o, `latency.json` and a plot are written; with --into, the tables stand between the markers of
a document.
"""

import argparse
import itertools
import json
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import openvino
import torch

import rivals
import roofline
from pleura import Predictor
from pleura.engines import open_network
from pleura.inference import Engine, Manifest, Stage
from pleura.inference.registry import find_model
from pleura.io import discover
from rle import machine
from segmentation_table import cost

BEGIN, END = "<!-- latency -->", "<!-- end of latency -->"
OURS = "Pleura, onnxruntime"
OPENVINO, BF16, INT8 = "Pleura, openvino", "Pleura, openvino-bf16", "Pleura, joint-unet-int8"
EAGER, COMPILED = "same networks, torch eager", "same networks, torch.compile"
BASELINE, MONAI = "CheXNet 224 + Double U-Net 256, eager", "MONAI, DenseNet 224 + U-Net++ 256"
IMPORTS = "import numpy, pydicom, "
WARM = 3
NETWORK_RUNS = 40


def contenders(
    folder: Path, int8: Path, threads: int, without: Sequence[str]
) -> dict[str, rivals.Rival]:
    """Those that are wanted, ready to run."""
    makers: dict[str, Callable[[], rivals.Rival]] = {
        OURS: lambda: rivals.pleura(folder, threads),
        OPENVINO: lambda: rivals.pleura(folder, threads, Engine.OPENVINO),
        BF16: lambda: rivals.pleura(folder, threads, Engine.OPENVINO_BF16),
        INT8: lambda: rivals.pleura(int8, threads),
        EAGER: lambda: rivals.torch_eager(folder),
        COMPILED: lambda: rivals.torch_eager(folder, compiled=True),
        BASELINE: rivals.design_baseline,
        MONAI: rivals.monai_pipeline,
    }
    always = (EAGER, BASELINE)  # what the others are held against
    wanted = {
        name: make
        for name, make in makers.items()
        if name in always or not any(part in name for part in without)
    }
    return {name: make() for name, make in wanted.items()}


def timed(
    running: dict[str, rivals.Rival], paths: Sequence[Path]
) -> tuple[dict[str, list[float]], list[bool]]:
    """Milliseconds of every contender for every image, and whether Pleura finds something."""
    for path, run in itertools.product(paths[:WARM], running.values()):
        run(path)
    times: dict[str, list[float]] = {name: [] for name in running}
    present = []
    names = list(running)
    for turn, path in enumerate(paths):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            begin = time.perf_counter()
            said = running[name](path)
            times[name].append(1e3 * (time.perf_counter() - begin))
            if name == OURS:
                present.append(bool(json.loads(said)["present"]))
    return times, present


def network_part(folder: Path, int8: Path, threads: int) -> dict[str, list[float]]:
    """Milliseconds of one view in the network alone, by contender, alternating."""
    engines: dict[str, tuple[Path, Engine | None]] = {
        OURS: (folder, None),
        OPENVINO: (folder, Engine.OPENVINO),
        BF16: (folder, Engine.OPENVINO_BF16),
        INT8: (int8, None),
    }
    loaded = {}
    for name, (place, engine) in engines.items():
        part, size = Manifest.read(place).classifier, Manifest.read(place).preprocessing.size
        beside = part.weights and (place / part.weights.file, part.weights.sha256)
        loaded[name] = open_network(place / part.file, part.sha256, threads, engine, beside)
    image = np.random.default_rng(0).standard_normal((1, 1, size, size)).astype(np.float32)
    times: dict[str, list[float]] = {name: [] for name in loaded}
    for turn in range(WARM + NETWORK_RUNS):
        for name, network in loaded.items():
            begin = time.perf_counter()
            network.run(["logit", "mask_logits"], {"image": image})
            if turn >= WARM:
                times[name].append(1e3 * (time.perf_counter() - begin))
    return times


def stages(
    folder: Path, threads: int, paths: Sequence[Path], engine: Engine | None
) -> dict[str, dict[str, list[float]]]:
    """Milliseconds by outcome and stage."""
    predictor = Predictor(folder, threads=threads, engine=engine)
    found: dict[str, dict[str, list[float]]] = {}
    for path in (*paths[:WARM], *paths):
        prediction = predictor.predict(path)
        outcome = found.setdefault("positive" if prediction.present else "negative", {})
        for stage in Stage:
            outcome.setdefault(stage.value, []).append(prediction.timings_ms[stage.value])
    return found


def cold(path: Path, runs: int, options: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Wall time in milliseconds and largest resident memory in MB of whole processes."""
    program = Path(sys.executable).with_name("pleura")
    commands = {}
    for engine, package in (("onnxruntime", "onnxruntime"), ("openvino-bf16", "openvino")):
        predict = [str(program), "predict", str(path), "--jsonl", "--engine", engine, *options]
        commands[f"pleura predict FILE --jsonl --engine {engine}"] = predict
        commands[f'python -c "{IMPORTS}{package}"'] = [sys.executable, "-c", IMPORTS + package]
    script = str(Path(__file__).with_name("cold.py"))
    run = [sys.executable, script, str(runs), *(shlex.join(words) for words in commands.values())]
    measured = json.loads(subprocess.run(run, capture_output=True, check=True).stdout)
    return dict(zip(commands, measured.values(), strict=True))


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Median [5th, 95th percentile]."""
    low, middle, high = np.percentile(values, [5, 50, 95])
    return f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def report(result: dict[str, Any]) -> str:
    """The tables in Markdown."""
    present = np.array(result["present"])
    groups = {"negative": ~present, "positive": present}
    lines = [
        f"{result['date']}: {result['machine']}, {result['system']}; {result['versions']};"
        f" {result['model']}; {result['threads']} threads; n = {len(present)} files, of which"
        f" {int(present.sum())} are called positive. Milliseconds from file to JSON, median [5th,"
        " 95th percentile]; ratios image by image, above 1 for what is faster.",
        "",
        "| | negative | positive | against torch eager | against the baseline |",
        "|---|---|---|---|---|",
    ]
    against = [np.array(result["times"][name]) for name in (EAGER, BASELINE)]
    for name, values in result["times"].items():
        times = np.array(values)
        cells = [spread(times[group]) if group.any() else "-" for group in groups.values()]
        cells += [spread(other / times, 1) for other in against]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        f"The baseline is {BASELINE}; torch eager is {EAGER}, both views of every image.",
    ]
    for engine, found in result["stages"].items():
        lines += ["", f"| stage, {engine} | negative | positive |", "|---|---|---|"]
        for stage in Stage:
            cells = [
                spread(found[group][stage.value], 1) if group in found else "-" for group in groups
            ]
            lines.append(f"| {stage.value} | {' | '.join(cells)} |")
    roof = result["roofline"]
    lines += [
        "",
        "| network alone, one view | ms | against the float32 roofline |",
        "|---|---|---|",
    ]
    for name, values in result["network"].items():
        ratio = roof["least_ms"] / float(np.median(values))
        lines.append(f"| {name} | {spread(values, 1)} | {ratio:.2f} |")
    lines += ["", "| process | ms | largest resident memory, MB |", "|---|---|---|"]
    for name, measured in result["cold"].items():
        lines.append(f"| `{name}` | {spread(measured['ms'])} | {spread(measured['mb'])} |")
    lines += [
        "",
        f"Roofline: {roof['gflops']:.0f} GFLOP/s (product of matrices) and {roof['gigabytes']:.1f}"
        f" GB/s (copy) in float32. One view takes {roof['gflop']:.2f} GFLOP, at best"
        f" {roof['least_ms']:.1f} ms.",
    ]
    return "\n".join(lines)


def plot(result: dict[str, Any], path: Path) -> None:
    """Medians as bars, a logarithmic scale."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    present = np.array(result["present"])
    names = list(result["times"])
    figure, axes = pyplot.subplots(figsize=(8, 3.2), layout="constrained")
    for offset, (label, group) in zip(
        (-0.2, 0.2), (("negative", ~present), ("positive", present)), strict=True
    ):
        if not group.any():
            continue
        percentiles = [
            np.percentile(np.array(result["times"][name])[group], [5, 50, 95]) for name in names
        ]
        low, middle, high = np.array(percentiles).T
        places = np.arange(len(names)) + offset
        axes.barh(places, middle, 0.38, xerr=[middle - low, high - middle], label=label)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds from file to JSON")
    axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--model")
    parser.add_argument("--int8", default="joint-unet-int8", help="8-bit copy of the model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--cold", type=int, default=9, help="runs of each command")
    parser.add_argument(
        "--without", nargs="*", default=[], help="contenders, by a part of the name"
    )
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    folder = find_model(options.model)
    roof = roofline.measure(options.threads)
    every = [Path(found.name) for found in discover(options.paths)]
    paths = every[:: max(1, len(every) // options.images)][: options.images]
    int8 = find_model(options.int8)
    running = contenders(folder, int8, options.threads, options.without)
    times, present = timed(running, paths)
    predictor = Predictor(folder, threads=options.threads)
    network = cost(folder, predictor, 0.0)
    least = roof.milliseconds(network.gflop, roofline.parameter_gigabytes(network.parameters))
    passed = ["--threads", str(options.threads)]
    passed += ["--model", options.model] if options.model else []
    result = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine(),
        "system": platform.system(),
        "versions": f"ONNX Runtime {onnxruntime.__version__}, OpenVINO"
        f" {openvino.__version__.partition('-')[0]}, PyTorch {torch.__version__}",
        "model": f"{predictor.model.name} {predictor.model.version}",
        "threads": options.threads,
        "times": times,
        "present": present,
        "stages": {
            str(engine): stages(folder, options.threads, paths, engine)
            for engine in (Engine.ONNXRUNTIME, Engine.OPENVINO_BF16)
        },
        "network": network_part(folder, int8, options.threads),
        "cold": cold(paths[0], options.cold, passed),
        "roofline": {
            "gflops": roof.gflops,
            "gigabytes": roof.gigabytes,
            "gflop": network.gflop,
            "least_ms": least,
        },
    }
    text = report(result)
    print(text)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "latency.json").write_text(json.dumps(result, indent=1) + "\n")
        plot(result, options.output / "latency.png")
    if options.into is not None:
        before, begin, rest = options.into.read_text(encoding="utf-8").partition(BEGIN)
        _, end, after = rest.partition(END)
        if not (begin and end):
            raise SystemExit(f"{options.into} has no place for the tables: {BEGIN} ... {END}")
        options.into.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
