"""Two networks of one descent made one: the mean of their weights.

Networks that went on from the same weights lie in one valley of the loss, and their mean often
judges better than either, for the price of one ("Model soups", Wortsman et al., ICML 2022).
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from pleura.errors import ModelError, OutputError
from pleura.inference.manifest import MANIFEST_NAME, Manifest, sha256_of
from pleura.inference.preprocess import prepare
from pleura.models import Network, create_network
from pleura.training.checkpoint import load_network
from pleura.training.config import TrainingConfig, load_config
from pleura.training.examples import TrainingData, as_radiograph, load_examples
from pleura.training.record import CHECKPOINTS, CONFIG_NAME, LAST_NAME, RECORD_NAME
from pleura.training.released import restore

MEASURED_IMAGES = 256
_BATCH = 16


def average(
    run: Path, other: Path, output: Path, share: float = 0.5, size: int | None = None
) -> Path:
    """Write a run folder whose network is the weighted mean of two.

    The statistics of batch normalisation cannot be averaged; they are measured anew, on training
    images at the size that the network will see.

    Args:
        run: folder of `pleura train`; its last checkpoint is taken.
        other: another one, or a model folder, of the same network, with the same images held out.
        output: folder to write.
        share: of `other`, in (0, 1).
        size: of the images in pixels; None for that of `run`.

    Raises:
        ConfigError: the run folder has no valid configuration.
        ModelError: a network is damaged or another one; other images were held out.
        OutputError: the output holds a run already.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, not {share}")
    if (output / CONFIG_NAME).exists():
        raise OutputError(f"The folder {output} holds a run already.", "Name a new folder.")
    config = load_config(run / CONFIG_NAME)
    record: dict[str, Any] = json.loads((run / RECORD_NAME).read_text(encoding="utf-8"))
    if size is not None:
        preprocessing = config.preprocessing.model_copy(update={"size": size})
        config = config.model_copy(update={"preprocessing": preprocessing})
    config = config.model_copy(update={"output": output})
    _check_held_out(config, record, other)
    data = load_examples(config.data)
    images = _training_images(config, data)
    first = load_network(run, config, "last")
    second = _second(other, config, images)
    network = _mean(first, second, share)
    _measure(network, images)
    _write(output, config, network, run, record, other, share)
    return output


def _check_held_out(config: TrainingConfig, record: dict[str, Any], other: Path) -> None:
    """Both must have left out the same images, or nothing is left to judge the mean by."""
    if (other / MANIFEST_NAME).is_file():
        said = Manifest.read(other).training
        fold, fingerprint = said.get("validation_fold"), said.get("data_fingerprint")
    else:
        fold = load_config(other / CONFIG_NAME).data.validation_fold
        fingerprint = json.loads((other / RECORD_NAME).read_text())["data_fingerprint"]
    if (fold, fingerprint) != (config.data.validation_fold, record["data_fingerprint"]):
        raise ModelError(
            "The two networks did not leave out the same images.",
            "Average networks of one index and one held-out fold.",
        )


def _training_images(config: TrainingConfig, data: TrainingData) -> Tensor:
    """Training images as the network will see them, (n, 1, size, size)."""
    real = data.training[~data.examples.synthetic[data.training]]
    generator = torch.Generator().manual_seed(config.seed)
    chosen = torch.randperm(len(real), generator=generator)[:MEASURED_IMAGES].tolist()
    inputs = [
        prepare(as_radiograph(data.examples.images[real[i]]), config.preprocessing)[0]
        for i in chosen
    ]
    return torch.cat([torch.from_numpy(image) for image in inputs])


def _second(other: Path, config: TrainingConfig, images: Tensor) -> Network:
    if not (other / MANIFEST_NAME).is_file():
        return load_network(other, config, "last")
    network = create_network(config.network.name, **config.network.options)
    report = restore(network, other, images)
    if report.missing or report.mismatched:
        raise ModelError(
            f"The model {other.name} does not fit this network: it has no"
            f" {(*report.missing, *report.mismatched)[0]} of that shape.",
            "Average networks with the same options.",
        )
    network.eval()
    return network


def _mean(first: Network, second: Network, share: float) -> Network:
    """The first network with the weighted mean of both networks' weights."""
    others = second.state_dict()
    mean = {
        name: torch.lerp(value, others[name], share) if value.is_floating_point() else value
        for name, value in first.state_dict().items()
    }
    first.load_state_dict(mean)
    return first


@torch.inference_mode()
def _measure(network: Network, images: Tensor) -> None:
    """Mean and variance of every batch normalisation over these images."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over the batches
            module.train()
    for batch in torch.split(images, _BATCH):
        network(batch)
    network.eval()


def _write(
    output: Path,
    config: TrainingConfig,
    network: Network,
    run: Path,
    record: dict[str, Any],
    other: Path,
    share: float,
) -> None:
    """The run folder that `pleura export` takes."""
    (output / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    path = output / CHECKPOINTS / LAST_NAME
    torch.save({"state_dict": state, "epoch": config.schedule.epochs - 1}, path)
    name = MANIFEST_NAME if (other / MANIFEST_NAME).is_file() else f"{CHECKPOINTS}/{LAST_NAME}"
    averaged = {
        "with": other.name,
        "with_sha256": sha256_of(other / name),
        "run_sha256": sha256_of(run / CHECKPOINTS / LAST_NAME),
        "share": share,
    }
    plain = config.model_dump(mode="json")
    (output / CONFIG_NAME).write_text(yaml.safe_dump(plain, sort_keys=False))
    text = json.dumps(record | {"averaged": averaged}, indent=2)
    (output / RECORD_NAME).write_text(text + "\n", encoding="utf-8")
    if (run / "logs").is_dir():
        shutil.copytree(run / "logs", output / "logs", dirs_exist_ok=True)
