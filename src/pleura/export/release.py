"""From a run to a model folder: files, parity, calibration, operating points, self-test."""

import json
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pleura.errors import ModelError
from pleura.export.held_out import (
    Judged,
    Progress,
    held_out_rows,
    judge_held_out,
    parity_images,
)
from pleura.export.onnx_file import save, store_half, to_onnx
from pleura.export.parity import OnnxStages, Parity, measure_parity
from pleura.export.stages import EMBEDDING, IMAGE, LOGIT, MASK_LOGITS, cut
from pleura.export.tuning import tune
from pleura.inference import Predictor
from pleura.inference.manifest import (
    MANIFEST_NAME,
    Component,
    Manifest,
    OperatingPoint,
    SelftestCase,
    sha256_of,
)
from pleura.inference.selftest import measure
from pleura.models import Network
from pleura.models.nested_unet import NestedUNet
from pleura.training.checkpoint import load_network
from pleura.training.config import TrainingConfig, load_config
from pleura.training.record import CONFIG_NAME, RECORD_NAME

__all__ = ["ExportOptions", "export_run", "load_network", "selftest_cases"]

logger = logging.getLogger(__name__)

SIIM_PREVALENCE = 0.22
"""2,669 of the 12,047 images of the published SIIM-ACR table show a pneumothorax."""
CLASSIFIER_NAME, SEGMENTER_NAME = "classifier.onnx", "segmenter.onnx"
PARITY_NAME = "parity.json"
_PARITY_IMAGES = 32
_SELFTEST_SEEDS = (1, 2, 3, 4)
_UNDECIDED = OperatingPoint(name="none", threshold=0.5, sensitivity=0, specificity=0)
_FROM_RECORD = (
    "git_revision",
    "torch",
    "starting_weights",
    "starting_sha256",
    "data_fingerprint",
    "training_images",
    "training_positives",
    "training_phantoms",
    "averaged",
    "validation_images",
)


@dataclass(frozen=True)
class ExportOptions:
    """What is not in the run itself.

    Attributes:
        name: of the model; the folder's name by default.
        version: of the model.
        description: one line for `pleura models list`; network and size by default.
        checkpoint: `best` or `last`.
        prevalence: that the probability is calibrated for.
        flip_average: judge each radiograph and its mirror image, and average; a clear negative
            alone, see `pleura.export.mirror`.
        mask_evidence: share of the image-level logit that comes from the mask (see
            `pleura.models.joint.JointNetwork`); None for what the run was trained with.
        depth: node of a Nested U-Net's first row that the mask is taken from, all behind it being
            cut off; None for the run's own.
        root: folder of the images, when it has moved since the index was written.
        licence: terms of the weights, for the manifest.
    """

    name: str = ""
    version: str = "1"
    description: str = ""
    checkpoint: str = "best"
    prevalence: float = SIIM_PREVALENCE
    flip_average: bool = False
    mask_evidence: float | None = None
    depth: int | None = None
    root: Path | None = None
    licence: str = ""


def export_run(
    run: Path, output: Path, options: ExportOptions, progress: Progress | None = None
) -> Manifest:
    """Write a model folder from a run folder.

    Calibration, operating points and the mask rule are chosen on the run's validation fold, which
    the network was not trained on, through the same `Predictor` that will serve the model. The
    files appear in the folder together, when all is done.

    Args:
        run: folder that `pleura train` wrote.
        output: folder of the model; made if needed.
        options: see `ExportOptions`.
        progress: called with (done, total) while the held-out images are judged.

    Returns:
        The manifest, also written to the folder beside the ONNX files and `parity.json`.

    Raises:
        ConfigError: the run folder has no valid configuration.
        ModelError: the run has no such checkpoint, no record, or no validation fold with
            positives, negatives and a mask; the network gives no logit or no map; parity does not
            hold.
        NotFoundError: the run's index is not there.
    """
    config = _for_export(load_config(run / CONFIG_NAME), options.mask_evidence)
    index, rows = held_out_rows(config, options.root)
    record = _read_record(run)
    network = load_network(run, config, options.checkpoint)
    if options.depth is not None:
        network, config = _pruned(network, config, options.depth)
    images = parity_images(index, rows, config.preprocessing, _PARITY_IMAGES)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=output) as partial:
        work = Path(partial)
        _write_files(network, work, images)
        name = options.name or output.resolve().name
        bare = _bare_manifest(work, name, config, record, options)
        bare.write(work)
        judged = judge_held_out(Predictor(work), index, rows, progress)
        tuned = tune(bare, judged, work, cohort_of(judged, config, options), options.prevalence)
        cases = selftest_cases(Predictor(work))
        tuned.model_copy(update={"selftest": cases}).write(work)
        # The manifest last: it names the others by their SHA-256.
        for file in (*tuned.files, PARITY_NAME, MANIFEST_NAME):
            (work / file).replace(output / file)
    return Manifest.read(output)


def selftest_cases(predictor: Predictor) -> tuple[SelftestCase, ...]:
    """What the model says of four phantoms, for later installations to be held against."""
    return tuple(measure(predictor, seed, pneumothorax=seed % 2 == 1) for seed in _SELFTEST_SEEDS)


def cohort_of(judged: Judged, config: TrainingConfig, options: ExportOptions) -> str:
    """The held-out images in words."""
    return (
        f"{len(judged.labels)} images of the training split's fold {config.data.validation_fold}"
        f" ({int(judged.labels.sum())} positive), held out of training"
        + (", which also chose the checkpoint" if options.checkpoint == "best" else "")
    )


def _for_export(config: TrainingConfig, mask_evidence: float | None) -> TrainingConfig:
    """The configuration with what is decided only now among the network's options."""
    network = config.network
    changed = dict(network.options)
    if mask_evidence is not None:
        changed["mask_evidence"] = mask_evidence
    if network.name == "chexnet":
        if mask_evidence is not None:
            raise ModelError(
                "CheXNet has no mask that could be evidence for its logit.",
                "Export it without a share of the mask's evidence.",
            )
        changed["class_activation_map"] = True
    return config.model_copy(update={"network": network.model_copy(update={"options": changed})})


def _pruned(network: Network, config: TrainingConfig, depth: int) -> tuple[Network, TrainingConfig]:
    """The network cut down to a node, and the configuration that would have made it."""
    if not isinstance(network, NestedUNet):
        raise ModelError(
            f"{type(network).__name__} cannot be pruned to a depth.", "Only a Nested U-Net can."
        )
    try:
        smaller = network.pruned(depth)
    except ValueError as error:
        raise ModelError(
            f"{str(error).capitalize()}.", "Train it with deep_supervision, or name another depth."
        ) from error
    changed = config.network.options | {"depth": depth}
    settings = config.network.model_copy(update={"options": changed})
    return smaller, config.model_copy(update={"network": settings})


def _write_files(network: Network, output: Path, images: list[NDArray[np.float32]]) -> None:
    """Export both stages; 16-bit weights where they pass the parity check."""
    stages = cut(network)
    example = torch.zeros(2, *images[0].shape[1:])
    with torch.inference_mode():
        features = [value.clone() for value in stages.classifier(example)[2:]]
    outputs = [LOGIT, EMBEDDING, *stages.features]
    files = [to_onnx(stages.classifier, [example], [IMAGE], outputs)]
    if stages.segmenter is not None:
        files.append(to_onnx(stages.segmenter, features, list(stages.features), [MASK_LOGITS]))
    full = measure_parity(network, OnnxStages(*files), images)
    if not full.holds:
        raise ModelError(f"The exported network is not the trained one: {full.as_dict()}.")
    halves = [store_half(file) for file in files]
    half = measure_parity(network, OnnxStages(*halves), images)
    for file, name in zip(
        halves if half.holds else files, (CLASSIFIER_NAME, SEGMENTER_NAME), strict=False
    ):
        save(file, output / name)
    _write_parity(output, full, half)


def _write_parity(output: Path, full: Parity, half: Parity) -> None:
    report = {
        "reference": "PyTorch eager, float32, on images of the held-out fold",
        "float32_weights": full.as_dict(),
        "int16_weights": half.as_dict(),
        "written": "int16" if half.holds else "float32",
    }
    (output / PARITY_NAME).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    logger.info("parity: weights written as %s, %s", report["written"], half)


def _read_record(run: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((run / RECORD_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The run folder {run} has no readable {RECORD_NAME}.", "Give a folder of a run."
        ) from error
    return record


def _bare_manifest(
    folder: Path,
    name: str,
    config: TrainingConfig,
    record: dict[str, Any],
    options: ExportOptions,
) -> Manifest:
    """The manifest before anything is chosen on held-out images."""
    training = {name: record[name] for name in _FROM_RECORD if name in record}
    training |= {
        "network": config.network.model_dump(mode="json", include={"name", "options"}),
        "split": "train",
        "validation_fold": config.data.validation_fold,
        "sizes": [list(entry) for entry in config.schedule.sizes],
        "epochs": config.schedule.epochs,
    }
    encoder = config.network.options.get("encoder", "")
    network = f"{config.network.name} {encoder}".strip()
    return Manifest(
        schema="pleura.model/1",
        name=name,
        version=options.version,
        description=options.description or f"{network}, {config.preprocessing.size} px",
        preprocessing=config.preprocessing,
        classifier=_component(folder / CLASSIFIER_NAME),
        segmenter=(
            _component(folder / SEGMENTER_NAME) if (folder / SEGMENTER_NAME).is_file() else None
        ),
        flip_average=options.flip_average,
        always_segment=config.network.options.get("mask_evidence", 0.0) > 0,
        operating_points=(_UNDECIDED,),
        default_operating_point=_UNDECIDED.name,
        training=training,
        licence=options.licence,
    )


def _component(path: Path) -> Component:
    return Component(file=path.name, sha256=sha256_of(path))
