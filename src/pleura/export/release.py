"""From a training run to a model folder: files, parity, calibration, operating points, self-test."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from pleura.data.index import Index, read_index
from pleura.data.sources import open_image
from pleura.errors import ModelError
from pleura.evaluation.calibration import fit_platt
from pleura.evaluation.cases import true_mask
from pleura.evaluation.mask_rule import choose_mask_rule
from pleura.evaluation.operating_points import choose_operating_points
from pleura.export.onnx_file import save, store_half, to_onnx
from pleura.export.parity import OnnxStages, Parity, measure_parity
from pleura.export.stages import IMAGE, LOGIT, MASK_LOGITS, cut
from pleura.inference import Predictor
from pleura.inference.manifest import (
    Calibration,
    Component,
    Estimate,
    Manifest,
    OperatingPoint,
    Preprocessing,
    SelftestCase,
    sha256_of,
)
from pleura.inference.postprocess import calibrated_probability
from pleura.inference.preprocess import prepare
from pleura.inference.selftest import measure
from pleura.io import read_radiograph
from pleura.metrics import delong_interval
from pleura.models import Network, create_network
from pleura.training.config import TrainingConfig, load_config
from pleura.training.run import CONFIG_NAME, RECORD_NAME

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

SIIM_PREVALENCE = 0.22
"""2,669 of the 12,047 images of the published SIIM-ACR table show a pneumothorax."""
PARITY_NAME = "parity.json"
_PARITY_IMAGES = 32
_HALVING_LADDER = (1024, 8192, 32_768, 131_072)
"""Smallest tensor that is stored in half precision; the first that passes the check is taken."""
_SELFTEST_SEEDS = (1, 2, 3, 4)
_UNDECIDED = OperatingPoint(name="none", threshold=0.5, sensitivity=0, specificity=0)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ExportOptions:
    """What is not in the run itself.

    Attributes:
        name: of the model; the folder's name by default.
        version: of the model.
        checkpoint: `best` or `last`.
        prevalence: that the probability is calibrated for.
        flip_average: judge each radiograph and its mirror image, and average.
        root: folder of the images, when it has moved since the index was written.
        licence: terms of the weights, for the manifest.
    """

    name: str = ""
    version: str = "1"
    checkpoint: str = "best"
    prevalence: float = SIIM_PREVALENCE
    flip_average: bool = False
    root: Path | None = None
    licence: str = ""


def export_run(
    run: Path, output: Path, options: ExportOptions, progress: Progress | None = None
) -> Manifest:
    """Write a model folder from a run folder.

    Calibration, operating points and the mask rule are chosen on the run's validation fold, which
    the network was not trained on, through the same `Predictor` that will serve the model.

    Args:
        run: folder that `pleura train` wrote.
        output: folder of the model; made if needed.
        options: see `ExportOptions`.
        progress: called with (done, total) while the held-out images are judged.

    Returns:
        The manifest, also written to the folder beside the ONNX files and `parity.json`.

    Raises:
        ModelError: the run has no such checkpoint, no validation fold, or parity does not hold.
    """
    config = load_config(run / CONFIG_NAME)
    network = load_network(run, config, options.checkpoint)
    index, held_out = held_out_rows(config, options.root)
    output.mkdir(parents=True, exist_ok=True)
    _write_files(network, output, index, held_out, config.preprocessing)

    bare = _manifest(run, output, config, options)
    bare.write(output)
    logits, labels, groups, maps = _judge(Predictor(output), index, held_out, progress)
    choice = choose_mask_rule(maps.pairs, groups=maps.groups)
    slope, intercept = fit_platt(logits, labels, options.prevalence)
    cohort = (
        f"{len(labels)} images of the training split's fold {config.data.validation_fold}"
        f" ({int(labels.sum())} positive), held out of training"
    )
    calibration = Calibration(
        method="platt",
        slope=slope,
        intercept=intercept,
        prevalence=options.prevalence,
        fitted_on=cohort,
    )
    probabilities = [calibrated_probability(float(logit), calibration) for logit in logits]
    points = choose_operating_points(probabilities, labels, groups=groups, cohort=cohort)
    held_out_figures: dict[str, Estimate] = {
        "held_out_auc": delong_interval(logits, labels),
        "held_out_dice_positives": choice.dice,
    }
    tuned = bare.model_copy(
        update={
            "calibration": calibration,
            "operating_points": points,
            "default_operating_point": "balanced",
            "mask": choice.rule,
            "performance": held_out_figures,
            "performance_cohort": cohort,
        }
    )
    tuned.write(output)
    final = tuned.model_copy(update={"selftest": selftest_cases(Predictor(output))})
    final.write(output)
    return Manifest.read(output)


def load_network(run: Path, config: TrainingConfig, checkpoint: str) -> Network:
    """The trained network in evaluation mode, with the averaged weights where the run kept them.

    Raises:
        ModelError: there is no such checkpoint, or it does not fit the configuration.
    """
    path = run / "checkpoints" / f"{checkpoint}.ckpt"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    except FileNotFoundError as error:
        raise ModelError(f"The run has no checkpoint {path}.", "Train it first.") from error
    network = create_network(config.network.name, **config.network.options)
    prefix = "network."
    try:
        network.load_state_dict(
            {key.removeprefix(prefix): value for key, value in state.items() if prefix in key}
        )
    except RuntimeError as error:
        raise ModelError(f"The checkpoint {path} does not fit {CONFIG_NAME}: {error}") from error
    return network.eval()


def held_out_rows(config: TrainingConfig, root: Path | None) -> tuple[Index, "pd.DataFrame"]:
    """The index of a run and the rows of its validation fold.

    Raises:
        ModelError: the run held nothing out.
    """
    fold = config.data.validation_fold
    if fold is None:
        raise ModelError(
            "The run held no fold out: nothing is left to calibrate on.",
            "Train with data.validation_fold, or calibrate on other labelled images.",
        )
    index = read_index(config.data.index, root=root or config.data.root)
    table = index.table
    chosen = (table["split"] == "train") & (table["fold"] == fold) & table["label"].notna()
    return index, table[chosen.fillna(False)].reset_index(drop=True)


def selftest_cases(predictor: Predictor) -> tuple[SelftestCase, ...]:
    """What the model says of four phantoms, for later installations to be held against."""
    return tuple(
        measure(predictor, seed, pneumothorax=seed % 2 == 1) for seed in _SELFTEST_SEEDS
    )


@dataclass(frozen=True, eq=False)
class _Maps:
    """Probability maps on the file's grid and true masks of held-out positives."""

    pairs: list[tuple[NDArray[np.float32], NDArray[np.bool_]]]
    groups: list[str]


def _judge(
    predictor: Predictor, index: Index, rows: "pd.DataFrame", progress: Progress | None
) -> tuple[NDArray[np.float64], NDArray[np.int64], list[str], _Maps]:
    logits, maps = [], _Maps([], [])
    for done, row in enumerate(rows.to_dict("records"), start=1):
        true = true_mask(row)
        raw = predictor.predict_raw(
            open_image(index.root, row["path"]), segment_from=2.0 if true is None else 0.0
        )
        logits.append(raw.logit)
        if true is not None and raw.network_map is not None:
            maps.pairs.append((raw.letterbox.invert(raw.network_map), true))
            maps.groups.append(row["group"])
        if progress is not None:
            progress(done, len(rows))
    return np.array(logits), rows["label"].to_numpy(np.int64), list(rows["group"]), maps


def _write_files(
    network: Network, output: Path, index: Index, rows: "pd.DataFrame", prep: Preprocessing
) -> None:
    """Export both stages; half-precision weights where they pass the parity check."""
    stages = cut(network)
    example = torch.zeros(2, 1, prep.size, prep.size)
    with torch.inference_mode():
        features = [value.clone() for value in stages.classifier(example)[1:]]
    classifier = to_onnx(stages.classifier, [example], [IMAGE], [LOGIT, *stages.features])
    segmenter = to_onnx(stages.segmenter, features, list(stages.features), [MASK_LOGITS])
    images = _parity_images(index, rows, prep)
    full = measure_parity(network, OnnxStages(classifier, segmenter), images)
    if not full.holds:
        raise ModelError(f"The exported network is not the trained one: {full.as_dict()}.")
    written, tried = (classifier, segmenter), {}
    for min_values in _HALVING_LADDER:
        halves = store_half(classifier, min_values), store_half(segmenter, min_values)
        tried[min_values] = measure_parity(network, OnnxStages(*halves), images)
        if tried[min_values].holds:
            written = halves
            break
    save(written[0], output / "classifier.onnx")
    save(written[1], output / "segmenter.onnx")
    _write_parity(output, full, tried)


def _write_parity(output: Path, full: Parity, tried: dict[int, Parity]) -> None:
    held = [min_values for min_values, parity in tried.items() if parity.holds]
    report = {
        "reference": "PyTorch eager, float32, on real images of the held-out fold",
        "float32_weights": full.as_dict(),
        "float16_weights_from_tensors_of": {
            f"{min_values} values": parity.as_dict() for min_values, parity in tried.items()
        },
        "written": f"float16 from {held[0]} values on" if held else "float32",
    }
    (output / PARITY_NAME).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    logger.info("parity: %s", report["written"])


def _parity_images(
    index: Index, rows: "pd.DataFrame", prep: Preprocessing
) -> list[NDArray[np.float32]]:
    half = _PARITY_IMAGES // 2
    chosen = [*rows[rows["label"] == 1]["path"][:half], *rows[rows["label"] == 0]["path"][:half]]
    return [prepare(read_radiograph(open_image(index.root, path)), prep)[0] for path in chosen]


def _manifest(run: Path, output: Path, config: TrainingConfig, options: ExportOptions) -> Manifest:
    record: dict[str, Any] = json.loads((run / RECORD_NAME).read_text(encoding="utf-8"))
    kept = (
        "git_revision",
        "torch",
        "starting_weights",
        "data_fingerprint",
        "training_images",
        "training_positives",
        "training_phantoms",
        "validation_images",
    )
    training = {name: record[name] for name in kept if name in record}
    training |= {
        "network": config.network.model_dump(mode="json", include={"name", "options"}),
        "split": "train",
        "validation_fold": config.data.validation_fold,
        "sizes": [list(entry) for entry in config.schedule.sizes],
        "epochs": config.schedule.epochs,
    }
    return Manifest(
        schema="pleura.model/1",
        name=options.name or output.name,
        version=options.version,
        preprocessing=config.preprocessing,
        classifier=_component(output / "classifier.onnx"),
        segmenter=_component(output / "segmenter.onnx"),
        flip_average=options.flip_average,
        operating_points=(_UNDECIDED,),
        default_operating_point=_UNDECIDED.name,
        training=training,
        licence=options.licence,
    )


def _component(path: Path) -> Component:
    return Component(file=path.name, sha256=sha256_of(path))
