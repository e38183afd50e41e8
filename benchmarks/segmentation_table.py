"""Segmentation networks side by side: what they cost, and how well they draw.

    python benchmarks/segmentation_table.py --data INDEX MODEL... [-o FOLDER] [--into FILE]

MODEL is a folder of `pleura export`, or the name of an installed model. Each is judged on the test
split and on the fold that it held out of training, through the same `Predictor`; masks are drawn as
if every positive were found, on the grid of the true mask, which is 1024 x 1024 pixels. 95 %
intervals by bootstrap over patients.

    Dice, IoU    on positives with a published mask (convention `positives`)
    HD95         in pixels of that grid; where nothing is drawn there is no distance, and it is left
                 out and counted
    small ...    Dice by tertile of the true area in that split
    kaggle       mean Dice end to end at an operating point, empty on empty = 1; at the split's own
                 prevalence
    emptiness    share of normals without a mask, likewise
    GFLOP        of convolutions and products, twice the multiplications, one view of one image
    ms           classifier and segmenter together, ONNX Runtime, two threads, all views that the
                 model looks at; median over the first images of the test split, every model on
                 one image before the next, so that all meet the same machine

With -o, `table.json` and a sheet of synthetic radiographs with every model's contour are written;
with --into, the tables stand between the markers of a document.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pandas as pd
from numpy.typing import NDArray

from pleura import Predictor
from pleura.data.index import Index, read_index
from pleura.data.sources import open_image
from pleura.data.splits import from_two_sided_sources
from pleura.errors import RefusedInputError
from pleura.evaluation.cases import forced_mask, true_mask
from pleura.inference.manifest import Estimate
from pleura.inference.registry import find_model
from pleura.metrics import MEAN, EmptyConvention, bootstrap_interval, dice, hausdorff_95, iou
from pleura.outputs import DISCLAIMER
from pleura.phantom import draw, spec_for
from pleura.radiograph import Radiograph
from rle import machine

BEGIN, END = "<!-- segmentation table -->", "<!-- end of segmentation table -->"
TERTILES = ("small", "medium", "large")
PHANTOMS = (1, 3, 5, 7)
TIMED = 40  # images
COLOURS = ((80, 80, 255), (255, 160, 60), (80, 220, 80), (255, 90, 255))  # blue-green-red


@dataclass(frozen=True)
class Cost:
    """What a model takes."""

    input_px: int
    views: int
    parameters: int
    gflop: float
    megabytes: float
    milliseconds: float


def cost(folder: Path, predictor: Predictor, milliseconds: float) -> Cost:
    """Sizes from the files, arithmetic from the graphs."""
    manifest = predictor.manifest
    paths = [folder / part.file for part in (manifest.classifier, manifest.segmenter) if part]
    size = manifest.preprocessing.size
    apart = manifest.segmenter_preprocessing
    sizes = [size, size if apart is None else apart.size][: len(paths)]
    return Cost(
        input_px=size,
        views=2 if manifest.flip_average else 1,
        parameters=sum(parameters_of(onnx.load(path)) for path in paths),
        gflop=sum(operations(paths, sizes)) / 1e9,
        megabytes=sum(path.stat().st_size for path in paths) / 1e6,
        milliseconds=milliseconds,
    )


def parameters_of(model: onnx.ModelProto) -> int:
    """Numbers in weights and biases; what only describes shapes is not counted."""
    weights = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT16)
    return sum(
        int(np.prod(tensor.dims))
        for tensor in model.graph.initializer
        if tensor.data_type in weights
    )


def operations(paths: Sequence[Path], sizes: Sequence[int]) -> list[float]:
    """Floating point operations of each file for one image of (1, 1, size, size)."""
    known: dict[str, list[int]] = {}
    counts = []
    for path, size in zip(paths, sizes, strict=True):
        known["image"] = [1, 1, size, size]
        model = onnx.load(path)
        for value in model.graph.input:
            for place, length in zip(
                value.type.tensor_type.shape.dim, known[value.name], strict=True
            ):
                place.dim_value = length
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        for value in (*graph.value_info, *graph.output):
            known[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        known |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
        counts.append(float(sum(_operations_of(node, known) for node in graph.node)))
    return counts


def _operations_of(node: onnx.NodeProto, known: dict[str, list[int]]) -> int:
    if node.op_type not in ("Conv", "Gemm", "MatMul"):
        return 0
    made, weights = known[node.output[0]], known[node.input[1]]
    if 0 in made or not weights:
        raise ValueError(f"the shape of {node.output[0]} is not known")
    # A value of a convolution takes (inputs / groups) * height * width products.
    products = int(np.prod(weights[1:])) if node.op_type == "Conv" else known[node.input[0]][-1]
    return 2 * int(np.prod(made)) * products


def judge(predictor: Predictor, index: Index, rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each image that can be read; refused ones are counted in the attributes."""
    records: list[dict[str, Any]] = []
    refused = 0
    for row in rows.to_dict("records"):
        true = true_mask(row)
        try:
            raw = predictor.predict_raw(open_image(index.root, row["path"]))
        except RefusedInputError:
            refused += 1
            continue
        drawn = forced_mask(predictor, raw, None if true is None else true.shape)
        record = {
            "group": str(row["group"]),
            "label": int(row["label"]) == 1,
            "probability": raw.probability,
            "drawn": bool(drawn.any()),
            "dice": np.nan,
            "iou": np.nan,
            "hd95": np.nan,
            "area": np.nan,
        }
        if true is not None:
            convention = EmptyConvention.POSITIVES
            record |= {
                "dice": float(dice(drawn, true, convention)),
                "iou": float(iou(drawn, true, convention)),
                "hd95": hausdorff_95(drawn, true),
                "area": float(true.mean()),
            }
        records.append(record)
    table = pd.DataFrame.from_records(records)
    table.attrs["refused"] = refused
    return table


def timed(predictors: dict[str, Predictor], index: Index, rows: pd.DataFrame) -> dict[str, float]:
    """Milliseconds of each model's networks, median over the first images that can be read."""
    took: dict[str, list[float]] = {name: [] for name in predictors}
    for path in rows["path"].head(TIMED):
        for name, predictor in predictors.items():
            try:
                spent = predictor.predict_raw(open_image(index.root, path)).timings_ms
            except RefusedInputError:
                continue
            took[name].append(spent["classify"] + spent["segment"])
    return {name: float(np.median(values)) for name, values in took.items()}


def accuracy(cases: pd.DataFrame, threshold: float) -> dict[str, Estimate | int]:
    """Every figure of one model on one set of images."""
    masked = cases[cases["dice"].notna()]
    called = (cases["probability"] >= threshold) & cases["drawn"]
    judged = ~cases["label"] | cases["dice"].notna()
    end_to_end = np.where(cases["label"], cases["dice"] * called, ~called)
    size = pd.qcut(masked["area"], 3, labels=list(TERTILES))
    figures: dict[str, Estimate | int] = {
        "dice": mean(masked, masked["dice"]),
        "iou": mean(masked, masked["iou"]),
        "hd95": mean(masked[masked["hd95"].notna()], masked["hd95"].dropna()),
        "not_drawn": int(masked["hd95"].isna().sum()),
        "kaggle": mean(cases[judged], pd.Series(end_to_end, cases.index)[judged]),
        "emptiness": mean(cases[~cases["label"]], ~called[~cases["label"]]),
    }
    for level in TERTILES:
        figures[level] = mean(masked[size == level], masked["dice"][size == level])
    return figures


def mean(cases: pd.DataFrame, values: "pd.Series[Any]") -> Estimate:
    """Mean with its interval."""
    numbers = values.to_numpy(dtype=np.float64)
    return bootstrap_interval(MEAN, numbers, groups=cases["group"].to_numpy(dtype=np.str_))


def held_out(index: Index, predictor: Predictor) -> pd.DataFrame:
    """The rows that the model was not trained on, of label sources that gave both labels."""
    fold = predictor.manifest.training["validation_fold"]
    table = index.table
    labelled = table[((table["split"] == "train") & table["label"].notna()).fillna(False)]
    chosen = (labelled["fold"] == fold).fillna(False).to_numpy(dtype=bool)
    return labelled[chosen & from_two_sided_sources(labelled)]


def text(value: Estimate | int, digits: int = 3) -> str:
    """Value and interval, or a count."""
    if isinstance(value, int):
        return str(value)
    return f"{value.value:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def tables(models: dict[str, dict[str, Any]], point: str) -> str:
    """Markdown of the costs, the test split and the held-out fold."""
    lines = [
        "| network | input | views | million parameters | GFLOP a view | MB | ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, model in models.items():
        c: Cost = model["cost"]
        lines.append(
            f"| {name} | {c.input_px} px | {c.views} | {c.parameters / 1e6:.1f} | {c.gflop:.1f} |"
            f" {c.megabytes:.1f} | {c.milliseconds:.0f} |"
        )
    for split, title in (("test", "Test split"), ("held_out", "Held out of training")):
        n = next(iter(models.values()))[split]["dice"].n
        lines += [
            "",
            f"{title}, {n} positives with a published mask; `kaggle` and emptiness at `{point}`:",
            "",
            "| network | Dice | IoU | HD95, px | nothing drawn | small | medium | large"
            " | `kaggle` | emptiness |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for name, model in models.items():
            f = model[split]
            cells = [text(f["dice"]), text(f["iou"]), text(f["hd95"], 0), text(f["not_drawn"])]
            cells += [text(f[key]) for key in (*TERTILES, "kaggle", "emptiness")]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def sheet(predictors: dict[str, Predictor]) -> NDArray[np.uint8]:
    """Synthetic radiographs, a row each: the true contour, then that of every model."""
    rows = []
    for seed in PHANTOMS:
        phantom = draw(spec_for(seed, pneumothorax=True))
        pixels = phantom.pixels.astype(np.float32) / np.float32(255)
        radiograph = Radiograph(pixels)
        masks = [phantom.mask]
        masks += [
            forced_mask(predictor, predictor.predict_raw(radiograph), None)
            for predictor in predictors.values()
        ]
        names = ["true", *predictors]
        cells = []
        for mask, name, colour in zip(masks, names, COLOURS * len(names), strict=False):
            cell = cv2.cvtColor(np.rint(pixels * 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)
            edges, _ = cv2.findContours(
                mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
            )
            cv2.drawContours(cell, edges, -1, colour, 3)
            cv2.putText(cell, name, (24, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.6, colour, 3)
            cells.append(cv2.resize(cell, (288, 288), interpolation=cv2.INTER_AREA))
        rows.append(np.hstack(cells))
    return np.vstack(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge every model, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", help="names or folders")
    parser.add_argument("--data", type=Path, required=True, help="index of `pleura data index`")
    parser.add_argument("--point", default="specific", help="operating point of the end to end")
    parser.add_argument("-o", "--output", type=Path, help="folder for table.json and the sheet")
    parser.add_argument("--into", type=Path, help="document with the markers")
    options = parser.parse_args(arguments)
    index = read_index(options.data)
    test = index.table[((index.table["split"] == "test") & index.table["label"].notna())]
    models: dict[str, dict[str, Any]] = {}
    predictors: dict[str, Predictor] = {}
    folders: dict[str, Path] = {}
    for given in options.models:
        predictor = Predictor.load(given, threads=2)
        name = f"{predictor.model.name} {predictor.model.version}"
        predictors[name] = predictor
        threshold = predictor.manifest.operating_point(options.point).threshold
        judged = {"test": judge(predictor, index, test)}
        judged["held_out"] = judge(predictor, index, held_out(index, predictor))
        models[name] = {split: accuracy(cases, threshold) for split, cases in judged.items()}
        models[name]["refused"] = sum(cases.attrs["refused"] for cases in judged.values())
        folders[name] = find_model(given)
    for name, milliseconds in timed(predictors, index, test).items():
        models[name]["cost"] = cost(folders[name], predictors[name], milliseconds)
    made = tables(models, options.point)
    when = f"{datetime.now(UTC):%Y-%m-%d}, {machine()}. {DISCLAIMER}"
    print(f"{made}\n\n{when}")
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        plain = json.dumps(models, default=_plain, indent=2)
        (options.output / "table.json").write_text(plain + "\n", encoding="utf-8")
        cv2.imwrite(str(options.output / "phantoms.png"), sheet(predictors))
    if options.into is not None:
        document = options.into.read_text(encoding="utf-8")
        before, rest = document.split(BEGIN, 1)
        after = rest.split(END, 1)[1]
        options.into.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}", encoding="utf-8")


def _plain(value: object) -> Any:
    return value.model_dump() if isinstance(value, Estimate) else asdict(value)  # type: ignore[call-overload]


if __name__ == "__main__":
    main()
